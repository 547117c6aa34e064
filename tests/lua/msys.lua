-- msys: modules, types, casts, time, DNS, macros, the log, the host's name.

local check = require("check")
local core = msys.core

local mod = {}

function mod:init()
  check.equal(msys.asyncOk(), true)
  check.fails("msys.expandMacro: there is no session whose values could be put in", function() msys.expandMacro("%{s}") end)
  check.equal(msys.expandMacro("no macro"), "no macro")
  check.equal(msys.log(core.LOG_INFO, "from init"), nil)
  print("ok init")
  return true
end

-- A table without any hook is no module; a second module of the same name is one of its own.
check.equal(msys.registerModule("nothing", { helper = function() end, validate_ehlo = "not a function" }), nil)
msys.registerModule("msys", {
  validate_ehlo = function(self)
    check.equal(self.mine, nil)
    print("ok another module of the same name")
  end,
})
check.fails("msys.registerModule wants a name and a table of functions", function() msys.registerModule("x") end)
check.fails("msys.registerModule wants a name and a table of functions", function() msys.registerModule({}, {}) end)

local function types(ac, vctx)
  check.equal(msys.type(nil), "nil")
  check.equal(msys.type(1), "number")
  check.equal(msys.type("s"), "string")
  check.equal(msys.type({}), "table")
  check.equal(msys.type(print), "function")
  check.equal(msys.type(ac), "accept_construct")
  check.equal(msys.type(vctx), "validate_context")
  check.equal(msys.type(ac.remote_addr), "ec_sockaddr")
  check.equal(msys.type(core.string_new()), "ec_string")
  check.equal(type(ac), "userdata")

  check.equal(msys.cast(ac, "accept_construct"), ac)
  check.fails("msys.cast: the object is of class 'accept_construct', it can't be used as 'ec_message'", function() msys.cast(ac, "ec_message") end)
  check.fails("msys.cast: there is no class 'nonsense'", function() msys.cast(ac, "nonsense") end)
  check.fails("msys.cast: a string is not an object of Momentum's", function() msys.cast("x", "ec_message") end)
  print("ok types")
end

local function classes(vctx)
  local class = msys.getClassMetaTable("validate_context")
  check.equal(type(class), "table")
  check.equal(class, getmetatable(vctx))
  function class:describe(suffix)
    return self:get(core.VCTX_CONN, "ehlo_string") .. suffix
  end
  check.equal(vctx:describe("!"), vctx:get(core.VCTX_CONN, "ehlo_string") .. "!")
  check.fails("msys.getClassMetaTable: there is no class 'nonsense'", function() msys.getClassMetaTable("nonsense") end)
  check.fails("msys.getClassMetaTable: there is no class 'nil'", function() msys.getClassMetaTable() end)
  print("ok classes")
end

-- A wait works wherever a script can stand: also where Lua can't yield, and then the thread blocks.
local function sleeping()
  check.equal(msys.asyncOk(), true)
  check.equal(msys.sleep(0.001), nil)
  msys.sleep("0.001")
  msys.sleep(0)
  msys.sleep(-1)

  check.equal(pcall(msys.sleep, 0.001), true)
  local ok, message = xpcall(function()
    msys.sleep(0.001)
    error("after a sleep", 0)
  end, function(text) return "handled: " .. text end)
  check.equal(ok, false)
  check.equal(message, "handled: after a sleep")

  local co = coroutine.create(function(a)
    msys.sleep(0.001)
    local b = coroutine.yield(a + 1)
    msys.sleep(0.001)
    return b * 2
  end)
  check.list({ coroutine.resume(co, 1) }, { true, 2 })
  check.list({ coroutine.resume(co, 10) }, { true, 20 })
  check.equal(coroutine.status(co), "dead")

  local found = {}
  for n in coroutine.wrap(function() for i = 1, 3 do msys.sleep(0.001) coroutine.yield(i) end end) do
    found[n] = n
  end
  check.list(found, { 1, 2, 3 })

  local function count(_, i)
    msys.sleep(0.001)
    return i < 2 and i + 1 or nil
  end
  for i in count, nil, 0 do
    found[i] = 10 * i
  end
  check.list(found, { 10, 20, 3 })

  local lazy = setmetatable({}, {
    __index = function(_, key) msys.sleep(0.001) return key end,
    __add = function(_, n) msys.sleep(0.001) return n end,
    __eq = function() msys.sleep(0.001) return true end,
  })
  check.equal(lazy.name, "name")
  check.equal(lazy + 3, 3)
  check.equal(lazy == setmetatable({}, getmetatable(lazy)), true)

  local list, blocked = { 3, 1, 2 }, nil
  table.sort(list, function(a, b)
    blocked = msys.asyncOk()
    msys.sleep(0.001)
    return a < b
  end)
  check.list(list, { 1, 2, 3 })
  check.equal(blocked, false)

  check.equal((string.gsub("abc", "%w", function(c) msys.sleep(0.001) return c:upper() end)), "ABC")
  local sorted = { "b", "a" }
  table.sort(sorted, function(a, b) return #msys.dnsLookup("example.com") == 2 and a < b end)
  check.list(sorted, { "a", "b" })
  check.fails("bad argument #1 to 'msys.sleep' (number expected, got string)", function() msys.sleep("soon") end)
  check.fails("bad argument #1 to 'msys.sleep' (value expected)", function() msys.sleep() end)
  print("ok sleep")
end

local function lookups()
  check.list(check.results(1, msys.dnsLookup("example.com")), { "192.0.2.80", "192.0.2.81" })
  check.list(msys.dnsLookup("EXAMPLE.com.", "a"), { "192.0.2.80", "192.0.2.81" })
  check.list(msys.dnsLookup("example.com", "AAAA"), { "2001:db8::80" })
  check.list(msys.dnsLookup("example.com", "TXT"), { "v=spf1 -all", "caf\195\169" })
  check.list(msys.dnsLookup("example.com", "NS"), { "ns1.example.com" })
  check.list(msys.dnsLookup("192.0.2.1", "PTR"), { "client.example" })
  check.list(msys.dnsLookup("example.com", "MX"), { "mx.example.com", "backup.example.com" })
  check.list(msys.dnsLookup("example.com", "MX", { priority = false }), { "mx.example.com", "backup.example.com" })
  local records = msys.dnsLookup("example.com", "MX", { priority = true })
  check.list(records[1], { 10, "mx.example.com" })
  check.list(records[2], { 20, "backup.example.com" })
  check.list(msys.dnsLookup("example.com", "A", { priority = true }), { "192.0.2.80", "192.0.2.81" })
  check.list(msys.dnsLookup("example.com", nil, nil), { "192.0.2.80", "192.0.2.81" })

  local results, message = check.results(2, msys.dnsLookup("gone.example", "A"))
  check.equal(results, nil)
  check.equal(message, "NXDOMAIN")
  results, message = msys.dnsLookup("empty.example")
  check.equal(results, nil)
  check.equal(message, "NODATA")

  check.fails("msys.dnsLookup: record type 'SRV' is not one of A, AAAA, TXT, MX, PTR, NS", function() msys.dnsLookup("x", "SRV") end)
  check.fails("bad argument #1 to 'msys.dnsLookup' (string expected, got table)", function() msys.dnsLookup({}) end)
  check.fails("bad argument #3 to 'msys.dnsLookup' (table expected, got string)", function() msys.dnsLookup("x", "A", "8.8.8.8") end)
  check.fails("bad argument #3 to 'msys.dnsLookup' (table expected, got table with a table as a key)", function() msys.dnsLookup("x", "A", { [{}] = 1 }) end)
  check.fails("msys.dnsLookup: options.server is not a string", function() msys.dnsLookup("x", "A", { server = 8 }) end)
  print("ok dns")
end

local function logging()
  for _, level in ipairs({ "EMERG", "ALERT", "CRIT", "ERR", "WARNING", "NOTICE", "INFO", "DEBUG" }) do
    check.equal(msys.log(core["LOG_" .. level], "a line at " .. level), nil)
  end
  msys.log("6", 42)
  msys.log(core.LOG_INFO, "a\nb\0\255")
  check.fails("bad argument #2 to 'msys.log' (value expected)", function() msys.log(core.LOG_INFO) end)
  check.fails("bad argument #1 to 'msys.log' (number expected, got string)", function() msys.log("info", "x") end)
  print("ok log")
end

function mod:validate_connect(ac, vctx)
  check.equal(msys.expandMacro("%{vctx_conn:no_such_key}"), "")
  check.equal(msys.expandMacro("100% of %"), "100% of %")
  check.equal(msys.expandMacro("%{i}") ~= "", true)
  check.equal(gethostname(), "mx.example.com")
  check.equal(msys.expandMacro("%{r}"), "mx.example.com")
  self.mine = "kept"
  types(ac, vctx)
  lookups()
  logging()
end

function mod:validate_ehlo(str, ac, vctx)
  check.equal(self.mine, "kept")
  check.equal(msys.expandMacro("%{vctx_conn:ehlo_string}"), tostring(str))
  check.equal(msys.expandMacro("<%{h}>"), "<" .. str .. ">")
  check.equal(msys.expandMacro(42), "42")
  check.fails("bad argument #1 to 'msys.expandMacro' (string expected, got boolean)", function() msys.expandMacro(true) end)
  vctx:set(core.VCTX_CONN, "nested", "%{h}")
  check.equal(msys.expandMacro("%{vctx_conn:nested}"), "%{h}")
  classes(vctx)
  sleeping()
end

function mod:validate_mailfrom(str, ac, vctx)
  local sender = tostring(str)
  check.equal(msys.expandMacro("%{vctx_mess:mailfrom_string}"), sender)
  if sender == "ann@example.org" then
    check.equal(msys.expandMacro("%{s} %{l} %{o} %{d} %{i} %{v}"), "ann@example.org ann example.org example.org 192.0.2.1 in-addr")
    check.equal(msys.expandMacro("%{ir}.%{spfv1:v}.example"), "1.2.0.192.in-addr.example")
    check.equal(msys.expandMacro("%{d1}"), "org")
  else
    check.equal(msys.expandMacro("%{l}"), "postmaster")
    check.equal(msys.expandMacro("%{v}"), "ip6")
  end
end

function mod:validate_rcptto(msg, str, ac, vctx)
  check.equal(msys.type(msg), "ec_message")
  check.equal(msys.expandMacro("%{vctx_mess:rcptto_string}"), tostring(str))
  check.equal(msys.expandMacro("%{rfc2822:headers}"), "")
end

function mod:validate_data(msg, ac, vctx)
  local ordinary = msg:mailfrom() ~= ""
  check.equal(msys.expandMacro("%{rfc2822:body,1}"), ordinary and "Hello.\r\n" or "")
  check.equal(msys.expandMacro("%{rfc822:date}"):match("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d %+0000$") ~= nil, true)
  msg:context_set(core.ECMESS_CTX_MESS, "8bit", "caf\233")
  check.equal(msys.expandMacro("<%{vctx_mess:8bit}>"), "<caf\233>")
end

function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  check.equal(msys.expandMacro("%{vctx_mess:rcptto_string}"), msg:rcptto())
  print("ok macros")
end

function mod:validate_dealloc()
  check.equal(self.mine, "kept")
end

function mod:deinit()
  return true
end

msys.registerModule("msys", mod)
