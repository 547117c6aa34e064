-- require, dofile, loadfile, loadstring and load for Momentum's dialect.
--
-- The law: source text reaches LuaJIT only through `compile`, which translates it first; precompiled code is refused.
-- All of it is Lua, so that a script may wait (look something up, sleep) while it is being loaded.

local host = ...

local raw_load = loadstring
local error, type, tostring, pairs, ipairs, setmetatable = error, type, tostring, pairs, ipairs, setmetatable
local concat, select, unpack = table.concat, select, unpack

-- For the functions below, whose caller is blamed: Python must not be handed anything else.
local function check_string(value, fname)
  if type(value) ~= "string" then
    error("bad argument #1 to '" .. fname .. "' (string expected, got " .. type(value) .. ")", 3)
  end
end

-- A function, or nil and a message, as loadstring has it.
local function compile(source, chunkname)
  chunkname = tostring(chunkname)
  if source:byte(1) == 27 then
    return nil, chunkname:gsub("^[@=]", "") .. ": precompiled code is refused"
  end
  local translated, message = host.translate(source, chunkname)
  if not translated then
    return nil, message
  end
  return raw_load(translated, chunkname)
end
host.compile = compile

function loadstring(source, chunkname)
  check_string(source, "loadstring")
  return compile(source, chunkname or source)
end

function load(reader, chunkname)
  if type(reader) == "string" then
    return compile(reader, chunkname or reader)
  end
  if type(reader) ~= "function" then
    error("bad argument #1 to 'load' (function expected, got " .. type(reader) .. ")", 2)
  end
  local pieces = {}
  while true do
    local piece = reader()
    if piece == nil or piece == "" then
      return compile(concat(pieces), chunkname or "=(load)")
    end
    if type(piece) ~= "string" then
      return nil, "reader function must return a string"
    end
    pieces[#pieces + 1] = piece
  end
end

function loadfile(path)
  check_string(path, "loadfile")
  local source, name = host.read_script(path)
  if not source then
    return nil, name
  end
  return compile(source, name)
end

function dofile(path)
  check_string(path, "dofile")
  local chunk, message = loadfile(path)
  if not chunk then
    error(message, 0)
  end
  return chunk()
end

-- ---------------------------------------------------------------------------------------------------------------------

local function from_preload(name)
  return package.preload[name] or "\n\tno field package.preload['" .. name .. "']"
end

local function from_path(name)
  local tried = {}
  local part = name:gsub("%.", "/")
  for template in tostring(package.path):gmatch("[^;]+") do
    local path = template:gsub("%?", (part:gsub("%%", "%%%%")))
    local source = host.read_script(path)
    if source then
      local chunk, message = compile(source, "@" .. part .. ".lua")
      if not chunk then
        error("error loading module '" .. name .. "' from file '" .. path .. "':\n\t" .. message, 0)
      end
      return chunk
    end
    tried[#tried + 1] = "\n\tno file '" .. path .. "'"
  end
  return concat(tried)
end

-- Lua modules that Momentum comes with. A policy's own of the same name goes before.
host.shipped = {}

local function from_us(name)
  return host.shipped[name] or ""
end

package.loaders = { from_preload, from_path, from_us }

local LOADING = newproxy() -- not a table: module() would take one for the module

function require(name)
  name = tostring(name)
  local loaded = package.loaded
  if loaded[name] ~= nil and loaded[name] ~= LOADING then
    return loaded[name]
  end
  if loaded[name] == LOADING then
    error("loop or previous error loading module '" .. name .. "'", 2)
  end
  local why = {}
  for _, find in ipairs(package.loaders) do
    local found = find(name)
    if type(found) == "function" then
      loaded[name] = LOADING
      local ok, value = pcall(found, name)
      if not ok then
        loaded[name] = nil
        error(value, 0)
      end
      if value ~= nil then
        loaded[name] = value
      elseif loaded[name] == LOADING then
        loaded[name] = true
      end
      return loaded[name]
    end
    why[#why + 1] = type(found) == "string" and found or ""
  end
  error("module '" .. name .. "' not found:" .. concat(why), 2)
end

-- The top level of a script from the configuration. A script that is named like a module counts as required.
function host.run_script(path, module)
  local chunk, message = loadfile(path)
  if not chunk then
    error(message, 0)
  end
  if module == "" then
    return chunk()
  end
  package.loaded[module] = true
  local value = chunk(module)
  if value ~= nil then
    package.loaded[module] = value
  end
end

function host.run_chunk(source, chunkname)
  local chunk, message = compile(source, chunkname)
  if not chunk then
    error(message, 0)
  end
  return chunk()
end
