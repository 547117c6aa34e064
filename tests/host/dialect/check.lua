-- A shim for the Lua files here: each check that fails is collected, and the runner reports them all.

local failures, count = {}, 0

local function record(ok, name, got)
  count = count + 1
  if not ok then
    failures[#failures + 1] = string.format("%d %s: got %s", count, name, tostring(got))
  end
end

function equal(got, expected, name)
  record(got == expected, name or tostring(expected), got)
end

function matches(got, pattern, name)
  record(type(got) == "string" and got:find(pattern) ~= nil, name or pattern, got)
end

function fails(f, pattern, name)
  local ok, message = pcall(f)
  record(not ok and tostring(message):find(pattern) ~= nil, name or pattern, message)
end

function refused(source, pattern)
  local chunk, message = loadstring(source)
  record(chunk == nil and message:find(pattern) ~= nil, source, message)
end

function outcome()
  return count, table.concat(failures, "\n")
end
