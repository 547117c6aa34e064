-- msys.cidr: lists of networks, from files of rbldnsd, from datasources, and filled by scripts.

require("msys.cidr")
require("msys.db")
local check = require("check")

local mod = {}
local file = os.tmpname()

local function write(text)
  local out = io.open(file, "w")
  out:write(text)
  out:close()
end

function mod:init()
  write([[
# a comment
$1 see http://rbl.example
:127.0.0.2:Listed, $1/$
192.0.2.0/24
192.0.2.128/25 :4:upper half
!192.0.2.200
198.51.100.7
10.79:5:no space
2001:db8::/32 :6:six
]])
  check.equal(check.results(1, msys.cidr.define("rbl", { type = "rbldnsd", source = "file:" .. file, default_value = "127.0.0.0" })), true)
  check.equal(msys.cidr.define("text", {
    type = "rbldnsd", source = file, value = "txt", interpolate = true, refresh = 0, optimize = true,
  }), true)
  check.equal(msys.cidr.define("bare", "empty"), true)

  msys.db.execute("mycache", "create table nets (cidr text, verdict text)")
  msys.db.execute("mycache", "insert into nets values ('192.0.2.0/24', 'good'), ('192.0.2.1', null), ('::ffff:10.0.0.0/104', 'ten')")
  check.equal(msys.cidr.define("db", {
    type = "datasource", cachename = "mycache", query = "select verdict, cidr from nets",
    cidr_column = "cidr", value_column = 1, default_value = false,
  }), true)
  check.equal(msys.cidr.define("members", { type = "datasource", cachename = "mycache", query = "select cidr from nets" }), true)

  local none, why = check.results(2, msys.cidr.define("away", { type = "rbldnsd", source = "/nonexistent/list" }))
  check.equal(none, nil)
  check.equal(why, "/nonexistent/list: No such file or directory")
  check.equal(msys.cidr.query("away", "192.0.2.1"), nil)
  none, why = msys.cidr.define("nowhere", { type = "datasource", cachename = "nowhere", query = "select 1" })
  check.equal(none, nil)
  check.equal(why, 'there is no [[datasource]] "nowhere" in the configuration')

  check.fails("msys.cidr.define: type is one of datasource, rbldnsd, empty, not 'trie'", function() msys.cidr.define("x", { type = "trie" }) end)
  check.fails("msys.cidr.define: a list of type rbldnsd needs the option source", function() msys.cidr.define("x", "rbldnsd") end)
  check.fails("msys.cidr.define: a list of type datasource needs the option query", function() msys.cidr.define("x", { type = "datasource", cachename = "mycache" }) end)
  check.fails('msys.cidr.define: value is "a" or "txt", not \'mx\'', function() msys.cidr.define("x", { type = "rbldnsd", source = file, value = "mx" }) end)
  check.fails("msys.cidr.define: refresh is a number of seconds, 0 is never", function() msys.cidr.define("x", { type = "rbldnsd", source = file, refresh = "often" }) end)
  check.fails("msys.cidr.query: there is no client here whose address could be looked up: pass one", function() msys.cidr.query("rbl") end)
  print("ok define")
  return true
end

function mod:validate_connect(ac, vctx)
  local query = msys.cidr.query
  local six = tostring(ac.remote_addr):find("2001:", 1, true)
  check.equal(query("rbl"), six and "127.0.0.6" or "127.0.0.2")
  check.equal(query("text"), six and "six" or "Listed, see http://rbl.example/192.0.2.1")
  check.fails("msys.cidr.query: an address is a string, or a connection", function() query("rbl", {}) end)
  check.equal(query("rbl", ac), query("rbl"))
  check.equal(query("rbl", ac.remote_addr), query("rbl"))
  check.equal(query("rbl", "192.0.2.129"), "127.0.0.4")
  check.equal(query("text", "192.0.2.129"), "upper half")
  check.equal(query("rbl", "192.0.2.200"), "127.0.0.0") -- excluded: the default value
  check.equal(query("text", "192.0.2.200"), nil)
  check.equal(query("rbl", "198.51.100.7"), "127.0.0.2")
  check.equal(query("rbl", "198.51.100.8"), "127.0.0.0")
  check.equal(query("rbl", "10.79.255.255"), "127.0.0.5")
  check.equal(query("rbl", "::ffff:10.79.0.1"), "127.0.0.5")
  check.equal(query("rbl", "2001:db8:ffff::1"), "127.0.0.6")
  check.equal(query("db", "192.0.2.77"), "good")
  check.equal(query("db", "10.1.2.3"), "ten")
  check.equal(query("db", "192.0.3.77"), false)
  check.equal(query("members", "192.0.2.77"), true)
  check.equal(query("members", "192.0.3.77"), nil)
  local none, why = check.results(2, query("rbl", "mail.example"))
  check.equal(none, nil)
  check.equal(why, "'mail.example' is not an IP address")
  check.fails("msys.cidr.query: no CIDR list is called 'other': define it by msys.cidr.define in init", function() query("other") end)
  check.fails("msys.cidr.define cannot be called in connect (allowed in: init, load)", function() msys.cidr.define("late", "empty") end)
  print("ok query")
end

function mod:validate_ehlo(str, ac, vctx)
  local query = msys.cidr.query
  msys.cidr.add("bare", "10.0.0.0/8")
  msys.cidr.add("bare", "10.1.0.0/16", "inner")
  msys.cidr.add("bare", "2001:db8::/32", "six")
  check.equal(query("bare", "10.2.0.1"), true)
  check.equal(query("bare", "10.1.0.1"), "inner")
  check.equal(query("bare", "2001:db8::9"), "six")
  check.equal(query("bare", "11.0.0.1"), nil)
  check.equal(check.results(1, msys.cidr.remove("bare", "10.1.0.0/16")), true)
  check.equal(msys.cidr.remove("bare", "10.1.0.0/16"), false)
  check.equal(query("bare", "10.1.0.1"), true)
  check.fails("msys.cidr.add: 'ten' is not an IP address", function() msys.cidr.add("bare", "ten") end)
  check.fails("msys.cidr.remove: '10.0.0.0/33' is not a network: the prefix has at most 32 bits", function() msys.cidr.remove("bare", "10.0.0.0/33") end)
  check.fails("msys.cidr.add: 'rbl' is a list of type rbldnsd: scripts can only change one of type empty", function() msys.cidr.add("rbl", "10.0.0.0/8") end)
  check.fails("msys.cidr.reload: 'bare' is a list of type empty: there is nothing to load it from", function() msys.cidr.reload("bare") end)
  print("ok empty")
end

function mod:validate_mailfrom(str, ac, vctx)
  write("203.0.113.0/24 :9:new\nnonsense\n")
  check.equal(check.results(1, msys.cidr.reload("rbl")), true)
  check.equal(msys.cidr.query("rbl", "203.0.113.1"), "127.0.0.9")
  check.equal(msys.cidr.query("rbl", "198.51.100.7"), "127.0.0.0")
  os.remove(file)
  local none, why = check.results(2, msys.cidr.reload("rbl"))
  check.equal(none, nil)
  check.equal(why:find("No such file or directory", 1, true) ~= nil, true)
  check.equal(msys.cidr.query("rbl", "203.0.113.1"), "127.0.0.9") -- as it was
  write("203.0.113.0/24 :9:new\n") -- for the next session
  print("ok reload")
end

function mod:validate_dealloc()
  write("192.0.2.0/24\n2001:db8::/32 :6:six\n192.0.2.128/25 :4:upper half\n!192.0.2.200\n198.51.100.7\n10.79 :5:x\n")
  check.equal(msys.cidr.reload("rbl"), true)
end

function mod:deinit()
  os.remove(file)
  return true
end

msys.registerModule("cidr", mod)
