-- The boundary: how a script's calls reach Python, how they wait, and what objects look like.
--
-- The law: what goes into Python goes through `cross`, what comes back through `finish`. Python only ever gets plain
-- values, copies of tables and numbers of objects or functions: a Lua object that Python took out of a coroutine would
-- belong to that coroutine and could not be used, nor released, after it; and a Python object in Lua is not safe with
-- lupa (see host/handles.py). Python answers `true, results...`, OBJECTS, ITEMS, WAIT or `false, message`; a message becomes an
-- error at the script's own line, so no Python exception ever reaches a script. Objects are userdata
-- (type() says so) with one metatable per class, which scripts may extend through msys.getClassMetaTable().

local host = ...

local collectgarbage, error, next, rawget, select = collectgarbage, error, next, rawget, select
local getmetatable, setmetatable, newproxy, tostring, type = getmetatable, setmetatable, newproxy, tostring, type
local unpack = unpack
local create, raw_resume, yield = coroutine.create, coroutine.resume, coroutine.yield
local isyieldable = coroutine.isyieldable

local OBJECTS = "objects" -- Python's first result when there are objects among the others
local BOUND = "bound" -- Python's first result for an object with a Lua function of its own (closures.lua)
local OUTCOME = "outcome" -- Python's first result for what a Lua function returned (closures.lua)
local ITEMS = "items" -- when it is something to iterate over
local WAIT = "wait" -- Python's first result when a session has to wait
local MARK = {} -- what is yielded to the scheduler then; a script can't have it
host.MARK = MARK

-- Suspends the session until the operation behind the token is done. Where Lua can't yield (a comparator of table.sort,
-- a callback of string.gsub) the manual's rule for msys.sleep holds: the calling thread blocks.
local function suspend(token)
  if isyieldable() then
    return yield(MARK, token)
  end
  return host.block(token)
end

-- ---------------------------------------------------------------------------------------------------------------------

local number_of = setmetatable({}, { __mode = "k" }) -- our userdata -> its object's number in Python
local known = setmetatable({}, { __mode = "v" }) -- number -> our userdata for it
local dead = {} -- numbers of userdata that were collected
local prototypes = {} -- class name -> a userdata that carries the class's metatable
local class_of = setmetatable({}, { __mode = "k" }) -- metatable -> class name

-- An object as a script sees it: the same object is the same userdata as long as a script holds it.
local function receive(class, number)
  local object = known[number]
  if object == nil then
    object = newproxy(prototypes[class])
    number_of[object] = number
    known[number] = object
  end
  return object
end
host.receive = receive

-- Values come in pairs: a class and an object's number, or nil and a plain value.
local function receive_pairs(count, class, value, ...)
  if count == 0 then
    return
  end
  if class ~= nil then
    value = receive(class, value)
  end
  return value, receive_pairs(count - 2, ...)
end
host.receive_pairs = receive_pairs

-- Tells Python which objects no script holds any more. One that was handed out again meanwhile is held.
function host.flush()
  for i = #dead, 1, -1 do
    local number = dead[i]
    dead[i] = nil
    if known[number] == nil then
      host.release(number)
    end
  end
end

-- Gives back at once what scripts forgot: what holds a descriptor can't wait until Lua wants memory.
function host.collect()
  collectgarbage("collect")
  host.flush()
end

local PLAIN = { ["nil"] = true, string = true, number = true, boolean = true }

-- The number of a table's copy. above: the tables that it is in, from the second level on.
local function cross_table(value, depth, above)
  if depth > 16 or (above and above[value]) then
    return host.opaque("table")
  end
  local copy = host.new_table()
  for key, item in next, value do
    if type(key) == "table" or not PLAIN[type(key)] then -- Python could not look it up
      return host.opaque("table with a " .. type(key) .. " as a key")
    end
    local kind = type(item)
    if kind == "table" then
      above = above or {}
      above[value] = true
      host.put_piece(copy, key, cross_table(item, depth + 1, above))
    elseif PLAIN[kind] then
      host.put(copy, key, item)
    elseif number_of[item] then
      host.put_object(copy, key, number_of[item])
    else
      host.put_piece(copy, key, host.opaque(kind))
    end
  end
  if above then
    above[value] = nil
  end
  return copy
end

-- A script's values as Python gets them: plain ones, and numbers, which a mask before them tells from others. They stand
-- for objects, for copies of tables, or for what `stays` makes of a value that stays in Lua (host/crossing.py).
local function cross_with(stays, ...)
  local count = select("#", ...)
  local values, mask, bit = { ... }, 0, 1
  for i = 1, count do
    local value = values[i]
    local kind = type(value)
    if not PLAIN[kind] then
      if i > 50 then
        error("the arguments behind the fiftieth can only be strings, numbers, booleans and nil", 3)
      end
      values[i] = number_of[value] or (kind == "table" and cross_table(value, 1)) or stays(kind, value)
      mask = mask + bit
    end
    bit = bit * 2
  end
  return mask, unpack(values, 1, count)
end

local function name_type(kind)
  return host.opaque(kind)
end

local function cross(...)
  return cross_with(name_type, ...)
end

-- For calls that take functions, which Python then knows by number.
local function keep(kind, value)
  return kind == "function" and host.lua_function(host.keep(value)) or host.opaque(kind)
end
host.cross = cross

host.internal = {} -- what lua/lumilter needs Python for: name -> Python's function
local iterator -- number -> the iterator over that Items

local function finish(ok, ...)
  if ok == true then
    return ...
  end
  if ok == OBJECTS then
    return receive_pairs(select("#", ...), ...)
  end
  if ok == WAIT then
    return finish(suspend(...))
  end
  if ok == OUTCOME then
    return host.outcome(...)
  end
  if ok == BOUND then
    return host.bind(...)
  end
  if ok == ITEMS then
    return iterator(...)
  end
  error(..., 2)
end
host.finish = finish

function iterator(number)
  local items = receive("iterator", number)
  return function()
    return finish(host.internal.next_item(cross(items)))
  end
end

-- A script may wait inside coroutines of its own: a MARK is passed up to the scheduler, everything else is the script's.
local function relay(co, ok, first, ...)
  if ok and first == MARK then
    return relay(co, raw_resume(co, suspend(...)))
  end
  return ok, first, ...
end

host.raw_resume = raw_resume

function coroutine.resume(co, ...)
  return relay(co, raw_resume(co, ...))
end

local function unwrap(ok, ...)
  if ok then
    return ...
  end
  error(..., 0)
end

function coroutine.wrap(body)
  local co = create(body)
  return function(...)
    return unwrap(relay(co, raw_resume(co, ...)))
  end
end

-- ---------------------------------------------------------------------------------------------------------------------

-- get(number, key), set(number, key, mask, value), text(number) and length(number) are Python's and answer as above.
-- entry(number, i), where the class has entries, gives key and value of the i-th. call(number), where it can be called,
-- as iterators are.
function host.define_class(name, get, set, text, length, entry, call)
  local prototype = newproxy(true)
  local class = getmetatable(prototype)
  class.__index = function(self, key)
    local member = rawget(class, key)
    if member ~= nil then
      return member
    end
    if type(key) == "string" or type(key) == "number" then
      return finish(get(number_of[self], key))
    end
  end
  class.__newindex = function(self, key, value)
    if type(key) ~= "string" and type(key) ~= "number" then
      error(name .. " has no field that is a " .. type(key), 2)
    end
    return finish(set(number_of[self], key, cross(value)))
  end
  class.__tostring = function(self)
    return finish(text(number_of[self]))
  end
  class.__concat = function(a, b)
    return tostring(a) .. tostring(b)
  end
  class.__eq = function(a, b)
    return finish(host.same(number_of[a], number_of[b]))
  end
  class.__gc = function(self)
    dead[#dead + 1] = number_of[self]
  end
  class.__len = function(self)
    return finish(length(number_of[self]))
  end
  if call then
    class.__call = function(self)
      return finish(call(number_of[self]))
    end
  end
  if entry then
    class.__iter = function(self)
      local at = 0
      return function()
        at = at + 1
        return finish(entry(number_of[self], at))
      end
    end
  end
  prototypes[name] = prototype
  class_of[class] = name
end

function host.class_metatable(name)
  local prototype = prototypes[name]
  return prototype and getmetatable(prototype)
end

function host.class_name(value)
  if type(value) == "userdata" then
    return class_of[getmetatable(value)]
  end
end

-- ---------------------------------------------------------------------------------------------------------------------

-- The table that a dotted name stands for, made where it is missing: "msys.core".
function host.namespace(path)
  local found = _G
  for part in path:gmatch("[^.]+") do
    local inner = rawget(found, part)
    if inner == nil then
      inner = {}
      found[part] = inner
    end
    found = inner
  end
  return found
end

function host.define_function(path, name, call, keeps)
  local stays = keeps and keep or name_type
  host.namespace(path)[name] = function(...)
    return finish(call(cross_with(stays, ...)))
  end
end

function host.define_method(class, name, call)
  getmetatable(prototypes[class])[name] = function(self, ...)
    return finish(call(cross(self, ...)))
  end
end

function host.define_constant(path, name, value)
  host.namespace(path)[name] = value
end

-- A package of which nothing works here: reading anything from it says so instead of giving nil.
function host.define_missing_package(path, explain)
  setmetatable(host.namespace(path), {
    __index = function(_, key)
      return finish(explain(path, tostring(key)))
    end,
  })
end

-- ---------------------------------------------------------------------------------------------------------------------

function print(...)
  local parts = {}
  for i = 1, select("#", ...) do
    parts[i] = tostring((select(i, ...)))
  end
  host.print(table.concat(parts, "\t"))
end
