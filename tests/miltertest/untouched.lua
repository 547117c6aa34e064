-- A message that a policy only looks at leaves byte for byte as it came, 8-bit headers and bare line feeds included.
dofile("lib/client.lua");

session("nothing is edited", function(smtp)
  smtp:connect("client.example", "127.0.0.1");
  smtp:helo("client.example");
  smtp:mail("alice@client.example");
  smtp:rcpt("bob@site.example");
  smtp:rcpt("carol@site.example");
  smtp:message({
    { "From", "alice@client.example" },
    { "Subject", "caf\xe9 =?utf-8?q?caf=C3=A9?=" },
    { "X-Folded", "one\n\ttwo" },
    { "X-Empty", "" },
    { "x-odd-Case", " two  spaces " },
  }, "8-bit: \xe9\xff\r\nbare\nline feeds, no end of line");

  smtp:untouched();
  for _, recipient in ipairs({ "<bob@site.example>", "<carol@site.example>" }) do
    smtp:not_edited(MT_RCPTADD, recipient);
    smtp:not_edited(MT_RCPTDELETE, recipient);
  end
end);
