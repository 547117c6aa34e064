-- A 4xx for one recipient; the message goes on for the other.
-- log: rcpt .* to=<?later@site\.example>? .*verdict=tempfail reply="451 4\.7\.1 greylisted, come back later"
-- log: endofmessage .* to=bob@site\.example .*verdict=accept
dofile("lib/client.lua");

session("one recipient is put off", function(smtp)
  smtp:connect("client.example", "127.0.0.1");
  smtp:helo("client.example");
  smtp:mail("alice@client.example");
  smtp:rcpt("later@site.example", SMFIR_REPLYCODE);
  smtp:rcpt("bob@site.example");
  smtp:message({ { "Subject", "Lunch" } }, "Hello.\r\n");

  smtp:edited(MT_HDRINSERT, "X-Demo-Policy");
  smtp:not_edited(MT_RCPTDELETE, "<later@site.example>"); -- the MTA never had it
end);
