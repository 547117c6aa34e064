-- msg:quarantine(reason): accepted, and held in the MTA's queue.
dofile("lib/client.lua");

local function send(smtp, subject)
  smtp:connect("client.example", "127.0.0.1");
  smtp:helo("client.example");
  smtp:mail("alice@client.example");
  smtp:rcpt("bob@site.example");
  smtp:message({ { "Subject", subject } }, "Hello.\r\n");
end

session("held", function(smtp)
  send(smtp, "Invoice");
  smtp:edited(MT_QUARANTINE, "invoices are looked at");
  smtp:not_edited(MT_BODYCHANGE);
end);

session("not held", function(smtp)
  send(smtp, "Lunch");
  smtp:untouched();
end);
