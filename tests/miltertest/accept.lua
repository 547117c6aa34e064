-- Ordinary mail: the demo's policy adds one header, and nothing else of the message is touched.
dofile("lib/client.lua");

session("ordinary mail is accepted and marked", function(smtp)
  smtp:connect("client.example", "127.0.0.1");
  smtp:helo("client.example");
  smtp:mail("alice@client.example");
  smtp:rcpt("bob@site.example");
  smtp:message({ { "From", "alice@client.example" }, { "Subject", "Lunch" } }, "Hello.\r\n");

  smtp:edited(MT_HDRINSERT, "X-Demo-Policy", "greeted as client.example from 127.0.0.1 (loopback)");
  smtp:not_edited(MT_HDRCHANGE);
  smtp:not_edited(MT_HDRDELETE);
  smtp:not_edited(MT_BODYCHANGE);
  smtp:not_edited(MT_RCPTADD, "<bob@site.example>");
  smtp:not_edited(MT_RCPTDELETE, "<bob@site.example>");
end);
