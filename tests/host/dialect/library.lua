-- `arg` of a vararg function, names of older Luas, and the string functions that policies share.

local function count(...) return arg.n, #arg, arg[2] end
local n, length, second = count("a", nil, "c")
equal(n, 3)
equal(second, nil)
equal((count()), 0)

local function both(...) local first = ... return arg end
equal(both(1), nil, "no `arg` where `...` is used")
arg = "global"
equal((function() return arg end)(), "global")
equal((function(...) return type(arg) end)(), "table")
equal((function(...) local f = function() return arg.n end return f() end)(1, 2), 2, "as an upvalue")
equal((function(...) local f = function(...) return ... end return arg.n, f(9) end)(5, 6), 2)
equal((function(...) arg = "mine" return arg end)(), "mine")
equal(arg, "global")
equal((function(...)
  function arg.method() return "set" end
  return arg.method()
end)(), "set")
equal((function(x, ...) return x + arg[1] end)(1, 2), 3)
local object = { f = function(self, ...) return self.base + arg.n end, base = 10 }
equal(object:f(1, 2, 3), 13)

equal(table.getn({ 1, 2, 3 }), 3)
equal(unpack({ 7 }), 7)
equal(math.mod(7, 4), 3)
local words = {}
for word in string.gfind("one two", "%a+") do words[#words + 1] = word end
equal(table.concat(words, "|"), "one|two")

local function split(...) return table.concat(string.split(...), "|") end
equal(split("a,b,c", ","), "a|b|c")
equal(split("a,,c", ","), "a||c")
equal(split(",a,", ","), "a")
equal(split("", ","), "")
equal(split("plain", ","), "plain")
equal(split("a1b22c", "%d+"), "a|b|c")
equal(split("a.b.c", ".", true), "a|b|c")
equal(split("a, b ,c", "%s*,%s*"), "a|b|c")
equal(#("user@example.com"):split("@"), 2, "as a method")
fails(function() string.split("abc", "x*") end, "library.lua:%d+: split: the separator matches the empty string")
fails(function() string.split(nil, ",") end, "library.lua:%d+: bad argument #1 to 'split' %(string expected, got no value%)")
fails(function() string.split("a") end, "bad argument #2 to 'split'")

equal(string.join({ "a", "b", "c" }, ", "), "a, b, c")
equal(string.join({ "a", "b", "c" }, "-", 2), "b-c")
equal(string.join({}, ","), "")
equal(string.join({ 1, 2 }, "."), "1.2")
fails(function() string.join("a", ",") end, "bad argument #1 to 'join' %(table expected, got string%)")
equal(string.joinhash({ To = "x" }, "\n"), "To: x")
equal(string.joinhash({ a = 1 }, "&", true, "="), "a=1")
equal(string.joinhash({}, ","), "")
equal(string.trimspace("  a b\t\r\n"), "a b")
equal(string.trimspace(" \n"), "")
equal(select("#", string.trimspace("x")), 1)
fails(function() string.trimspace() end, "bad argument #1 to 'trimspace'")

equal(type(_TLS), "table")
equal(type(_OSTLS), "table")
equal(rawequal(_TLS, _OSTLS), false)

local goto = 3
equal(goto + 1, 4)
equal(({ goto = 5 }).goto, 5)
refused("goto done", "'=' expected near 'done'")
refused("::done::", "unexpected symbol near ':'")
