-- API functions that handle live Lua values: class metatables, types, coroutines, whole tables.
--
-- The law: declared in the registry like every other function; only their bodies are here.

local host = ...

local isyieldable = coroutine.isyieldable

function host.async_ok()
  return isyieldable()
end

function host.type_of(value)
  return host.class_name(value) or type(value)
end

-- Momentum reinterprets memory; here an object has one class, and a cast that changes it can't be right.
function host.cast(object, class)
  local is = host.class_name(object)
  if is == nil then
    error("msys.cast: a " .. type(object) .. " is not an object of Momentum's", 2)
  end
  if not host.class_metatable(class) then
    error("msys.cast: there is no class '" .. tostring(class) .. "'", 2)
  end
  if is ~= class then
    error("msys.cast: the object is of class '" .. is .. "', it can't be used as '" .. tostring(class) .. "'", 2)
  end
  return object
end

function host.get_class_metatable(class)
  local found = host.class_metatable(class)
  if not found then
    error("msys.getClassMetaTable: there is no class '" .. tostring(class) .. "'", 2)
  end
  return found
end
