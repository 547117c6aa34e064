-- Functions that a script passed to Python: a timer's, a pool's, a console command's. Python knows each by a number.
--
-- The law: the function and what it returns never leave Lua. It is kept until Python forgets its number, or, once it was
-- bound to an object, as long as a script holds that object: a function that mentions its own timer does not keep it.

local host = ...

local error, pcall, rawget, select = error, pcall, rawget, select
local setmetatable, type, unpack = setmetatable, type, unpack
local setfenv = debug.setfenv

local kept = {} -- number -> function
local bound = setmetatable({}, { __mode = "v" }) -- number -> function of an object
local storage = {} -- number -> the _TLS of who passed it
local outcomes = {} -- number -> what it returned, for who waits
local last = 0

function host.keep(body)
  last = last + 1
  kept[last], storage[last] = body, rawget(_G, "_TLS")
  return last
end

function host.forget(number)
  kept[number], bound[number], storage[number], outcomes[number] = nil, nil, nil, nil
end

-- The environment of a userdata is the only reference that Lua follows from it.
function host.bind(number, class, object_number)
  local object = host.receive(class, object_number)
  setfenv(object, { kept[number] })
  bound[number], kept[number], storage[number] = kept[number], nil, nil
  return object
end

local function settle(number, ok, ...)
  if not ok then
    host.give_back() -- to Python the task has not failed
  end
  outcomes[number] = { n = 1 + select("#", ...), ok, ... }
end

-- As scheduler.start; arguments come in pairs. Where it is waited for, the outcome is that of pcall.
function host.start_closure(number, awaited, instructions, until_, ...)
  local body = kept[number] or bound[number]
  local around
  if awaited then
    function around(...)
      settle(number, pcall(body, ...))
    end
  else
    function around(...)
      body(...) -- its results are nobody's
    end
  end
  local args = select("#", ...)
  return host.start_around(body, storage[number], instructions, until_, around, host.receive_pairs(args, ...))
end

function host.outcome(number)
  local outcome = outcomes[number]
  outcomes[number] = nil
  return unpack(outcome, 1, outcome.n)
end

-- ---------------------------------------------------------------------------------------------------------------------

local PLAIN = { string = true, number = true }

-- msys.threadpool.stat: figures with a pretty printer.
function host.threadpool_stat(name, number)
  if name == nil then
    name = number
  end
  local ok, found, text = host.pool_figures(PLAIN[type(name)] and name)
  if not ok then
    error(found, 2)
  end
  if found then
    setmetatable(found, {
      __tostring = function()
        return text
      end,
    })
  end
  return found
end
