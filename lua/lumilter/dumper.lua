-- msys.dumper.Dumper: any value as readable text, a line for each field, fields in a fixed order.
--
-- The law: it never fails and never loops: cycles are named, depth is bounded, userdata are shown by tostring.

local host = ...

local MAX_DEPTH = 20
local RANK = { number = "1", string = "2" } -- before every name of a type
local rep, format, concat, sort = string.rep, string.format, table.concat, table.sort
local pcall, tostring, type, next, rawget = pcall, tostring, type, next, rawget

-- tostring, also of a value whose __tostring fails.
local function text(value)
  local ok, found = pcall(tostring, value)
  return ok and found or type(value)
end

local function scalar(value)
  if type(value) == "string" then
    return format("%q", value)
  end
  return text(value)
end

-- Numbers first, in order, then strings, then the rest by type and text.
local function before(a, b)
  local ta, tb = type(a), type(b)
  if ta == tb and (ta == "number" or ta == "string") then
    return a < b
  end
  if ta ~= tb then
    return (RANK[ta] or ta) < (RANK[tb] or tb)
  end
  return text(a) < text(b)
end

local function dump(value, indent, seen, depth, out)
  if type(value) ~= "table" then
    out[#out + 1] = scalar(value)
    return
  end
  if seen[value] or depth > MAX_DEPTH then
    out[#out + 1] = seen[value] and "<cycle: " .. text(value) .. ">" or "<deeper>"
    return
  end
  local keys = {}
  for key in next, value do
    keys[#keys + 1] = key
  end
  if #keys == 0 then
    out[#out + 1] = "{}"
    return
  end
  sort(keys, before)
  seen[value] = true
  out[#out + 1] = "{\n"
  for _, key in ipairs(keys) do
    out[#out + 1] = rep("  ", indent + 1) .. "[" .. scalar(key) .. "] = "
    dump(rawget(value, key), indent + 1, seen, depth + 1, out)
    out[#out + 1] = ",\n"
  end
  out[#out + 1] = rep("  ", indent) .. "}"
  seen[value] = nil
end

function host.dumper(value)
  local out = {}
  dump(value, 0, {}, 0, out)
  return concat(out)
end

local function gather(collect, ...)
  for i = 1, select("#", ...) do
    collect(host.dumper((select(i, ...))))
  end
end

-- `lumilter eval`: an expression or statements; collect gets the text of each result.
function host.evaluate(source, collect)
  -- Not a tail call, which would leave no line to blame.
  local chunk = host.compile("return (function(...) return ... end)(" .. source .. "\n)", "=eval")
  local message
  if not chunk then
    chunk, message = host.compile(source, "=eval")
  end
  if not chunk then
    error(message, 0)
  end
  gather(collect, chunk())
end
