-- The operators on 64-bit integers, their events and their errors.

local function hex(n)
  return string.format("%X", n)
end

equal(0xA5 | 0x5A, 0xFF)
equal(0xA5 & 0x0F, 0x05)
equal(0xA5 ^^ 0xFF, 0x5A)
equal(1 << 10, 1024)
equal(0xFF00 >> 8, 0xFF)
equal(~0, -1)
equal(hex(~0x0F), "FFFFFFFFFFFFFFF0", "64 bits wide")
equal(7 \ 2, 3)
equal(-7 \ 2, -4, "rounds down")
equal(7.5 \ 2, 3)
equal(1 \ 0, math.huge)

local a, b, c = 0xF0, 0x3C, 2
equal(a | b, 0xFC)
equal(a & b, 0x30)
equal(a ^^ b, 0xCC)
equal(a << c, 0x3C0)
equal(a >> c, 0x3C)
equal(~a, -241)
equal(a|(b|c), 0xFE, "no blanks")
equal(~~a, a)
equal(-~a, 241)

-- wider than 32 bits
equal(0xFFFFFFFF & 0xFFFFFFFFFF, 0xFFFFFFFF)
equal(2 ^ 40 | 1, 1099511627777)
equal(1 << 32, 4294967296)
equal(1 << 62, 2 ^ 62)
equal(1 << 63, -2 ^ 63)
equal(1 << 64, 1, "amd64 counts modulo 64")
equal(1 << -1, -2 ^ 63)
equal(2 ^ 40 >> 38, 4)
equal(-1 >> 1, -1, "keeps the sign")
equal(-2 ^ 40 >> 32, -256)
equal(-5 & 0xFF, 0xFB)
equal(2 ^ 52 ^^ 2 ^ 52, 0)

-- conversion
equal(3.9 | 0, 3, "toward zero")
equal(-3.9 | 0, -3, "toward zero")
equal(2 ^ 70 | 0, -2 ^ 63, "does not fit")
equal(0 / 0 | 0, -2 ^ 63, "NaN")
equal("6" & 3, 2, "a string that is a number")
equal("0x10" | 1, 17)
equal("9" \ "2", 4)

-- one value, whatever the operands return
local function two()
  return 6, 7
end
equal(select("#", two() & two()), 1)
equal(two() & two(), 6)
equal((function(...) return ... & 3 end)(7, 8), 3)
equal(#{ 1 | 2, 3 & 1 }, 2)

-- binding
equal(1 | 2 == 3, true)
equal(1 << 2 + 3, 7)
equal(-2 ^ 2 & 3, 0)
equal(2 ^ 2 << 1, 8)
equal("x" .. 1 | 2, "x3")
equal(1 + 2 | 4 * 2, 11)
equal(8 | 4 - 2, 10, "equal strength, from the left")
equal(7 - 1 & 3, 2)
equal(20 \ 3 * 2, 12)
equal(2 * 3 << 1, 12)
equal(~1 ^ 2, -2)
equal(2 ^ ~-3, 4)
equal(#"abc" | 4, 7)
equal(1 < 2 | 4, true)
equal(nil == 1 & 2 and 5 or 6, 6)
equal(not nil == (1 == 1 & 1), true)

-- events
local object = setmetatable({}, {
  __and = function(x, y) return "and", x, y end,
  __or = function(x, y) return "or", "dropped" end,
  __xor = function(x, y) return type(x) .. type(y) end,
  __shl = function(x, y) return "shl" end,
  __shr = function(x, y) return "shr" end,
  __not = function(x, y) return rawequal(x, y) and "not" end,
  __intdiv = function(x, y) return "intdiv" end,
})
equal(object & 1, "and")
equal(1 & object, "and")
equal(select("#", object | 1), 1)
equal(object ^^ 1, "tablenumber")
equal(1 ^^ object, "numbertable")
equal(object << 1, "shl")
equal(1 >> object, "shr")
equal(~object, "not")
equal(object \ 2, "intdiv")
equal("text" & object, "and")
local second = setmetatable({}, { __and = function() return "second" end })
equal(object & second, "and", "the first operand's event")
equal(second & object, "second")
equal({} & object, "and", "the second operand's event")
local half = setmetatable({}, { __div = function() return "div" end })
equal(half \ 2, "div")

-- errors
fails(function() return nil | 1 end, "^bitwise.lua:%d+: attempt to perform bitwise operation on a nil value$")
fails(function() return 1 | {} end, "on a table value$")
fails(function() return 1 & false end, "on a boolean value$")
fails(function() return "x" & 1 end, "on a string value$")
fails(function() return 1 & "x" end, "on a string value$")
fails(function() return ~nil end, "bitwise operation on a nil value$")
fails(function() return nil \ 1 end, "attempt to perform arithmetic on a nil value$")
refused("x = 1 &", "unexpected symbol near '<eof>'")
refused("x = 1 & & 2", "unexpected symbol near '&'")
refused("x = 1 ^ ^ 2", "unexpected symbol near '%^'")
refused("x = 1 // 2", "unexpected symbol near '/'")
refused("a | b", "'=' expected near '|'")
refused("a | b = 1", "'=' expected near '|'")

-- not equal, not
equal(1 != 2, true)
equal(1 != 1, false)
equal(!nil, true)
equal(!!1, true)
equal(!1 == 2, false, "not binds before ==")
equal(not !1, true)
equal((function()return!nil end)(), true)
equal(false or!false, true)

-- a script's environment is its own business
local alone = loadstring("local t = {} for i = 1, 2 do t[i] = i | 4 end return t[1] + t[2] \\ 2")
equal(setfenv(alone, {})(), 8)
local strict = setmetatable({}, { __index = function(_, k) error("no global " .. k) end })
equal(setfenv(loadstring("return 6 & 3"), strict)(), 2)
