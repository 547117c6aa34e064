-- The boundary: how a script's calls reach Python, how they wait, and what objects look like.
--
-- The law: what goes into Python goes through `cross`, what comes back through `finish`. Python only ever gets strings,
-- numbers, booleans and its own objects: a Lua object that Python took out of a coroutine would belong to that coroutine
-- and could not be used, nor released, after it. Python answers `true, results...`, `WAIT, token` or `false, message`; a
-- message becomes an error at the script's own line, so no Python exception ever reaches a script. Objects are userdata
-- (type() says so) with one metatable per class, which scripts may extend through msys.getClassMetaTable().

local host = ...

local error, next, rawget, select = error, next, rawget, select
local getmetatable, setmetatable, newproxy, tostring, type = getmetatable, setmetatable, newproxy, tostring, type
local create, raw_resume, yield = coroutine.create, coroutine.resume, coroutine.yield
local isyieldable = coroutine.isyieldable

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

local handle = setmetatable({}, { __mode = "k" }) -- our userdata -> the Python object behind it
local known = setmetatable({}, { __mode = "v" }) -- identity of a Python object -> our userdata for it
local prototypes = {} -- class name -> a userdata that carries the class's metatable
local class_of = setmetatable({}, { __mode = "k" }) -- metatable -> class name

-- A Python object as a script sees it: the same object is the same userdata as long as a script holds it.
local function receive(value)
  if type(value) ~= "userdata" or handle[value] then
    return value
  end
  local class, identity = host.identify(value)
  local object = known[identity]
  if object == nil then
    object = newproxy(prototypes[class])
    handle[object] = value
    known[identity] = object
  end
  return object
end

local function receive_all(count, first, ...)
  if count == 0 then
    return
  end
  return receive(first), receive_all(count - 1, ...)
end
host.receive_all = receive_all

local cross

local KEY = { string = true, number = true, boolean = true } -- Python could not look others up

local function cross_table(value, depth)
  if depth > 16 then -- perhaps it holds itself
    return host.opaque("table")
  end
  local copy = host.new_table()
  for key, item in next, value do
    if not KEY[type(key)] then
      return host.opaque("table with a " .. type(key) .. " as a key")
    end
    host.put(copy, key, cross(item, depth + 1))
  end
  return copy
end

-- A script's value as Python gets it: its own object, a copy of a table, or the name of a type that stays in Lua.
function cross(value, depth)
  local kind = type(value)
  if kind == "table" then
    return cross_table(value, depth or 1)
  elseif kind == "userdata" then
    return handle[value] or host.opaque(kind)
  elseif kind == "function" or kind == "thread" then
    return host.opaque(kind)
  end
  return value
end

local function cross_all(count, first, ...)
  if count == 0 then
    return
  end
  return cross(first), cross_all(count - 1, ...)
end

local function finish(ok, ...)
  if ok == true then
    return receive_all(select("#", ...), ...)
  end
  if ok == WAIT then
    return finish(suspend(...))
  end
  error(..., 2)
end
host.finish = finish

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

-- get(object, key), set(object, key, value), text(object) and length(object) are Python's and answer as above.
function host.define_class(name, get, set, text, length)
  local prototype = newproxy(true)
  local class = getmetatable(prototype)
  class.__index = function(self, key)
    local member = rawget(class, key)
    if member ~= nil then
      return member
    end
    if type(key) == "string" then
      return finish(get(handle[self], key))
    end
  end
  class.__newindex = function(self, key, value)
    if type(key) ~= "string" and type(key) ~= "number" then
      error(name .. " has no field that is a " .. type(key), 2)
    end
    return finish(set(handle[self], key, cross(value)))
  end
  class.__tostring = function(self)
    return finish(text(handle[self]))
  end
  class.__concat = function(a, b)
    return tostring(a) .. tostring(b)
  end
  class.__eq = function(a, b)
    return finish(host.same(handle[a], handle[b]))
  end
  class.__len = function(self)
    return finish(length(handle[self]))
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

function host.define_function(path, name, call)
  host.namespace(path)[name] = function(...)
    return finish(call(cross_all(select("#", ...), ...)))
  end
end

function host.define_method(class, name, call)
  getmetatable(prototypes[class])[name] = function(self, ...)
    return finish(call(cross(self), cross_all(select("#", ...), ...)))
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
