-- A script that fails is a 4xx (`on_error` in the configuration), is logged with its line, and harms nothing else.
-- log: script_error\.policy\.lua:8:
-- log: mail .* verdict=tempfail reply="451 4\.3\.0 local policy error"
-- log: endofmessage .* verdict=accept
dofile("lib/client.lua");

session("the bug", function(smtp)
  smtp:connect("client.example", "127.0.0.1");
  smtp:helo("client.example");
  smtp:mail("mallory@client.example", SMFIR_REPLYCODE);

  smtp:mail("alice@client.example");
  smtp:rcpt("bob@site.example");
  smtp:message({ { "Subject", "Lunch" } }, "Hello.\r\n");
  smtp:untouched();
end);
