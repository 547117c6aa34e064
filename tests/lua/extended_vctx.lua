-- msys.extended.vctx: the recipient list, holding a reply back, ending the connection.

require("msys.core")
require("msys.extended.vctx")
local check = require("check")

local mod = {}

function mod:validate_connect(ac, vctx)
  check.equal(vctx:tarpit(0.001), nil)
  vctx:tarpit("0.001")
  vctx:tarpit(0)
  check.fails("vctx:tarpit: the interval is negative", function() vctx:tarpit(-1) end)
  check.fails("bad argument #1 to 'vctx:tarpit' (number expected, got string)", function() vctx:tarpit("long") end)
  check.fails("vctx:recipient_list: there is no message whose recipients could be meant", function() vctx:recipient_list() end)
  check.fails("vctx:add_recipient cannot be called in connect (allowed in: data, data_spool, data_spool_each_rcpt, final_validation, mailfrom, rcptto, rcptto_list)", function() vctx:add_recipient("eve@example.com") end)
  print("ok tarpit")
end

function mod:validate_ehlo(str, ac, vctx)
  vctx:tarpit(0.001)
end

function mod:validate_mailfrom(str, ac, vctx)
  local list = check.results(1, vctx:recipient_list())
  check.equal(#list, 0)
  check.equal(list[0], nil)
  vctx:add_recipient("early@example.com")
  check.equal(vctx:recipient_list()[0], "early@example.com")
  check.equal(vctx:remove_recipient("early@example.com"), nil)
  check.equal(vctx:recipient_list()[0], nil)
end

function mod:validate_rcptto(msg, str, ac, vctx)
  check.equal(vctx:add_recipient("archive@example.com"), nil)
  vctx:add_recipient("archive@example.com")
  local found = 0
  local list = vctx:recipient_list()
  for i = 0, #list do
    found = found + (list[i] == "archive@example.com" and 1 or 0)
  end
  check.equal(found, 1)
end

function mod:validate_data(msg, ac, vctx)
  local ordinary = msg:mailfrom() ~= ""
  local list = vctx:recipient_list()
  check.equal(list[0], "bob@example.com")
  check.equal(list[1], "archive@example.com")
  check.equal(list[2], ordinary and "Carol+list@Example.NET" or nil)
  check.equal(#list, ordinary and 2 or 1)

  check.equal(vctx:recipient_list("only@example.com"), nil)
  check.list(vctx:recipient_list(), { "only@example.com" }, 0)
  vctx:recipient_list({ "<bob@example.com>", "only@example.com", "third@example.com" })
  local now = vctx:recipient_list()
  check.list({ now[0], now[1], now[2], now[3] }, { "only@example.com", "bob@example.com", "third@example.com" })
  vctx:recipient_list(list)
  check.equal(vctx:recipient_list()[0], "bob@example.com")
  vctx:remove_recipient("ARCHIVE@example.com")
  vctx:remove_recipient({ "third@example.com", "nobody@example.com" })
  vctx:add_recipient({ "one@example.com", "two@example.com" })
  vctx:remove_recipient({ "one@example.com", "two@example.com" })
  check.equal(vctx:recipient_list()[0], "bob@example.com")

  check.fails("vctx:add_recipient: '' is not an address", function() vctx:add_recipient("") end)
  check.fails("vctx:add_recipient: '<>' is not an address", function() vctx:add_recipient({ "a@example.com", "<>" }) end)
  check.fails("vctx:add_recipient: 'Ann <ann@example.com>' is not an address", function() vctx:add_recipient("Ann <ann@example.com>") end)
  check.fails("vctx:recipient_list: 'a b@example.com' is not an address", function() vctx:recipient_list({ "a b@example.com" }) end)
  check.fails("bad argument #1 to 'vctx:add_recipient' (string expected, got nil)", function() vctx:add_recipient(nil) end)
  check.fails("bad argument #1 to 'vctx:remove_recipient' (value expected)", function() vctx:remove_recipient() end)
  check.equal(#vctx:recipient_list(), ordinary and 1 or 0)
  print("ok recipients")
end

function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  check.fails("vctx:tarpit cannot be called in data_spool_each_rcpt (allowed in: connect, data, data_spool, ehlo, mailfrom, rcptto, rcptto_list)", function() vctx:tarpit(1) end)
  self.seen = (self.seen or "") .. msg:rcptto() .. " "
end

function mod:validate_dealloc()
  check.equal(self.seen, self.ordinary and "bob@example.com Carol+list@Example.NET " or self.seen)
  print("ok", self.seen)
end

msys.registerModule("extended_vctx", mod)
