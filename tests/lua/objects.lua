-- Momentum's structs: fields that are read, fields that are written, and how objects behave as Lua values.

local check = require("check")
local core = msys.core

local mod = {}

local function strings()
  local text = check.results(1, msys.core.string_new())
  check.equal(tostring(text), "")
  check.equal(#text, 0)
  check.equal(text.len, 0)
  check.equal(text:set("caf\233\0"), nil)
  check.equal(tostring(text), "caf\233\0")
  check.equal(text.buffer, "caf\233\0")
  check.equal(#text, 5)
  check.equal(text.len, 5)
  text.buffer = "new"
  check.equal(text .. "", "new")
  check.equal("<" .. text .. ">", "<new>")
  check.equal(1 .. text, "1new")
  local twin = core.string_new()
  check.equal(text .. twin, "new")
  check.equal(text == twin, false)
  twin.buffer = "new"
  check.equal(text == twin, true)
  check.equal(text == "new", false)
  text.buffer = 12
  check.equal(text.buffer, "12")
  text:set(twin)
  check.equal(text.buffer, "new")
end

local function misused_strings()
  local text = core.string_new()
  check.fails("ec_string has no field 'len' that a script can set", function() text.len = 3 end)
  check.fails("ec_string has no field 'colour' that a script can set", function() text.colour = "red" end)
  check.fails("bad value for ec_string.buffer (string expected, got table)", function() text.buffer = {} end)
  check.fails("bad argument #1 to 'ec_string:set' (string expected, got nil)", function() text:set(nil) end)
  check.equal(text.colour, nil)
  check.equal(text[1], nil)
  check.equal(text[{}], nil)
  check.equal(text[print], nil)
  check.equal(text[true], nil)
  check.fails("ec_string has no field '1' that a script can set", function() text[1] = "x" end)
  check.fails("ec_string has no field that is a table", function() text[{}] = "x" end)
  check.equal(pcall(string.upper, text), false)
end

local function sockaddr(ac)
  local peer = ac.remote_addr
  local family = check.results(1, msys.core.ec_sockaddr_family(peer))
  if family == core.AF_INET then
    check.equal(tostring(peer), "192.0.2.1:40000")
    check.equal("from " .. peer, "from 192.0.2.1:40000")
    check.equal(tostring(peer):match("^(.-)[:.]%d+$"), "192.0.2.1")
  else
    check.equal(family, core.AF_INET6)
    check.equal(tostring(peer), "2001:db8::1.40001")
  end
  check.fails("bad argument #1 to 'msys.core.ec_sockaddr_family' (ec_sockaddr expected, got string)", function() msys.core.ec_sockaddr_family("192.0.2.1") end)
  check.fails("attempt to get length of a value of class ec_sockaddr", function() return #peer + 0 end)
  return family
end

function mod:core_validate_accept(ac, vctx)
  self.family = sockaddr(ac)
end

function mod:validate_connect(ac, vctx)
  strings()
  misused_strings()
  check.equal(type(ac.conn_id), "string")
  check.equal(ac.conn_id:match("^%x%x/%x%x%-%d+%-%x+$") ~= nil, true)
  check.equal(ac.protocol, msys.core.P_ESMTP)
  check.equal(ac.no_such_field, nil)
  check.fails("accept_construct has no field 'conn_id' that a script can set", function() ac.conn_id = "x" end)
  self.conn_id, self.ac, self.vctx = ac.conn_id, ac, vctx

  local mc = msys.core.accept_construct_get_message_construct(ac)
  check.equal(msys.type(mc), "message_construct")
  check.equal(mc.message, nil)
  check.equal(mc.connection_message_count, 0)
  check.equal(mc.connection_rcpt_count, 0)
  check.equal(mc.message_rcpt_count, 0)
  check.equal(mc.relayable, 0)
  print("ok ac")
end

-- The fields of the context are the disposition of the running phase.
function mod:validate_ehlo(str, ac, vctx)
  check.equal(ac == self.ac, true)
  check.equal(vctx == self.vctx, true)
  check.equal(ac == vctx, false)
  check.equal(msys.type(str), "ec_string")
  check.equal(str.len, #tostring(str))
  vctx.code = 550
  vctx.note = "no"
  check.equal(vctx.code, 550)
  check.equal(vctx.note, "no")
  vctx.code = "250"
  vctx.note = nil
  check.equal(vctx.code, 250)
  check.equal(vctx.note, nil)
  vctx.disconnect = 1
  vctx.disconnect = 0
  vctx.disconnect = true
  vctx.disconnect = false
  check.equal(type(vctx.disconnect), "function")
  check.fails("vctx.code: 42 is not an SMTP reply code (200 to 599)", function() vctx.code = 42 end)
  check.fails("bad value for vctx.code (number expected, got table)", function() vctx.code = {} end)
  check.fails("bad value for vctx.note (string expected, got boolean)", function() vctx.note = true end)
  check.fails("bad value for vctx.disconnect (number expected, got table)", function() vctx.disconnect = {} end)
  check.fails("validate_context has no field 'codee' that a script can set", function() vctx.codee = 550 end)
  print("ok vctx")
end

function mod:validate_mailfrom(str, ac, vctx)
  local mc = core.accept_construct_get_message_construct(ac)
  local msg = mc.message
  check.equal(msys.type(msg), "ec_message")
  check.equal(mc.ac == ac, true)
  check.equal(mc.ctx == vctx, true)
  check.equal(mc.peer_address .. "", self.family == core.AF_INET and "192.0.2.1" or "2001:db8::1")
  check.equal(mc.connection_message_count, 1)
  check.equal(mc.message_rcpt_count, 0)
  check.equal(mc.relayable, tostring(str) == "" and 0 or 1)
  check.equal(mc.no_such_field, nil)
  self.id = msg.id
  check.equal(msg.conn_id, self.conn_id)
end

function mod:validate_rcptto(msg, str, ac, vctx)
  local mc = core.accept_construct_get_message_construct(ac)
  check.equal(mc.message == msg, true)
  check.equal(mc.message_rcpt_count, mc.connection_rcpt_count)
  check.equal(msg.id, self.id)
end

-- The list is one node for each recipient; nil is its end.
local function recipients(node)
  local found = {}
  while node do
    check.equal(msys.type(node), "ec_list_node")
    check.equal(msys.type(node.object), "ec_string")
    found[#found + 1] = tostring(node.object)
    node = node.next
  end
  return found
end

function mod:validate_rcptto_list(list, vctx)
  local wanted = self.family == core.AF_INET and { "bob@example.com", "Carol+list@Example.NET" } or { "bob@example.com" }
  check.list(recipients(list), wanted)
  check.fails("ec_list_node has no field 'object' that a script can set", function() list.object = "eve@example.com" end)
end

function mod:validate_rcptto_list_final(node, vctx)
  check.equal(#recipients(node) >= 1, true)
  print("ok list")
end

function mod:validate_data(msg, ac, vctx)
  check.equal(msg.id, self.id)
  check.equal(msg.id:match("^%x%x/%x%x%-%d+%-%x+$") ~= nil, true)
  check.equal(tostring(msg.batch_id), msg.batch_id)
  check.equal(msg.conn_id, ac.conn_id)
  check.equal(msg.priority, 0)
  msg.priority = 1
  check.equal(msg.priority, 1)
  msg.priority = "0"
  check.equal(msg.priority, 0)
  check.fails("msg.priority: 2 is neither 0 nor 1: the priority is one bit", function() msg.priority = 2 end)
  check.fails("ec_message has no field 'id' that a script can set", function() msg.id = "x" end)
  check.equal(msg.recv_method, msys.core.P_ESMTP)
  check.equal(msg.recv_method ~= msys.core.P_INTERNAL, true)
  check.equal(msg.recv_from == ac.remote_addr, true)
  check.equal(tostring(msg.recv_via), self.family == core.AF_INET and "192.0.2.25:25" or "2001:db8::25.25")
  check.equal(msg.no_such_field, nil)
  check.equal(tostring(msg):match("^ec_message: 0x%x+$") ~= nil, true)
  self.batch = msg.batch_id

  local class = msys.getClassMetaTable("ec_message")
  class.local_name = "a value"
  function class:sender_domain()
    return self:mailfrom():match("@(.*)$") or ""
  end
  check.equal(msg.local_name, "a value")
  check.equal(msg:sender_domain(), self.family == core.AF_INET and "example.org" or "")

  -- Objects are keys like any other value, and the same object is the same key.
  local seen = { [msg] = "mine", [ac] = "its" }
  check.equal(seen[core.accept_construct_get_message_construct(ac).message], "mine")
  print("ok msg")
end

function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  self.ids = self.ids or {}
  check.equal(self.ids[msg.id], nil)
  self.ids[msg.id] = msg:rcptto()
  check.equal(msg.batch_id, self.batch)
  check.equal(core.accept_construct_get_message_construct(ac).message == msg, true)
end

msys.registerModule("objects", mod)
