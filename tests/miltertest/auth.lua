-- SMTP AUTH is the MTA's; its macros with MAIL become the context variables auth_user and auth_name.
dofile("lib/client.lua");

local function send(smtp)
  smtp:mail("alice@client.example");
  smtp:rcpt("bob@site.example");
  smtp:message({ { "Subject", "Lunch" } }, "Hello.\r\n");
end

session("an authenticated client", function(smtp)
  smtp:connect("client.example", "127.0.0.1");
  smtp:helo("client.example");
  smtp:macros(SMFIC_MAIL, "{auth_authen}", "alice", "{auth_type}", "PLAIN", "{mail_addr}", "alice@client.example");
  send(smtp);
  smtp:edited(MT_HDRINSERT, "X-Authenticated", "alice by PLAIN");
end);

session("any other", function(smtp)
  smtp:connect("client.example", "127.0.0.1");
  smtp:helo("client.example");
  send(smtp);
  smtp:untouched();
end);
