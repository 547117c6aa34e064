-- What a policy with only validate_rcptto asks of the MTA: an answer is waited for at RCPT and at the end of the message
-- (where a recipient's msg:discard takes effect), at nothing else; headers and body are not even sent.
dofile("lib/client.lua");

session("no round trips but for recipients", function(smtp)
  smtp:negotiate(6, nil, nil);
  for _, silent in ipairs({
    SMFIP_NR_CONN, SMFIP_NR_HELO, SMFIP_NR_MAIL, SMFIP_NR_DATA, SMFIP_NOHDRS, SMFIP_NOEOH, SMFIP_NOBODY,
  }) do
    smtp:option(silent, true);
  end
  smtp:option(SMFIP_NR_RCPT, false);
  smtp:option(SMFIP_NOUNKNOWN, true); -- no hook sees unknown commands
  smtp:option(SMFIP_NORCPT, false);

  smtp:connect("client.example", "127.0.0.1");
  smtp:helo("client.example");
  smtp:mail("alice@client.example");
  smtp:rcpt("nobody@site.example", SMFIR_REPLYCODE);
  smtp:rcpt("bob@site.example");
  smtp:message({ { "Subject", "Lunch" } }, "Hello.\r\n");
  smtp:untouched();
end);
