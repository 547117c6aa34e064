-- Where the functions of modules are defined, for those who write about hooks.
--
-- The law: wraps what registers a module and changes nothing about it. Run after the scheduler.

local host = ...

local getinfo = debug.getinfo
local register_module, register = host.register_module, host.register
local offered -- the functions of the module that is being registered

function host.register_module(name, functions)
  offered = functions
  return register_module(name, functions) -- in this function's place on the stack: errors blame the script's line
end

function host.register(name, names)
  local module = register(name, names)
  if module then
    for hook in names:gmatch("[^\n]+") do
      local info = getinfo(offered[hook], "S")
      host.defined(module, hook, info.short_src, info.linedefined)
    end
  end
  return module
end
