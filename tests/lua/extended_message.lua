-- msys.extended.message: headers, envelope, response, disposition and origin of a message.

require("msys.core")
require("msys.extended.message")
local check = require("check")
local core = msys.core

local mod = {}

local function read_headers(msg)
  check.list(check.results(1, msg:header("Subject")), { "caf\195\169 menu" })
  check.list(msg:header("subject"), { "caf\195\169 menu" })
  check.list(msg:header("X-Multi"), { "one", "two" })
  check.list(msg:header("X-Raw"), { "caf\233" })
  check.equal(msg:header("Received")[2], "from b.example by c.example; Mon, 1 Jun 2026 09:00:00 +0000")
  check.list(msg:header("X-Missing"), {})
  check.list(msg:header("X-Missing", nil), {})
  check.list(msg:header("no name: at all"), {})
  check.equal(#msg:header("Subject"), 1)
end

local function write_headers(msg)
  check.equal(check.results(1, msg:header("X-New", "value")), true)
  check.list(msg:header("X-New"), { "value" })
  check.equal(msg:header("X-New", "other"), true)
  check.list(msg:header("x-new"), { "other" })
  msg:header("X-New", "third", "append")
  msg:header("X-New", "zeroth", "prepend")
  check.list(msg:header("X-New"), { "zeroth", "other", "third" })
  msg:header("X-New", "only", "replace")
  check.list(msg:header("X-New"), { "only" })
  msg:header("X-New", "REPLACED", "REPLACE")
  check.list(msg:header("X-New"), { "REPLACED" })
  msg:header("X-New", { "a", "b", 3 })
  check.list(msg:header("X-New"), { "a", "b", "3" })
  msg:header("X-New", { "y", "z" }, "prepend")
  check.list(msg:header("X-New"), { "y", "z", "a", "b", "3" })
  check.equal(msg:header("X-New", ""), true)
  check.list(msg:header("X-New"), {})
  check.equal(msg:header("X-New", ""), false)
  msg:header("X-Number", 42)
  check.list(msg:header("X-Number"), { "42" })
  msg:header("X-Eight", "caf\195\169")
  check.list(msg:header("X-Eight"), { "caf\195\169" })
  msg:header("X-Injected", "a\r\nX-Evil: yes\nX-Evil: yes\0")
  check.list(msg:header("X-Evil"), {})
  check.equal(msg:header("X-Injected")[1]:find("X-Evil: yes", 1, true) ~= nil, true)
  local text = core.string_new()
  text:set("from an ec_string")
  msg:header("X-String", text)
  check.list(msg:header("X-String"), { "from an ec_string" })
end

local function misused_headers(msg)
  check.fails("msg:header: mode 'sideways' is none of replace, append, prepend", function() msg:header("X-A", "b", "sideways") end)
  check.fails("bad argument #1 to 'msg:header' (value expected)", function() msg:header() end)
  check.fails("bad argument #1 to 'msg:header' (string expected, got table)", function() msg:header({}) end)
  check.fails("bad argument #2 to 'msg:header' (string expected, got boolean)", function() msg:header("X-A", true) end)
  check.fails("bad argument #2 to 'msg:header' (string expected, got table)", function() msg:header("X-A", { {} }) end)
  check.fails("bad argument #3 to 'msg:header' (string expected, got table)", function() msg:header("X-A", "b", {}) end)
  check.fails("msg:header needs its object: call it as object:header(...)", function() msg.header("Subject") end)
  check.fails("msg:header: 'X A' is not a header name (RFC 5322: printable ASCII without space and colon)", function() msg:header("X A", "b") end)
  check.fails("bad argument #2 to 'msg:header' (string expected, got table)", function() local t = {} t[1] = t msg:header("X-A", t) end)
  check.list(msg:header("X-A"), {})
end

local function address_headers(msg)
  check.list(check.results(1, msg:address_header("To")), { "bob@example.com", "Carol+list@Example.NET" })
  check.list(msg:address_header("to", "all"), { "bob@example.com", "Carol+list@Example.NET" })
  check.list(msg:address_header("To", "localpart"), { "bob", "Carol+list" })
  check.list(msg:address_header("To", "user"), { "bob", "Carol" })
  check.list(msg:address_header("To", "detail"), { "", "list" })
  check.list(msg:address_header("To", "domain"), { "example.com", "Example.NET" })
  check.list(msg:address_header("From", "domain"), { "example.org" })
  check.list(msg:address_header("X-Missing"), {})
  check.fails("msg:address_header: component 'host' is none of all, localpart, user, detail, domain", function() msg:address_header("To", "host") end)
end

local function envelope(msg)
  local localpart, domain = core.string_new(), core.string_new()
  check.equal(check.results(1, msg:get_envelope2(core.EC_MSG_ENV_FROM, localpart, domain)), 1)
  check.equal(tostring(localpart), "ann")
  check.equal(tostring(domain), "example.org")
  check.equal(msg:get_envelope2(core.EC_MSG_ENV_TO, localpart, domain), 1)
  check.equal(localpart .. "@" .. domain, msg:rcptto())
  check.equal(msg:get_envelope2(core.EC_MSG_ENV_FROM | core.EC_MSG_ENV_COMPLETE, localpart, nil), 1)
  check.equal(tostring(localpart), "ann@example.org")
  msg:get_envelope2(core.EC_MSG_ENV_TO + core.EC_MSG_ENV_COMPLETE, localpart, domain)
  check.equal(tostring(localpart), msg:rcptto())
  check.fails("msg:get_envelope2: flags must hold one of EC_MSG_ENV_FROM and EC_MSG_ENV_TO", function() msg:get_envelope2(core.EC_MSG_ENV_FROM | core.EC_MSG_ENV_TO, localpart, domain) end)
  check.fails("msg:get_envelope2: flags must hold one of EC_MSG_ENV_FROM and EC_MSG_ENV_TO", function() msg:get_envelope2(0, localpart, domain) end)
  check.fails("bad argument #2 to 'msg:get_envelope2' (ec_string expected, got string)", function() msg:get_envelope2(core.EC_MSG_ENV_FROM, "x", "y") end)
end

local function origin(msg, ac)
  local ip, port = "192.0.2.1", "40000"
  check.equal(check.results(1, msg:reception_peer("ip")), ip)
  check.equal(msg:reception_peer("port"), port)
  check.equal(msg:reception_peer("all"), ip .. ":" .. port)
  check.equal(msg:reception_peer(), ip .. ":" .. port)
  check.equal(msg:reception_peer(nil), ip .. ":" .. port)
  check.equal(check.results(1, msg:listener_addr("ip")), "192.0.2.25")
  check.equal(msg:listener_addr("port"), "25")
  check.equal(msg:listener_addr("all"), "192.0.2.25:25")
  check.equal(msg:listener_addr(), "192.0.2.25:25")
  check.fails("msg:reception_peer: 'host' is none of ip, port, all", function() msg:reception_peer("host") end)
  check.fails("msg:listener_addr: 'IP' is none of ip, port, all", function() msg:listener_addr("IP") end)
end

local function response(msg)
  check.equal(check.results(1, msg:code()), "")
  check.equal(msg:code(421, "Too much spam."), "421 Too much spam.")
  check.equal(msg:code("421", "Too much spam."), "421 Too much spam.")
  check.equal(msg:code(), "421 Too much spam.")
  check.equal(msg:code(0, "550 5.7.1 no"), "550 5.7.1 no")
  check.equal(msg:code(550, "one\ntwo"), "550-one\r\n550 two")
  check.equal(msg:code(550, "550 once"), "550 once")
  check.fails("msg:code: 42 is not an SMTP reply code (200 to 599)", function() msg:code(42, "x") end)
  check.fails("msg:code: the text must begin with a code when the number is 0", function() msg:code(0, "no code") end)
end

function mod:validate_mailfrom(str, ac, vctx)
  local msg = core.accept_construct_get_message_construct(ac).message
  check.equal(msg:mailfrom(), tostring(str))
  check.equal(msg:rcptto(), "")
  check.fails("msg:header cannot be called in mailfrom (allowed in: data, data_spool, data_spool_each_rcpt, final_validation, set_binding)", function() msg:header("Subject") end)
  check.fails("msg:discard cannot be called in mailfrom (allowed in: data, data_spool, data_spool_each_rcpt, final_validation, rcptto, rcptto_list)", function() msg:discard() end)
  local localpart, domain = core.string_new(), core.string_new()
  msg:get_envelope2(core.EC_MSG_ENV_FROM, localpart, domain)
  check.equal(#domain == 0, tostring(str) == "")
  self.msg = msg
end

function mod:validate_rcptto(msg, str, ac, vctx)
  check.equal(msg:rcptto(), tostring(str))
  check.fails("msg:rcptto: the recipient can be changed from validate_data_spool_each_rcpt on, not before", function() msg:rcptto("eve@example.com") end)
  check.fails("msg:rcptto: '<>' is not an address", function() msg:rcptto("<>") end)
  check.equal(msg:mailfrom(), self.msg:mailfrom())
end

function mod:validate_data(msg, ac, vctx)
  if msg:mailfrom() == "" then
    check.list(msg:header("Subject"), {})
    check.list(msg:address_header("To"), {})
    check.equal(msg:reception_peer("ip"), "2001:db8::1")
    check.equal(msg:listener_addr(), "2001:db8::25:25")
    check.equal(msg:rcptto(), "bob@example.com")
    local localpart, domain = core.string_new(), core.string_new()
    check.equal(msg:get_envelope2(core.EC_MSG_ENV_FROM, localpart, domain), 1)
    check.equal(#localpart + #domain, 0)
    msg:header("X-First", "header of an empty message")
    return
  end
  read_headers(msg)
  write_headers(msg)
  misused_headers(msg)
  address_headers(msg)
  envelope(msg)
  origin(msg, ac)
  response(msg)
  check.equal(msg:rcptto(), "bob@example.com")
  print("ok message")
end

-- Taken back: the message stays.
function mod:validate_data_spool(msg, ac, vctx)
  check.equal(msg:quarantine("look at it"), nil)
  msg:quarantine()
  print("ok quarantine")
end

-- The sender can be changed for every recipient alike, each recipient for itself.
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  if msg:mailfrom() ~= "" then
    check.fails("msg:mailfrom: 'Ann <ann@example.org>' is not an address", function() msg:mailfrom("Ann <ann@example.org>") end)
    check.equal(msg:mailfrom("<bounces@example.org>"), "bounces@example.org")
    check.equal(msg:mailfrom(), "bounces@example.org")
    check.equal(msg:mailfrom(""), "")
    check.equal(msg:mailfrom("bounces@example.org"), "bounces@example.org")
  end
  local before = msg:rcptto()
  check.equal(check.results(1, msg:rcptto("new+" .. before)), "new+" .. before)
  check.equal(msg:rcptto(), "new+" .. before)
  check.equal(msg:rcptto("<" .. before .. ">"), before)
  check.fails("msg:rcptto: '' is not an address", function() msg:rcptto("") end)
  check.fails("msg:rcptto: 'a@example.com, b@example.com' is not an address", function() msg:rcptto("a@example.com, b@example.com") end)
  check.fails("bad argument #1 to 'msg:rcptto' (string expected, got table)", function() msg:rcptto({}) end)
  check.equal(msg:header("X-Each", "of everyone"), true)
  print("ok envelope")
end

-- One recipient's copy is dropped; the other's goes on.
function mod:core_post_msg_each_rcpt(msg, ac, vctx)
  if msg:rcptto() == "Carol+list@Example.NET" then
    check.equal(msg:discard(), nil)
    check.equal(msg:code(), "550 5.7.0 discarded by policy")
    msg:discard("550 my reason")
    check.equal(msg:code(), "550 my reason")
    msg:discard("a reason without code")
    check.equal(msg:code(), "550 5.7.1 [internal] discarded by policy")
    print("ok discard")
  end
end

function mod:validate_set_binding(msg)
  check.list(msg:header("X-Each"), { "of everyone" })
  check.equal(msg:rcptto(), "bob@example.com")
  check.fails("msg:discard cannot be called in set_binding (allowed in: data, data_spool, data_spool_each_rcpt, final_validation, rcptto, rcptto_list)", function() msg:discard() end)
  check.fails("msg:code cannot be called in set_binding (allowed in: data, data_spool, data_spool_each_rcpt, final_validation)", function() msg:code() end)
end

function mod:core_final_validation(msg, ac, vctx)
  msg:header("X-Last", "from the final validation")
  print("ok final validation")
end

-- A message object outlives its phases and says so.
function mod:validate_dealloc()
  check.fails("msg:mailfrom cannot be called in dealloc (allowed in: data, data_spool, data_spool_each_rcpt, final_validation, mailfrom, rcptto, rcptto_list, set_binding)", function() self.msg:mailfrom() end)
  check.fails("msg.id cannot be called in dealloc (allowed in: data, data_spool, data_spool_each_rcpt, final_validation, mailfrom, rcptto, rcptto_list, set_binding)", function() return self.msg.id .. "" end)
end

msys.registerModule("extended_message", mod)
