-- require("strict"): from then on a global that no script's top level has assigned is an error in a function.
--
-- The law: as Lua's own distribution has it, and Momentum with it. It holds for every script, because globals are shared.

local host = ...
local error, rawset, tostring, getinfo = error, rawset, tostring, debug.getinfo
local getmetatable, setmetatable = getmetatable, setmetatable
local globals = _G

local function in_a_function()
  local caller = getinfo(3, "S")
  return caller ~= nil and caller.what ~= "main" and caller.what ~= "C"
end

function host.shipped.strict()
  local declared, rules = {}, getmetatable(globals) or {}
  rules.__newindex = function(_, name, value)
    if not declared[name] and in_a_function() then
      error("assign to undeclared variable '" .. tostring(name) .. "'", 2)
    end
    declared[name] = true
    rawset(globals, name, value)
  end
  rules.__index = function(_, name)
    if not declared[name] and in_a_function() then
      error("variable '" .. tostring(name) .. "' is not declared", 2)
    end
  end
  setmetatable(globals, rules)
  return true
end
