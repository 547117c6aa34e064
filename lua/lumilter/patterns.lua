-- string.find, match, gmatch and gsub that can be stopped.
--
-- The law: the same results as LuaJIT's own functions, which run wherever they are quick. They are C, which no count hook
-- sees: `(".-.-.-x")` on a long string takes hours. How often such a pattern tries again grows with a power of the
-- subject's length; where that power allows more than BOUND steps, the matcher below runs instead, in Lua.

local byte, char, find, gmatch, gsub = string.byte, string.char, string.find, string.gmatch, string.gsub
local match, sub, concat = string.match, string.sub, table.concat
local ceil, floor, huge = math.ceil, math.floor, math.huge
local error, ipairs, tonumber, tostring, type, unpack = error, ipairs, tonumber, tostring, type, unpack

local BOUND = 1e8 -- steps of the C functions: half a second
local REMEMBERED = 1000 -- patterns
local SPECIAL = "[%^$*+?.(%[%%-]" -- without one of these (")" is none) a pattern is plain text for string.find
local POSITION, OPEN = -2, -1 -- as the length of a capture

-- Reading a pattern ---------------------------------------------------------------------------------------------------

-- The bytes that a single-character item matches, as a table; `from` and `to` are its place in the pattern.
local function set_of(pattern, from, to)
  local first, set = sub(pattern, from, from), {}
  if first == "%" and not find(sub(pattern, to, to), "^%a") or first ~= "%" and first ~= "[" and first ~= "." then
    set[byte(pattern, to)] = true
    return set, sub(pattern, to, to)
  end
  local item = "^" .. sub(pattern, from, to)
  for code = 0, 255 do
    set[code] = find(char(code), item) ~= nil
  end
  return set
end

-- Where a set that begins at `at` ("[") ends, or nil.
local function end_of_set(pattern, at)
  at = at + 1
  if sub(pattern, at, at) == "^" then
    at = at + 1
  end
  repeat
    local c = sub(pattern, at, at)
    if c == "" then
      return nil
    end
    at = at + (c == "%" and 2 or 1)
  until sub(pattern, at, at) == "]"
  return at
end

-- The pattern as a list of items, or nil where only LuaJIT's functions know what is wrong with it.
local function read(pattern, is_anchored)
  pattern = match(pattern, "^[^%z]*") -- where LuaJIT's functions end it
  local items, depth, total, at, size = {}, 0, 0, is_anchored and 2 or 1, #pattern
  local closed = {}
  local open = {}
  while at <= size do
    local c = sub(pattern, at, at)
    local after = sub(pattern, at + 1, at + 1)
    if c == "(" then
      total = total + 1
      if total > 32 then
        return nil
      end
      if after == ")" then
        items[#items + 1] = { kind = "position", number = total }
        closed[total] = true
        at = at + 2
      else
        items[#items + 1] = { kind = "open", number = total }
        depth = depth + 1
        open[depth] = total
        at = at + 1
      end
    elseif c == ")" then
      if depth == 0 then
        return nil
      end
      items[#items + 1] = { kind = "close", number = open[depth] }
      closed[open[depth]] = true
      depth = depth - 1
      at = at + 1
    elseif c == "$" and at == size then
      items[#items + 1] = { kind = "end" }
      at = at + 1
    elseif c == "%" and after == "b" then
      if at + 3 > size then
        return nil
      end
      items[#items + 1] = { kind = "balance", from = byte(pattern, at + 2), to = byte(pattern, at + 3) }
      at = at + 4
    elseif c == "%" and after == "f" then
      local stop = sub(pattern, at + 2, at + 2) == "[" and end_of_set(pattern, at + 2)
      if not stop then
        return nil
      end
      items[#items + 1] = { kind = "frontier", set = set_of(pattern, at + 2, stop) }
      at = stop + 1
    elseif c == "%" and find(after, "^%d") then
      local number = tonumber(after)
      if not closed[number] then
        return nil
      end
      items[#items + 1] = { kind = "back", number = number }
      at = at + 2
    else
      local stop = at
      if c == "%" then
        stop = at + 1
      elseif c == "[" then
        stop = end_of_set(pattern, at)
      end
      if not stop or stop > size then
        return nil
      end
      local repeated = match(sub(pattern, stop + 1, stop + 1), "^[*+?-]") or ""
      local set, literal = set_of(pattern, at, stop)
      items[#items + 1] = {
        kind = "one" .. repeated,
        set = set,
        literal = repeated == "" and literal or nil,
        is_any = c == ".",
      }
      at = stop + 1 + #repeated
    end
  end
  items.captures = total
  items.is_anchored = is_anchored
  return depth == 0 and items or nil
end

-- Whether what follows a repeated item can't begin with anything that it matches: then it has one way to match only.
local function is_certain(items, at)
  local set, following = items[at].set, at + 1
  while items[following] and (items[following].kind == "open" or items[following].kind == "close"
    or items[following].kind == "position") do
    following = following + 1
  end
  local item = items[following]
  if item == nil then
    return true, true -- it matches, and that is the end
  elseif item.kind == "end" then
    return items[at].kind ~= "one-"
  end
  if item.kind ~= "one" and item.kind ~= "one+" then
    return false
  end
  for code = 0, 255 do
    if set[code] and item.set[code] then
      return false
    end
  end
  return true
end

-- The longest subject for which LuaJIT's own function stays within BOUND steps.
local function longest(items)
  local power, choices, has_linear = items.is_anchored and 0 or 1, 1, false
  for at, item in ipairs(items) do
    local kind = item.kind
    if kind == "one?" then
      choices = choices * (is_certain(items, at) and 1 or 2)
    elseif kind == "balance" or kind == "back" then
      has_linear = true
    elseif kind == "one*" or kind == "one+" or kind == "one-" then
      local certain, last = is_certain(items, at)
      if not certain then
        power = power + 1
      elseif not last then
        has_linear = true
      end
    end
  end
  if has_linear then
    power = power + 1
  end
  if power == 0 then
    return choices <= BOUND and huge or 0
  end
  return floor((BOUND / choices) ^ (1 / power))
end

local known, count = {}, 0 -- pattern -> { items = or nil, longest = }; gmatch takes no anchor, and has its own

local function learn(pattern, cache_key, is_anchored)
  local items = read(pattern, is_anchored)
  local entry = { items = items, longest = items and longest(items) or huge }
  if count >= REMEMBERED then
    known, count = {}, 0
  end
  known[cache_key], count = entry, count + 1
  return entry
end

local function knowledge(pattern)
  return known[pattern] or learn(pattern, pattern, sub(pattern, 1, 1) == "^")
end

-- Matching ------------------------------------------------------------------------------------------------------------

-- The end of the balanced text that begins at `pos`, or nil.
local function balanced(s, n, pos, from, to)
  if byte(s, pos) ~= from then
    return nil
  end
  local depth = 1
  for at = pos + 1, n do
    local c = byte(s, at)
    if c == to then
      depth = depth - 1
      if depth == 0 then
        return at + 1
      end
    elseif c == from then
      depth = depth + 1
    end
  end
  return nil
end

-- Where a match of items[at...] that begins at `pos` ends, or nil. starts, lengths: the captures.
local function run(items, at, s, n, pos, starts, lengths)
  while true do
    local item = items[at]
    if item == nil then
      return pos
    end
    local kind, set = item.kind, item.set
    at = at + 1
    if kind == "one" then
      if pos > n or not set[byte(s, pos)] then
        return nil
      end
      pos = pos + 1
    elseif kind == "one*" or kind == "one+" then
      local least, stop = kind == "one+" and pos + 1 or pos, item.is_any and n + 1 or pos
      while stop <= n and set[byte(s, stop)] do
        stop = stop + 1
      end
      if items[at] == nil and stop >= least then
        return stop
      end
      for from = stop, least, -1 do
        local found = run(items, at, s, n, from, starts, lengths)
        if found then
          return found
        end
      end
      return nil
    elseif kind == "one-" then
      local literal = item.is_any and items[at] and items[at].literal
      while true do
        if literal then
          pos = find(s, literal, pos, true)
          if not pos then
            return nil
          end
        end
        local found = run(items, at, s, n, pos, starts, lengths)
        if found then
          return found
        end
        if pos > n or not set[byte(s, pos)] then
          return nil
        end
        pos = pos + 1
      end
    elseif kind == "one?" then
      if pos <= n and set[byte(s, pos)] then
        local found = run(items, at, s, n, pos + 1, starts, lengths)
        if found then
          return found
        end
      end
    elseif kind == "position" then
      starts[item.number], lengths[item.number] = pos, POSITION
    elseif kind == "open" then
      starts[item.number], lengths[item.number] = pos, OPEN
    elseif kind == "close" then
      local number = item.number
      local before = lengths[number]
      lengths[number] = pos - starts[number]
      local found = run(items, at, s, n, pos, starts, lengths)
      if not found then
        lengths[number] = before
      end
      return found
    elseif kind == "end" then
      return pos == n + 1 and pos or nil
    elseif kind == "balance" then
      pos = balanced(s, n, pos, item.from, item.to)
      if not pos then
        return nil
      end
    elseif kind == "frontier" then
      local before, here = pos > 1 and byte(s, pos - 1) or 0, byte(s, pos) or 0
      if set[before] or not set[here] then
        return nil
      end
    else -- back
      local start, length = starts[item.number], lengths[item.number]
      if length < 0 or sub(s, start, start + length - 1) ~= sub(s, pos, pos + length - 1) then
        return nil
      end
      pos = pos + length
    end
  end
end

-- The first match from `pos` on: its start and its end, the captures in starts and lengths.
local function search(items, s, n, pos, starts, lengths)
  local first = items[1] and items[1].literal
  repeat
    if first and not items.is_anchored then
      pos = find(s, first, pos, true)
      if not pos then
        return nil
      end
    end
    local found = run(items, 1, s, n, pos, starts, lengths)
    if found then
      return pos, found
    end
    pos = pos + 1
  until items.is_anchored or pos > n + 1
  return nil
end

local function captured(s, number, starts, lengths)
  local length = lengths[number]
  if length == POSITION then
    return starts[number]
  end
  return sub(s, starts[number], starts[number] + length - 1)
end

-- All captures; without one the whole match, if wanted.
local function captures(items, s, from, to, starts, lengths, whole)
  if items.captures == 0 then
    if whole then
      return sub(s, from, to - 1)
    end
    return
  end
  local values = {}
  for number = 1, items.captures do
    values[number] = captured(s, number, starts, lengths)
  end
  return unpack(values, 1, items.captures)
end

-- Where a search begins, as string.find has it.
local function begin(s, init)
  init = init or 1
  init = init < 0 and #s + ceil(init) + 1 or floor(init)
  return init < 1 and 1 or init > #s and #s + 1 or init
end

local function is_quick(s, pattern)
  return type(s) ~= "string" or type(pattern) ~= "string" or #s <= knowledge(pattern).longest
end

function string.find(s, pattern, init, plain, ...)
  if plain or is_quick(s, pattern) or (init ~= nil and type(init) ~= "number") or not find(pattern, SPECIAL) then
    return find(s, pattern, init, plain, ...)
  end
  local items, starts, lengths = known[pattern].items, {}, {}
  local from, to = search(items, s, #s, begin(s, init), starts, lengths)
  if from then
    return from, to - 1, captures(items, s, from, to, starts, lengths)
  end
  return nil
end

function string.match(s, pattern, init, ...)
  if is_quick(s, pattern) or (init ~= nil and type(init) ~= "number") then
    return match(s, pattern, init, ...)
  end
  local items, starts, lengths = known[pattern].items, {}, {}
  local from, to = search(items, s, #s, begin(s, init), starts, lengths)
  if from then
    return captures(items, s, from, to, starts, lengths, true)
  end
  return nil
end

function string.gmatch(s, pattern, ...)
  if type(s) ~= "string" or type(pattern) ~= "string" then
    return gmatch(s, pattern, ...)
  end
  local key = "gmatch:" .. pattern
  local entry = known[key] or learn(pattern, key, false)
  if #s <= entry.longest then
    return gmatch(s, pattern, ...)
  end
  local items, pos, n = entry.items, 1, #s
  return function()
    if pos > n + 1 then
      return nil
    end
    local starts, lengths = {}, {}
    local from, to = search(items, s, n, pos, starts, lengths)
    if not from then
      pos = n + 2
      return nil
    end
    pos = to == from and to + 1 or to
    return captures(items, s, from, to, starts, lengths, true)
  end
end
string.gfind = string.gmatch

-- What a match is replaced with.
local function replaced(items, s, from, to, starts, lengths, replacement)
  local kind = type(replacement)
  local value
  if kind == "function" then
    value = replacement(captures(items, s, from, to, starts, lengths, true))
  elseif kind == "table" then
    value = replacement[(captures(items, s, from, to, starts, lengths, true))]
  else
    return (gsub(replacement, "%%(.)", function(c)
      if c == "0" then
        return sub(s, from, to - 1)
      elseif c == "1" and items.captures == 0 then
        return sub(s, from, to - 1)
      elseif find(c, "%d") then
        if tonumber(c) > items.captures then
          error("invalid capture index", 4)
        end
        return tostring(captured(s, tonumber(c), starts, lengths))
      end
      return c
    end))
  end
  if not value then
    return sub(s, from, to - 1)
  elseif type(value) ~= "string" and type(value) ~= "number" then
    error("invalid replacement value (a " .. type(value) .. ")", 3)
  end
  return tostring(value)
end

function string.gsub(s, pattern, replacement, most, ...)
  local kind = type(replacement)
  if
    is_quick(s, pattern)
    or (most ~= nil and type(most) ~= "number")
    or (kind ~= "string" and kind ~= "number" and kind ~= "function" and kind ~= "table")
  then
    return gsub(s, pattern, replacement, most, ...)
  end
  if kind == "number" then
    replacement = tostring(replacement)
  end
  local items, n, pos, done, parts = known[pattern].items, #s, 1, 0, {}
  most = most or n + 1
  while done < most do
    local starts, lengths = {}, {}
    local from, to = search(items, s, n, pos, starts, lengths)
    if not from then
      break
    end
    done = done + 1
    parts[#parts + 1] = sub(s, pos, from - 1)
    parts[#parts + 1] = replaced(items, s, from, to, starts, lengths, replacement)
    pos = to
    if to == from then
      parts[#parts + 1] = sub(s, pos, pos)
      pos = pos + 1
      if pos > n + 1 then
        break
      end
    end
    if items.is_anchored then
      break
    end
  end
  parts[#parts + 1] = sub(s, pos)
  return concat(parts), done
end
