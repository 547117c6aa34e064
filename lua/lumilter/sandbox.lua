-- Takes away what a policy script has no business with, and gives what Momentum's global environment has.
--
-- The law: runs last, once; `host.allow` is the set of names that the configuration gives back ("ffi", "io.popen",
-- "os.execute"). What is taken raises an error that names the key to set, except where scripts test for a name.

local host = ...
local allow = host.allow

local function refuse(name)
  return function()
    error(name .. ' is switched off; add "' .. name .. '" to lua.allow in the configuration if the scripts need it', 2)
  end
end

for _, library in ipairs({ "io", "os" }) do
  for _, member in ipairs({ "popen", "execute" }) do
    local name = library .. "." .. member
    if _G[library][member] and not allow[name] then
      _G[library][member] = refuse(name)
    end
  end
end

os.exit = function()
  error("os.exit would end the daemon; return from the hook instead", 2)
end
newproxy = function()
  error("newproxy is switched off: nothing could stop a finalizer", 2)
end
package.loadlib = function()
  error("package.loadlib is switched off: scripts can't load machine code", 2)
end
package.cpath = ""

-- What remains of debug reads the stack; the rest could reach into other scripts, the registry or the count hook.
debug = {
  traceback = debug.traceback,
  getinfo = debug.getinfo,
  output = print,
}

python = nil
jit = { version = jit.version, os = jit.os, arch = jit.arch }
package.loaded.debug, package.loaded.jit, package.loaded.python = debug, jit, nil
for name in pairs(package.loaded) do
  if name:find("^jit%.") or name == "lupa" then
    package.loaded[name] = nil
  end
end
for name in pairs(package.preload) do
  if name ~= "table.new" and name ~= "table.clear" and name ~= "ffi" then
    package.preload[name] = nil
  end
end
if not allow.ffi then
  package.preload.ffi = refuse("ffi")
end

-- A generation's own globals only, so that a reload starts clean.
collectgarbage("collect")
