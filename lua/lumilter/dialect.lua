-- What translated chunks call at run time, and the library that thrlua has beyond LuaJIT's.
-- The law: everything used here is a local of this chunk, so a script that changes its globals changes nothing here;
-- an error in an operator names the script's line and blames the operand in thrlua's words.
-- Loaded once per Lua state, before any script and before the sandbox takes `debug` away. Written in plain LuaJIT Lua.

local bit = require("bit")
local bit_and, bit_or, bit_xor, bit_not = bit.band, bit.bor, bit.bxor, bit.bnot
local left, right, arithmetic_right, to_int32 = bit.lshift, bit.rshift, bit.arshift, bit.tobit
local floor, ceil = math.floor, math.ceil
local getmetatable, rawget = debug.getmetatable, rawget
local type, tonumber, error, select = type, tonumber, error, select
local find, sub, match, format = string.find, string.sub, string.match, string.format
local concat, pairs = table.concat, pairs

local TWO32 = 2 ^ 32

-- thrlua converts the operands to int64_t, applies the operator in C and stores the int64_t as a double (luaconf.h,
-- luai_log*). LuaJIT's bit library works on 32 bits, so an integer is held in two halves: `high` signed, `low` from
-- 0 to 2^32-1. Converting truncates; what does not fit, NaN included, becomes -2^63, as cvttsd2si has it on amd64.
local function to_int64(x)
  x = x >= 0 and floor(x) or ceil(x)
  if not (x >= -2 ^ 63 and x < 2 ^ 63) then
    return -2 ^ 31, 0
  end
  local high = floor(x / TWO32)
  return high, x - high * TWO32
end

-- The sum is rounded once, like the conversion of the int64_t.
local function to_number(high, low)
  return to_int32(high) * TWO32 + low % TWO32
end

local function to_operand(x)
  local kind = type(x)
  if kind == "number" then
    return x
  elseif kind == "string" then
    return (tonumber(x))
  end
end

local function metamethod(x, event)
  local mt = getmetatable(x)
  return mt and rawget(mt, event)
end

-- Operands that are not both numbers: coerce strings, else ask the first operand's metatable, then the second's.
-- Operators call this as their tail call, so level 2 is the script.
local function other_operands(apply, event, what, a, b)
  local x, y = to_operand(a), to_operand(b)
  if x and y then
    return apply(x, y)
  end
  local handler = metamethod(a, event)
  if handler == nil then
    handler = metamethod(b, event)
  end
  if handler == nil then
    local culprit = b
    if x == nil then
      culprit = a
    end
    error("attempt to perform " .. what .. " on a " .. type(culprit) .. " value", 2)
  end
  return (handler(a, b))
end

local function bitwise(op, event)
  local function apply(a, b)
    if type(a) == "number" and type(b) == "number" then
      local i, j = to_int32(a), to_int32(b)
      if i == a and j == b then
        return op(i, j)
      end
      local ah, al = to_int64(a)
      local bh, bl = to_int64(b)
      return to_number(op(ah, bh), op(al, bl))
    end
    return other_operands(apply, event, "bitwise operation", a, b)
  end
  return apply
end

-- amd64 shifts by the low six bits of the count, whatever its sign; `>>` keeps the sign.
local function shift(op, event)
  local function apply(a, b)
    if type(a) == "number" and type(b) == "number" then
      local _, count = to_int64(b)
      return to_number(op(count % 64, to_int64(a)))
    end
    return other_operands(apply, event, "bitwise operation", a, b)
  end
  return apply
end

local function shift_left(n, high, low)
  if n >= 32 then
    return left(low, n - 32), 0
  elseif n > 0 then
    return bit_or(left(high, n), right(low, 32 - n)), left(low, n)
  end
  return high, low
end

local function shift_right(n, high, low)
  if n >= 32 then
    return arithmetic_right(high, 31), arithmetic_right(high, n - 32)
  elseif n > 0 then
    return arithmetic_right(high, n), bit_or(right(low, n), left(high, 32 - n))
  end
  return high, low
end

local function bnot(a)
  if type(a) == "number" then
    local high, low = to_int64(a)
    return to_number(bit_not(high), bit_not(low))
  end
  return other_operands(bnot, "__not", "bitwise operation", a, a)
end

-- Not an integer operation in thrlua either: the quotient of two doubles, rounded down. Its manual promises the event
-- __intdiv; its VM asks for __div (lvm.c, OP_INTDIV), so an object that has only that divides too.
local function intdiv(a, b)
  if type(a) == "number" and type(b) == "number" then
    return floor(a / b)
  end
  local event = (metamethod(a, "__intdiv") or metamethod(b, "__intdiv")) and "__intdiv" or "__div"
  return other_operands(intdiv, event, "arithmetic", a, b)
end

-- The control values of a generic `for`: an object that is no function and has __iter is replaced by what that returns.
local function iter(f, state, control)
  if type(f) ~= "function" then
    local handler = metamethod(f, "__iter")
    if type(handler) == "function" then
      return handler(f)
    end
  end
  return f, state, control
end

-- The `arg` of a vararg function that does not use `...` (LUA_COMPAT_VARARG).
local function arg(...)
  return { n = select("#", ...), ... }
end

-- Translated source says ("").__lum.band(a, b): see expressions.py for why it goes through strings.
string.__lum = {
  band = bitwise(bit_and, "__and"),
  bor = bitwise(bit_or, "__or"),
  bxor = bitwise(bit_xor, "__xor"),
  shl = shift(shift_left, "__shl"),
  shr = shift(shift_right, "__shr"),
  bnot = bnot,
  intdiv = intdiv,
  iter = iter,
  arg = arg,
}

-- Names of Lua 5.0 and 5.1 that thrlua keeps (LUA_COMPAT_GFIND, LUA_COMPAT_MOD) and LuaJIT lacks.
string.gfind = string.gmatch
math.mod = math.fmod
table.getn = table.getn or function(t)
  return #t
end
unpack = unpack or table.unpack

local function check(ok, fname, position, expected, value)
  if not ok then
    local got = value == nil and "no value" or type(value)
    error(format("bad argument #%d to '%s' (%s expected, got %s)", position, fname, expected, got), 3)
  end
end

-- Helpers that public policies share, with the arguments and results those have. A script's own definition wins.

-- The stretches of `text` between matches of the pattern `separator` (of the plain string with `plain`). An empty
-- stretch counts between two separators, not before the first or after the last.
function string.split(text, separator, plain)
  check(type(text) == "string", "split", 1, "string", text)
  check(type(separator) == "string", "split", 2, "string", separator)
  local parts, from = {}, 1
  local first, last = find(text, separator, 1, plain)
  while first do
    if last < first then
      error("split: the separator matches the empty string", 2)
    end
    if first > 1 then
      parts[#parts + 1] = sub(text, from, first - 1)
    end
    from = last + 1
    first, last = find(text, separator, from, plain)
  end
  if from <= #text then
    parts[#parts + 1] = sub(text, from)
  end
  return parts
end

-- The elements of `list` from index `first` (1) on, with `delimiter` between them.
function string.join(list, delimiter, first)
  check(type(list) == "table", "join", 1, "table", list)
  return concat(list, delimiter or "", first or 1)
end

-- "key: value" for every pair, in no order, with `delimiter` between them; ": " unless `separator` says otherwise. The
-- third argument of the public definition has no effect there either.
function string.joinhash(hash, delimiter, _, separator)
  check(type(hash) == "table", "joinhash", 1, "table", hash)
  local parts = {}
  for key, value in pairs(hash) do
    parts[#parts + 1] = key .. (separator or ": ") .. value
  end
  return concat(parts, delimiter or "")
end

-- Without the white space at both ends; one result.
function string.trimspace(text)
  check(type(text) == "string", "trimspace", 1, "string", text)
  return match(text, "^%s*(.-)%s*$")
end

-- Session storage and storage of the operating system's thread. There is one Lua thread, so _OSTLS is one table; the
-- host points _TLS at the session's table before it resumes a hook. Raw globals: a script may put a metatable on _G.
_TLS = {}
_OSTLS = {}
