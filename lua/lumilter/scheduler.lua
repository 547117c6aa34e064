-- Runs hooks as coroutines, each within an instruction budget and a deadline.
--
-- The law: Python calls `start` and `resume` and learns how far a hook came; coroutines never leave this file. The count
-- hook sees every coroutine of the state and is the only code that stops a script.

local host = ...

local INTERVAL = 1000 -- instructions between two looks at the budget
local RATE = 2e7 -- instructions that a second of CPU counts for, where C functions (table.sort, string.rep) take it

local create, running, raw_resume = coroutine.create, coroutine.running, host.raw_resume -- not the scripts' resume
local getinfo, sethook, traceback, status = debug.getinfo, debug.sethook, debug.traceback, coroutine.status
local tostring, type, getmetatable, rawget, rawset, error = tostring, type, getmetatable, rawget, rawset, error
local shared = _TLS -- outside sessions
local now, cpu, memory, collectgarbage = host.now, host.cpu, host.memory, collectgarbage

local tasks = {} -- id -> coroutine
local storage = {} -- id -> what _TLS is while it runs
local bodies = {} -- id -> the function that it runs
local last_id = 0
local remaining, deadline, looked, interval, stopped = 0, 0, 0, INTERVAL, nil

-- The limit of lupa's allocator is set well above this one, so that it only stops single huge allocations: it raises its
-- error in whatever code allocates, and inside lupa that would be the end of the process.
local function memory_is_up()
  if collectgarbage("count") < memory then
    return false
  end
  collectgarbage("collect")
  return collectgarbage("count") >= memory
end

-- "policy.lua:3: " for the script's code that runs now, which may have called ours.
local function position()
  local level = 3
  repeat
    local info = getinfo(level, "Sl")
    if info and info.currentline > 0 and info.short_src:sub(1, 9) ~= "lumilter/" then
      return info.short_src .. ":" .. info.currentline .. ": "
    end
    level = level + 1
  until not info
  return ""
end

local function arm(every)
  interval = every
  sethook(host.on_count, "", every)
end

-- Once a hook has passed its budget every further instruction of it fails, so that neither pcall in a loop nor a
-- coroutine of the script's own keeps it alive. The main coroutine is ours: there the rhythm becomes normal again.
function host.on_count()
  if running() == nil then
    if interval ~= INTERVAL then
      arm(INTERVAL)
    end
    return
  end
  if not stopped then
    local used = cpu() -- not the clock: on a busy machine a hook that does little takes long
    local spent = (used - looked) * RATE
    remaining, looked = remaining - (spent > interval and spent or interval), used
    if remaining <= 0 then
      stopped = "the hook passed its instruction budget"
    elseif now() > deadline then
      stopped = "the hook passed its deadline"
    elseif memory_is_up() then
      stopped = "the scripts passed their memory limit"
    else
      return
    end
    stopped = position() .. stopped
    arm(1)
  end
  error(stopped, 0)
end

-- A message handler runs where the error arose. If that is in the count hook, no hook runs in it: it would never end.
local raw_xpcall = xpcall
function xpcall(body, handler, ...)
  if type(handler) ~= "function" then
    return raw_xpcall(body, handler, ...)
  end
  return raw_xpcall(body, function(problem)
    if stopped then
      return problem
    end
    return handler(problem)
  end, ...)
end

-- Error values as text: strings as they are, tables through __tostring.
local function describe(value)
  if type(value) == "string" then
    return value
  end
  local meta = getmetatable(value)
  if type(meta) == "table" and rawget(meta, "__tostring") or type(value) == "number" then
    return tostring(value)
  end
  return "(error object is a " .. type(value) .. " value)"
end

-- What a function calls with `return f()` takes its place on the stack: where it begins is the last line of every trace.
local function trace(id, co)
  local info = getinfo(bodies[id], "S")
  return traceback(co) .. "\n\t" .. info.short_src .. ":" .. info.linedefined .. ": in the function that was called first"
end

local function forget(id)
  tasks[id], storage[id], bodies[id] = nil, nil, nil
end

local function report(id, co, ok, first, ...)
  local limit = stopped
  stopped = nil
  rawset(_G, "_TLS", shared)
  host.flush()
  if interval ~= INTERVAL then
    arm(INTERVAL)
  end
  if ok and first == host.MARK then
    return id, remaining, "wait", ...
  end
  if ok and status(co) == "dead" then
    forget(id)
    return id, remaining, "done", first, ...
  end
  if limit or first == "not enough memory" then
    collectgarbage("collect")
  end
  local where = trace(id, co)
  forget(id)
  if ok then
    return id, remaining, "error", "attempt to yield outside of a coroutine of the script's own", where
  end
  return id, remaining, limit and "limit" or "error", describe(first), where
end

-- id, instructions left, then "done", results... | "wait", token | "error" or "limit", message, traceback
-- own: what _TLS is; first: the script's function, where body is one of ours around it.
local function start(own, instructions, until_, body, ...)
  return host.start_around(body, own, instructions, until_, body, ...)
end

function host.start_around(first, own, instructions, until_, body, ...)
  last_id = last_id + 1
  local co = create(body)
  tasks[last_id], storage[last_id], bodies[last_id] = co, own or shared, first
  rawset(_G, "_TLS", own or shared)
  remaining, deadline, looked = instructions, until_, cpu()
  return report(last_id, co, raw_resume(co, ...))
end

function host.start(instructions, until_, body, ...)
  return start(shared, instructions, until_, body, ...)
end

function host.resume(id, instructions, until_, ...)
  local co = tasks[id]
  rawset(_G, "_TLS", storage[id])
  remaining, deadline, looked = instructions, until_, cpu()
  return report(id, co, raw_resume(co, ...))
end

-- The hook waits for something that its deadline does not allow: it is given up where it stands.
function host.cancel(id)
  local co = tasks[id]
  local where = co and trace(id, co) or ""
  forget(id)
  return where
end

-- ---------------------------------------------------------------------------------------------------------------------

local modules = {} -- name -> function table
local sessions = {} -- number -> { selves = module name -> self, tls = the session's _TLS }

-- msys.registerModule. Python names the module after the functions that it has, or refuses it.
function host.register_module(name, functions)
  if type(name) ~= "string" or type(functions) ~= "table" then
    error("msys.registerModule wants a name and a table of functions", 2)
  end
  local names = {}
  for key, value in pairs(functions) do
    if type(key) == "string" and type(value) == "function" then
      names[#names + 1] = key
    end
  end
  local module = host.register(name, table.concat(names, "\n"))
  if module then
    modules[module] = functions
  end
end

function host.start_hook(number, module, hook, instructions, until_, ...)
  local functions = modules[module]
  local session = sessions[number]
  if session == nil then
    session = { selves = {}, tls = {} }
    sessions[number] = session
  end
  local self = session.selves[module]
  if self == nil then
    self = setmetatable({}, { __index = functions })
    session.selves[module] = self
  end
  return start(session.tls, instructions, until_, functions[hook], self, host.receive_pairs(select("#", ...), ...))
end

function host.end_session(number)
  sessions[number] = nil
end

arm(INTERVAL)
