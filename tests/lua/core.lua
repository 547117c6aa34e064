-- msys.core: constants, the validation context, the message's contexts and size, strings and time.

require("msys.core")
local check = require("check")
local core = msys.core

local mod = {}

local function named_constants()
  check.equal(msys.core.VALIDATE_CONT, 0)
  local statuses = {
    msys.core.VALIDATE_CONT, msys.core.VALIDATE_DONE, msys.core.VALIDATE_AGAIN,
    msys.core.EC_HOOK_CONT, msys.core.EC_HOOK_DONE, msys.core.EC_HOOK_RETRY,
  }
  check.list(statuses, { 0, 1, 2, 0, 1, 2 })
  check.equal(msys.core.VCTX_CONN, msys.core.ECMESS_CTX_CONN)
  check.equal(msys.core.VCTX_MESS, msys.core.ECMESS_CTX_MESS)
  check.equal(msys.core.VCTX_CONN ~= msys.core.VCTX_MESS, true)
  check.equal(msys.core.EC_MSG_ENV_FROM | msys.core.EC_MSG_ENV_TO | msys.core.EC_MSG_ENV_COMPLETE, 7)
  check.equal(msys.core.P_INTERNAL != msys.core.P_ESMTP, true)
  check.equal(msys.core.FAILED, -1)
  check.equal(msys.core.EC_MSG_RENDER_OMIT_DOT, 1)
  check.list({ msys.core.AF_UNSPEC, msys.core.AF_UNIX, msys.core.AF_INET, msys.core.AF_INET6 }, { 0, 1, 2, 10 })

  local kinds, seen = {
    msys.core.STRING_TYPE_STATIC, msys.core.STRING_TYPE_DISK_BACKED, msys.core.STRING_TYPE_IO_OBJECT,
    msys.core.STRING_TYPE_GROWBUF, msys.core.STRING_TYPE_GROWABLE_STATIC,
  }, {}
  for _, kind in ipairs(kinds) do
    seen[kind] = true
  end
  check.equal(#kinds, 5)
  check.equal(seen[-100] and seen[-101] and seen[-102] and seen[-103] and seen[-104], true)

  -- Linux has these numbers, and scripts combine them with `|` or `+`.
  check.equal(msys.core.O_RDONLY, 0)
  check.equal(msys.core.O_WRONLY | msys.core.O_RDWR, 3)
  check.equal(msys.core.O_CREAT | msys.core.O_EXCL, 0300)
  check.equal(msys.core.O_APPEND + msys.core.O_TRUNC, 03000)
  local levels = {
    msys.core.LOG_EMERG, msys.core.LOG_ALERT, msys.core.LOG_CRIT, msys.core.LOG_ERR,
    msys.core.LOG_WARNING, msys.core.LOG_NOTICE, msys.core.LOG_INFO, msys.core.LOG_DEBUG,
  }
  check.list(levels, { 0, 1, 2, 3, 4, 5, 6, 7 })
  check.equal(msys.core.NO_SUCH_CONSTANT, nil)
  print("ok constants")
end
named_constants()

local function context_of(vctx, which)
  check.equal(vctx:set(which, "text", "value"), nil)
  check.equal(check.results(1, vctx:get(which, "text")), "value")
  check.equal(vctx:get(which, "missing"), "")
  check.equal(check.results(1, vctx:exists(which, "text")), 1)
  check.equal(vctx:exists(which, "missing"), 0)
  vctx:set(which, "number", 12)
  check.equal(vctx:get(which, "number"), "12")
  vctx:set(which, "number", 0.5)
  check.equal(vctx:get(which, "number"), "0.5")
  vctx:set(which, "number", 1e15)
  check.equal(vctx:get(which, "number"), tostring(1e15))
  vctx:set(which, "flag", true)
  check.equal(vctx:get(which, "flag"), "true")
  vctx:set(which, "flag", false)
  check.equal(vctx:get(which, "flag"), "false")
  vctx:set(which, "empty", "")
  check.equal(vctx:get(which, "empty"), "")
  check.equal(vctx:exists(which, "empty"), 1)
  vctx:set(which, "caf\233\0", "\0\128\255\r\n")
  check.equal(vctx:get(which, "caf\233\0"), "\0\128\255\r\n")
  vctx:set(which, 7, "seven")
  check.equal(vctx:get(which, "7"), "seven")
  local text = core.string_new()
  text:set("from an ec_string")
  vctx:set(which, "string", text)
  check.equal(vctx:get(which, "string"), "from an ec_string")
end

local function misuse_of(vctx)
  check.fails("vctx:get: 7 is neither VCTX_CONN (0) nor VCTX_MESS (1)", function() vctx:get(7, "key") end)
  check.fails("vctx:set: -1 is neither VCTX_CONN (0) nor VCTX_MESS (1)", function() vctx:set(-1, "key", "value") end)
  check.fails("bad argument #1 to 'vctx:get' (number expected, got nil)", function() vctx:get(msys.core.VCTX_MISSPELT, "key") end)
  check.fails("bad argument #2 to 'vctx:get' (string expected, got table)", function() vctx:get(core.VCTX_CONN, {}) end)
  check.fails("bad argument #2 to 'vctx:get' (value expected)", function() vctx:get(core.VCTX_CONN) end)
  check.fails("bad argument #3 to 'vctx:set' (string expected, got nil)", function() vctx:set(core.VCTX_CONN, "key", nil) end)
  check.fails("bad argument #3 to 'vctx:set' (string expected, got table)", function() vctx:set(core.VCTX_CONN, "key", {}) end)
  check.fails("bad argument #3 to 'vctx:set' (string expected, got function)", function() vctx:set(core.VCTX_CONN, "key", print) end)
  check.fails("bad argument #3 to 'vctx:set' (value expected)", function() vctx:set(core.VCTX_CONN, "key") end)
  check.fails("vctx:get needs its object: call it as object:get(...)", function() vctx.get(core.VCTX_CONN, "key") end)
  check.fails("vctx:get needs its object: call it as object:get(...)", function() vctx.get() end)
  check.equal(vctx:get(core.VCTX_CONN, "key"), "")
  check.equal(vctx:get("0", "ehlo_string"), vctx:get(core.VCTX_CONN, "ehlo_string"))
end

-- The code is of this phase only; a 250 at the end takes everything back, so that the session goes on.
local function reply_of(vctx)
  check.equal(vctx.code, 250)
  check.equal(vctx.note, nil)
  check.equal(vctx:set_code(553, "5.1.8 no"), nil)
  check.equal(vctx.code, 553)
  check.equal(vctx.note, "5.1.8 no")
  vctx:set_code("453", "later")
  check.equal(vctx.code, 453)
  vctx:set_code(550, nil)
  check.equal(vctx.note, nil)
  vctx:set_code(550, 42)
  check.equal(vctx.note, "42")
  check.fails("vctx:set_code: 99 is not an SMTP reply code (200 to 599)", function() vctx:set_code(99, "x") end)
  check.fails("vctx:set_code: 600 is not an SMTP reply code (200 to 599)", function() vctx:set_code("600", "x") end)
  check.fails("bad argument #1 to 'vctx:set_code' (number expected, got string)", function() vctx:set_code("five", "x") end)
  check.fails("bad argument #2 to 'vctx:set_code' (value expected)", function() vctx:set_code(550) end)
  check.fails("bad argument #2 to 'vctx:set_code' (string expected, got table)", function() vctx:set_code(550, {}) end)
  check.fails("bad argument #1 to 'vctx:set_code' (integer expected, got a number without an integer value)", function() vctx:set_code(0 / 0, "x") end)

  check.equal(vctx:disconnect(), nil)
  check.equal(vctx.code, 421)
  check.equal(vctx.note, nil)
  vctx:disconnect("550", "5.7.1 go away")
  check.equal(vctx.code, 550)
  check.equal(vctx.note, "5.7.1 go away")
  vctx:disconnect(nil, "4.7.0 bye")
  check.equal(vctx.code, 421)
  check.equal(vctx.note, "4.7.0 bye")
  check.fails("vctx:disconnect: 250 does not refuse anything; disconnect needs a 4xx or 5xx code", function() vctx:disconnect(250, "x") end)
  check.fails("bad argument #1 to 'vctx:disconnect' (number expected, got string)", function() vctx:disconnect("now") end)
  vctx.disconnect = 0
  vctx:set_code(250, nil)
end

local function message_context(msg)
  for _, which in ipairs({ core.ECMESS_CTX_CONN, core.ECMESS_CTX_MESS, core.VCTX_CONN, core.VCTX_MESS }) do
    check.equal(msg:context_set(which, "m_key", "value"), nil)
    check.equal(check.results(1, msg:context_get(which, "m_key")), "value")
    check.equal(check.results(1, msg:context_exists(which, "m_key")), 1)
    check.list({ check.results(2, msg:context_exists_and_get(which, "m_key")) }, { 1, "value" })
    check.equal(check.results(1, msg:context_delete(which, "m_key")), 1)
    check.equal(msg:context_delete(which, "m_key"), 0)
    check.equal(msg:context_exists(which, "m_key"), 0)
    local exists, value = check.results(2, msg:context_exists_and_get(which, "m_key"))
    check.equal(exists, 0)
    check.equal(value, nil)
    check.equal(msg:context_get(which, "m_key"), "")
    local val = 1
    msg:context_set(which, "m_key", val)
    check.equal(msg:context_get(which, "m_key"), "1")
    msg:context_set(which, "m_key", "")
    check.list({ msg:context_exists_and_get(which, "m_key") }, { 1, "" })
    check.equal(msg:context_delete(which, "m_key"), 1)
    msg:context_set(which, "\255\0", "caf\233")
    check.equal(msg:context_get(which, "\255\0"), "caf\233")
  end
  check.fails("msg:context_get: 2 is neither ECMESS_CTX_CONN (0) nor ECMESS_CTX_MESS (1)", function() msg:context_get(2, "x") end)
  check.fails("bad argument #1 to 'msg:context_set' (number expected, got string)", function() msg:context_set("mess", "x", "y") end)
  check.fails("bad argument #3 to 'msg:context_set' (string expected, got nil)", function() msg:context_set(0, "x", nil) end)
  check.fails("msg:context_get needs its object: call it as object:context_get(...)", function() msg.context_get(core.VCTX_MESS, "x") end)
end

function mod:validate_connect(ac, vctx)
  context_of(vctx, core.VCTX_CONN)
  context_of(vctx, core.ECMESS_CTX_MESS)
  misuse_of(vctx)
  reply_of(vctx)
  check.equal(vctx:get(core.VCTX_CONN, "connection_message_count"), "0")
  self.connected = core.get_now_ts()
  check.equal(check.results(1, msys.core.get_now_ts()), self.connected)
  check.equal(math.abs(self.connected - os.time()) <= 1, true)
  print("ok vctx")
end

function mod:validate_ehlo(str, ac, vctx)
  check.equal(vctx:get(core.VCTX_CONN, "text"), "value")
  check.equal(vctx.code, 250)
  check.equal(vctx:get(core.VCTX_CONN, "ehlo_string"), tostring(str))
  check.equal(vctx:get(core.VCTX_CONN, msys.core.STANDARD_KEY_EHLO_STRING), tostring(str))
  check.equal(vctx:get(core.VCTX_CONN, msys.core.STANDARD_KEY_EHLO_DOMAIN), tostring(str):lower())
end

function mod:validate_mailfrom(str, ac, vctx)
  local mc = msys.core.accept_construct_get_message_construct(ac)
  check.fails("msg:get_message_size cannot be called in mailfrom (allowed in: data, data_spool, data_spool_each_rcpt, final_validation, set_binding)", function() mc.message:get_message_size() end)
  check.fails("bad argument #1 to 'msys.core.accept_construct_get_message_construct' (accept_construct expected, got validate_context)", function() msys.core.accept_construct_get_message_construct(vctx) end)
  message_context(mc.message)
  check.equal(vctx:get(core.VCTX_MESS, "mailfrom_string"), tostring(str))
  if #str > 0 then
    check.equal(vctx:get(core.VCTX_MESS, msys.core.STANDARD_KEY_MAILFROM_STRING), "ann@example.org")
    check.equal(vctx:get(core.VCTX_MESS, msys.core.STANDARD_KEY_MAILFROM_LOCALPART), "ann")
    check.equal(vctx:get(core.VCTX_MESS, msys.core.STANDARD_KEY_MAILFROM_DOMAIN), "example.org")
    check.equal(vctx:get(core.VCTX_CONN, "auth_user"), "ann")
    check.equal(vctx:get(core.VCTX_CONN, "auth_status"), "pass")
    check.equal(vctx:get(core.VCTX_CONN, "can_relay"), "true")
    check.equal(vctx:get(core.VCTX_CONN, "tls"), "true")
    check.equal(vctx:get(core.VCTX_CONN, "tls_version"), "TLSv1.3")
  else
    check.equal(vctx:exists(core.VCTX_CONN, "auth_user"), 0)
    check.equal(vctx:exists(core.VCTX_CONN, "tls"), 0)
    check.equal(vctx:get(core.VCTX_MESS, "mailfrom_domain"), "")
  end
  vctx:set(core.VCTX_MESS, "from_mailfrom", "yes")
end

function mod:validate_rcptto(msg, str, ac, vctx)
  check.equal(msg:context_get(core.ECMESS_CTX_MESS, msys.core.STANDARD_KEY_RCPTTO_STRING), tostring(str))
  local localpart = msg:context_get(core.ECMESS_CTX_MESS, msys.core.STANDARD_KEY_RCPTTO_LOCALPART)
  local domain = msg:context_get(core.ECMESS_CTX_MESS, msys.core.STANDARD_KEY_RCPTTO_DOMAIN)
  check.equal(localpart .. "@" .. domain, tostring(str))
  self.rcpts = (self.rcpts or 0) + 1
  check.equal(vctx:get(core.VCTX_CONN, "message_rcpt_count"), tostring(self.rcpts))
end

function mod:validate_data(msg, ac, vctx)
  check.equal(msg:context_get(core.ECMESS_CTX_MESS, "from_mailfrom"), "yes")
  message_context(msg)
  local size = check.results(1, msg:get_message_size())
  check.equal(size, msg:mailfrom() == "" and 2 or 361)
  msg:context_set(core.ECMESS_CTX_MESS, "shared", "before the recipients part")
  print("ok message context")
end

-- Every recipient has a message context of its own, made from the message's; vctx and msg see the same one.
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  check.equal(vctx:get(core.VCTX_MESS, "shared"), "before the recipients part")
  check.equal(vctx:get(core.VCTX_MESS, "own"), "")
  vctx:set(core.VCTX_MESS, "own", msg:rcptto())
  check.equal(msg:context_get(core.ECMESS_CTX_MESS, "own"), msg:rcptto())
  check.equal(msg:context_get(core.ECMESS_CTX_MESS, "rcptto_string"), msg:rcptto())
end

function mod:validate_set_binding(msg)
  check.equal(msg:context_get(core.VCTX_MESS, "own"), msg:rcptto())
  check.equal(msg:get_message_size() >= 2, true)
  print("ok own context")
end

function mod:core_final_validation2(msg)
  check.equal(msg:context_get(core.VCTX_MESS, "own"), msg:rcptto())
  return msys.core.EC_HOOK_CONT
end

msys.registerModule("core", mod)
