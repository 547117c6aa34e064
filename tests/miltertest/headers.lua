-- What msg:header asks of the MTA: headers.policy.lua changes, deletes, prepends and appends.
dofile("lib/client.lua");

session("headers are edited with the fewest actions", function(smtp)
  smtp:connect("client.example", "127.0.0.1");
  smtp:helo("client.example");
  smtp:mail("alice@client.example");
  smtp:rcpt("bob@site.example");
  smtp:message({
    { "From", "alice@client.example" }, { "X-Secret", "one" }, { "x-secret", "two" }, { "Subject", "Lunch" },
  }, "Hello.\r\n");

  smtp:edited(MT_HDRCHANGE, "Subject", "[checked] Lunch"); -- the last header stays the last: changed in place
  smtp:edited(MT_HDRDELETE, "X-Secret");
  smtp:edited(MT_HDRDELETE, "x-secret");
  smtp:edited(MT_HDRINSERT, "X-First", "top", 1); -- below the Received header of the MTA, which is number 0
  smtp:edited(MT_HDRINSERT, "X-Last", "bottom");
  smtp:not_edited(MT_HDRINSERT, "Subject");
  smtp:not_edited(MT_HDRDELETE, "Subject");
  smtp:not_edited(MT_HDRCHANGE, "From");
  smtp:not_edited(MT_BODYCHANGE);
end);

session("a header from the middle goes to the end: deleted and added", function(smtp)
  smtp:connect("client.example", "127.0.0.1");
  smtp:helo("client.example");
  smtp:mail("alice@client.example");
  smtp:rcpt("bob@site.example");
  smtp:message({ { "Subject", "Lunch" }, { "From", "alice@client.example" } }, "Hello.\r\n");

  smtp:edited(MT_HDRDELETE, "Subject");
  smtp:edited(MT_HDRINSERT, "Subject", "[checked] Lunch");
  smtp:not_edited(MT_HDRDELETE, "X-Secret");
end);
