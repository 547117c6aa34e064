-- Several messages on one connection: an abort (RSET) and the end of a message empty the message's context, and the
-- connection's context stays.
dofile("lib/client.lua");

local HEADERS = { { "Subject", "Lunch" } };

session("what is counted", function(smtp)
  smtp:connect("client.example", "127.0.0.1");
  smtp:helo("client.example");

  smtp:mail("alice@client.example");
  smtp:rcpt("bob@site.example");
  smtp:rcpt("carol@site.example");
  smtp:message(HEADERS, "Hello.\r\n");
  smtp:edited(MT_HDRINSERT, "X-Counted", "message 1, recipients 2");

  smtp:mail("alice@client.example");
  smtp:rcpt("bob@site.example");
  smtp:abort();

  smtp:mail("dave@client.example");
  smtp:rcpt("carol@site.example");
  smtp:message(HEADERS, "Hello again.\r\n");
  smtp:edited(MT_HDRINSERT, "X-Counted", "message 3, recipients 1");
end);
