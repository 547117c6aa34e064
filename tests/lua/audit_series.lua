-- msys.audit_series: windows by address and by string; keys in every form; what is refused.

require("msys.core")
require("msys.audit_series")
local check = require("check")
local series = msys.audit_series

local mod = {}

function mod:init()
  check.equal(series.define("clients", "cidr", 3600, 6, { persist = true, serialize = false, replicate = "none" }), nil)
  series.define("clients6", "cidr_ipv6", 3600, 6)
  series.define("words", "string", 3600, 6, nil)
  series.define("words", "string", 3600, 6)
  check.fails('msys.audit_series.define: the series "words" is defined already, and otherwise', function() series.define("words", "string", 3600, 7) end)
  check.fails('msys.audit_series.define: "ip" is no type of series: "cidr", "cidr_ipv6" or "string"', function() series.define("other", "ip", 3600, 6) end)
  local limits = "msys.audit_series.define: a series has 1 to 4096 windows of 1 to 31622400 seconds"
  check.fails(limits, function() series.define("other", "cidr", 0, 6) end)
  check.fails(limits, function() series.define("other", "cidr", 300, 0) end)
  check.fails(limits, function() series.define("other", "cidr", 300, 4097) end)
  check.fails("bad argument #3 to 'msys.audit_series.define' (value expected)", function() series.define("other", "cidr") end)
  series.define("flags", "cidr", 300, 6, { persist = 0, replicate = false }) -- as Lua sees them: 0 is true
  series.define("flags", "cidr", 300, 6, { persist = "true" })
  check.fails('msys.audit_series.define: the series "flags" is defined already, and otherwise', function() series.define("flags", "cidr", 300, 6, { persist = "false" }) end)
  check.fails('msys.audit_series.define: replicate is "none", "cluster" or "manager"', function() series.define("other", "cidr", 300, 6, { replicate = true }) end)
  print("ok define")
  return true
end

local function by_string()
  series.add("words", "a")
  series.add("words", { key = "a", count = 4 })
  series.add("words", { key = "b", count = -3 })
  series.add("words", { key = 12, count = "2" })
  check.equal(check.results(1, series.count("words", "a")), 5)
  check.equal(series.count("words", { key = "a", startv = 0, endv = 5 }), 5)
  check.equal(series.count("words", { key = "a", startv = 1, endv = 5 }), 0)
  check.equal(series.count("words", { key = "a", endv = 100 }), 5)
  check.equal(series.count("words", { key = "a", startv = 3, endv = 1 }), 0)
  check.equal(series.count("words", "b"), -3)
  check.equal(series.count("words", "12"), 2)
  check.equal(series.count("words", "\0\255"), 0)
  series.add("words", "\0\255")
  check.equal(series.count("words", "\0\255"), 1)
  local long = ("x"):rep(5000)
  series.add("words", long .. "1")
  check.equal(series.count("words", long .. "1"), 1)
  check.equal(series.count("words", long .. "2"), 0)
  check.equal(series.remove_item("words", "a"), nil)
  check.equal(series.count("words", "a"), 0)
  series.add("words", "a")
  series.remove_item("words", "a")
  check.equal(series.count("words", "a"), 0)
  for _, word in ipairs({ "b", "12", "\0\255", long .. "1", "not there" }) do
    series.remove_item("words", word)
  end
  check.fails('msys.audit_series.add: a key is needed: "words" is a string series', function() series.add("words") end)
  check.fails('msys.audit_series.count: a key is needed: "words" is a string series', function() series.count("words", {}) end)
  check.fails('msys.audit_series.remove_item: a key is needed: "words" is a string series', function() series.remove_item("words") end)
  check.fails("msys.audit_series.add: count is a number between -9007199254740991 and 9007199254740991", function() series.add("words", { key = "a", count = "many" }) end)
  check.fails("msys.audit_series.add: count is a number between -9007199254740991 and 9007199254740991", function() series.add("words", { key = "a", count = 0 / 0 }) end)
  check.fails("msys.audit_series.count: startv is a number between -9007199254740991 and 9007199254740991", function() series.count("words", { key = "a", startv = true }) end)
  print("ok string")
end

local function misuse()
  local absent = ': there is no series "none": msys.audit_series.define defines one, in init'
  check.fails("msys.audit_series.add" .. absent, function() series.add("none", "a") end)
  check.fails("msys.audit_series.count" .. absent, function() series.count("none", "a") end)
  check.fails("msys.audit_series.remove_item" .. absent, function() series.remove_item("none", "a") end)
  check.fails("bad argument #1 to 'msys.audit_series.add' (string expected, got nil)", function() series.add(nil, "a") end)
  check.fails("msys.audit_series.define cannot be called in connect (allowed in: init, load)", function() series.define("late", "cidr", 300, 6) end)
  check.fails('msys.audit_series.count: "mx.example.com" is neither an address nor a network nor a mask such as "/24"', function() series.count("clients", "mx.example.com") end)
  check.fails('msys.audit_series.count: the mask of "192.0.2.0/33" is none: expected a number from 0 to 32', function() series.count("clients", "192.0.2.0/33") end)
  check.fails("msys.audit_series.count: a network is named by a string, or by a connection", function() series.count("clients", { key = 7 }) end)
  print("ok misuse")
end

-- 192.0.2.1 is the first session's client, 2001:db8::1 the second's.
function mod:validate_connect(ac, vctx)
  misuse()
  by_string()
  if msys.core.ec_sockaddr_family(ac.remote_addr) == msys.core.AF_INET6 then
    series.add("clients6")
    check.equal(series.count("clients6"), 1)
    check.equal(series.count("clients6", ac), 1)
    check.equal(series.count("clients6", "/64"), 1)
    check.equal(series.count("clients6", "[2001:db8::1]"), 1)
    check.equal(series.count("clients6", "2001:db8::/32"), 1)
    check.equal(series.count("clients6", "2001:db8::/61"), 1)
    check.equal(series.count("clients6", "2001:db9::/32"), 0)
    series.add("clients") -- of the other family: not counted
    check.equal(series.count("clients"), 0)
    series.remove_item("clients")
    print("ok ipv6")
    return
  end
  series.add("clients")
  series.add("clients", ac)
  series.add("clients", { key = ac, count = 3 })
  series.add("clients", "192.0.2.77")
  check.equal(series.count("clients"), 5)
  check.equal(series.count("clients", {}), 5)
  check.equal(series.count("clients", ac), 5)
  check.equal(series.count("clients", ac.remote_addr), 5)
  check.equal(series.count("clients", "/32"), 5)
  check.equal(series.count("clients", "/24"), 6)
  check.equal(series.count("clients", "/26"), 5)
  check.equal(series.count("clients", "/25"), 6)
  check.equal(series.count("clients", { key = "192.0.2.77/255.255.255.0", startv = 0, endv = 5 }), 6)
  check.equal(series.count("clients", "::ffff:192.0.2.77"), 1)
  check.equal(series.count("clients", "::ffff:192.0.2.77/120"), 6)
  check.fails('msys.audit_series.count: the mask of "::ffff:192.0.2.77/24" is none: expected a number from 96 to 128', function() series.count("clients", "::ffff:192.0.2.77/24") end)
  check.equal(series.count("clients", "0.0.0.0/0"), 6)
  check.equal(series.count("clients", "203.0.113.0/24"), 0)
  series.remove_item("clients", "192.0.2.77")
  check.equal(series.count("clients", "/24"), 5)
  series.remove_item("clients", ac)
  check.equal(series.count("clients", "/0"), 0)
  series.add("clients6", "192.0.2.1")
  check.equal(series.count("clients6", "2001:db8::/32"), 0)
  check.equal(series.count("clients6"), 0)
  check.equal(series.count("clients6", "/64"), 0) -- a mask of clients that this one is not
  series.add("clients6", { key = "/64", count = 3 })
  check.equal(series.count("clients6", "::/0"), 0)
  print("ok ipv4")
end

msys.registerModule("audit_series", mod)
