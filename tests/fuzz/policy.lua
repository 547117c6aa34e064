-- Does everything that a policy can do, in an order that is decided by the client's port. HOOKS (name to arguments) is
-- put before it. An error that names no line of this file is printed as "unplaced".
local mod, turn = {}, 0
local function below(n)
  turn = (turn * 1103515245 + 12345) % 2147483648
  return math.floor(turn / 65536) % n
end
local function one_in(n) return below(n) == 0 end
local function next_of(list) return list[below(#list) + 1] end
local conn, mess = msys.core.VCTX_CONN, msys.core.VCTX_MESS
local function text_of(str, vctx)
  return next_of({
    tostring(str or ""), vctx:get(mess, "rcptto_string") or "", "ann@example.org", "bob@example.com",
    "%{s} %{rfc2822:text}",
    "\0\r\nX: y", ("\195\188"):rep(600), "\233, x", "5.7.1 no",
  })
end
local function any(text, msg, ac, vctx, str)
  return {
    function() vctx:set(conn, text, text) vctx:set(mess, text, vctx:get(conn, text)) end,
    function() return msys.expandMacro(text .. "%{rfc2822:part,2}%{ir}%{S}%{rfc2822:body,3b}") end,
    function() return msys.pcre.match(text, "(?<a>.)\\K(x*)"), msys.pcre.split(text, ",") end,
    function() return msys.pcre.replace(text, "\\s|.", "$0", 3) end,
    function() return msys.dnsLookup(text, "mx") end,
    function() print(text, msg, ac, vctx) msys.log(msys.core.LOG_DEBUG, text) end,
    function() return loadstring(text), loadstring("x = " .. text), loadstring("x = [[" .. text .. "]]", text) end,
    function() local module = require(text) return module end,
    function() error({ text }) end,
    function() error(text) end,
    function() return nil + 1 end,
    function() str:set(text) end,
    function() return ac.remote_addr, ac.nothing, vctx[text] end,
    function() vctx.note = text vctx.code = next_of({ 250, 250, 250, 250, 451 }) end,
    function() vctx.code = text end,
    function() return ("x"):rep(2 ^ 40) end,
    function()
      for _ in ipairs({ 1, 2 }) do coroutine.wrap(function() msys.sleep(0) vctx:set(mess, "in", text) end)() end
    end,
    function() if one_in(6) then vctx:set_code(next_of({ 421, 451, 550, 599, 7, -1 }), text) end end,
    function() if one_in(60) then vctx:disconnect(next_of({ 421, 550 }), text) end end,
    function() if one_in(60) then vctx:pbp_disconnect(550, text) end end,
  }
end
local function with_message(text, msg, ac, vctx, str)
  return {
    function() msg:header("X-Poke", text) end,
    function() msg:header("Subject", (msg:header("Subject")[1] or "") .. text, "prepend") end,
    function() msg:header(next_of({ "From", "X-\233", "", text }), { text, text }, "replace") end,
    function() msg:header("From", "") msg:header("X-Poke", nil, "delete") end,
    function() msg:header("X-Poke", { text, 5, "" }, "append") end,
    function() for name, value in pairs(msg:header("Received")) do msg:header("X-" .. name, value) end end,
    function() return msg:address_header("To", next_of({ "all", "localpart", "domain", "x" }))[1] .. "x" end,
    function() msg:mailfrom(text) end,
    function() msg:mailfrom("") end,
    function() msg:rcptto(text) end,
    function() vctx:add_recipient(text) end,
    function() vctx:remove_recipient(text) end,
    function() local list = vctx:recipient_list() list[#list + 1] = text vctx:recipient_list(list) end,
    function() vctx:recipient_list({ text }) end,
    function() if one_in(20) then msg:discard(text) end end,
    function() msg:quarantine(text) end,
    function() msg:context_set(mess, text, text) return msg:context_get(conn, text), msg:context_exists(mess, text) end,
    function() msg:code(next_of({ 250, 451, 550 }), text) msg:context_delete(mess, text) end,
    function() return msg:get_message_size() .. tostring(msg:get_envelope2("to", msys.core.string_new())) end,
    function() return require("msys.dumper").Dumper({ msg, text }) end,
    function() return msg[text], msg.id, msg.conn_id, msg:reception_peer(), msg:listener_addr() end,
  }
end
local function note(ok, message)
  if ok or type(message) ~= "string" then return end
  if message:find("internal error", 1, true) or not message:find("^policy.lua:%d+: ") then
    print("unplaced: " .. message)
  end
end
local function poke(msg, ac, vctx, str)
  local text = text_of(str, vctx)
  for _ = 1, 6 do
    local deed = next_of((msg and next_of({ any, with_message, with_message }) or any)(text, msg, ac, vctx, str))
    if one_in(60) then deed() else note(pcall(deed)) end
  end
  return next_of({ msys.core.VALIDATE_CONT, nil, msys.core.VALIDATE_DONE, text, -5, {}, false })
end
for name, wants in pairs(HOOKS) do
  mod[name] = function(self, ...)
    local given = {}
    for i, want in ipairs(wants) do given[want] = (select(i, ...)) end
    if name == "core_validate_accept" then turn = tonumber(tostring(given.ac.remote_addr):match("%d+$")) or turn end
    if given.vctx then return poke(given.msg, given.ac, given.vctx, given.str) end
  end
end
msys.registerModule("policy", mod)
