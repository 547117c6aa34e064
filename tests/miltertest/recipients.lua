-- msg:rcptto(new): one recipient is deleted, another added, and the message itself says so.
dofile("lib/client.lua");

session("a recipient that moved", function(smtp)
  smtp:connect("client.example", "127.0.0.1");
  smtp:helo("client.example");
  smtp:mail("alice@client.example");
  smtp:rcpt("old@site.example");
  smtp:message({ { "Subject", "Lunch" } }, "Hello.\r\n");

  smtp:edited(MT_RCPTDELETE, "<old@site.example>");
  smtp:edited(MT_RCPTADD, "<new@site.example>");
  smtp:edited(MT_HDRINSERT, "X-Demo-Moved", "old@site.example");
  smtp:not_edited(MT_BODYCHANGE);
end);
