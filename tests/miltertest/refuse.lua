-- A 5xx at HELO, MAIL, RCPT and after the message. miltertest shows a reply's text only after the message; the others'
-- are looked up in the daemon's log by tests/miltertest/test_miltertest.py, which reads these lines:
-- log: helo .* reply="550 5\.7\.1 you are not mx\.site\.example"
-- log: mail .* reply="554 5\.7\.1 mail from spam\.example is not wanted here"
-- log: rcpt .* reply="550 5\.7\.1 relaying denied"
-- log: endofmessage .* reply="554 5\.7\.1 content rejected"
dofile("lib/client.lua");

session("every command can be refused, and the next one is answered", function(smtp)
  smtp:connect("client.example", "127.0.0.1");
  smtp:helo("mx.site.example", SMFIR_REPLYCODE);
  smtp:helo("client.example");
  smtp:mail("win@spam.example", SMFIR_REPLYCODE);
  smtp:mail("alice@client.example");
  smtp:rcpt("eve@elsewhere.example", SMFIR_REPLYCODE);
  smtp:rcpt("bob@site.example");
  smtp:message({ { "From", "alice@client.example" }, { "Subject", "Cheap V1agra" } }, "Buy.\r\n", SMFIR_REPLYCODE);

  smtp:edited(MT_SMTPREPLY, "554", "5.7.1", "content rejected");
  smtp:untouched();
end);
