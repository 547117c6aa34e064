-- msg:discard: the client is told 250, the message goes nowhere.
dofile("lib/client.lua");

local SPAM = { { "Subject", "Lunch" }, { "X-Spam-Flag", "YES" } };

session("marked mail is discarded", function(smtp)
  smtp:connect("client.example", "127.0.0.1");
  smtp:helo("client.example");
  smtp:mail("alice@client.example");
  smtp:rcpt("bob@site.example");
  smtp:message(SPAM, "Hello.\r\n", SMFIR_DISCARD);
end);

session("but not the postmaster's", function(smtp)
  smtp:connect("client.example", "127.0.0.1");
  smtp:helo("client.example");
  smtp:mail("alice@client.example");
  smtp:rcpt("postmaster@site.example");
  smtp:message(SPAM, "Hello.\r\n");
end);

session("of two recipients only the one that wants it", function(smtp)
  smtp:connect("client.example", "127.0.0.1");
  smtp:helo("client.example");
  smtp:mail("alice@client.example");
  smtp:rcpt("bob@site.example");
  smtp:rcpt("postmaster@site.example");
  smtp:message(SPAM, "Hello.\r\n");
  smtp:edited(MT_RCPTDELETE, "<bob@site.example>");
  smtp:not_edited(MT_RCPTDELETE, "<postmaster@site.example>");
end);
