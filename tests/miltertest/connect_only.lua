-- What a policy with only validate_connect asks of the MTA: not to see the message, and no right to change anything.
-- log: connect client=192\.0\.2\.1 .* reply="554 5\.7\.1 not from there"
dofile("lib/client.lua");

session("the message is not sent to the filter", function(smtp)
  smtp:negotiate(6, nil, nil);
  smtp:option(SMFIP_NR_CONN, false);
  for _, absent in ipairs({ SMFIP_NOHDRS, SMFIP_NOEOH, SMFIP_NOBODY }) do
    smtp:option(absent, true);
  end
  for _, action in ipairs({
    SMFIF_ADDHDRS, SMFIF_CHGHDRS, SMFIF_CHGBODY, SMFIF_ADDRCPT, SMFIF_DELRCPT, SMFIF_CHGFROM, SMFIF_QUARANTINE,
  }) do
    smtp:action(action, false);
  end
  smtp:connect("client.example", "127.0.0.1");
end);

session("a client is refused when it connects", function(smtp)
  smtp:connect("client.example", "192.0.2.1", SMFIR_REPLYCODE);
end);
