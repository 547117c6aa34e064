-- What the test files here compare with: a failed comparison is an error at the line that made it.
--
-- The law: no knowledge of lumilter; plain Lua that runs in Momentum as well.

local check = {}

local function shown(value)
  return type(value) == "string" and string.format("%q", value) or tostring(value)
end

function check.equal(got, wanted)
  if got ~= wanted then
    error("got " .. shown(got) .. ", wanted " .. shown(wanted), 2)
  end
end

-- Arrays of the same values; `first` is the index of the first element (1).
function check.list(got, wanted, first)
  first = first or 1
  if type(got) ~= "table" then
    error("got " .. shown(got) .. ", wanted a table", 2)
  end
  for i, value in ipairs(wanted) do
    local at = first + i - 1
    if got[at] ~= value then
      error("at " .. at .. " got " .. shown(got[at]) .. ", wanted " .. shown(value), 2)
    end
  end
  if got[first + #wanted] ~= nil or got[first - 1] ~= nil then
    error("more elements than wanted", 2)
  end
end

-- The results of a call, counted: check.results(3, f()).
function check.results(wanted, ...)
  local got = select("#", ...)
  if got ~= wanted then
    error("got " .. got .. " results, wanted " .. wanted, 2)
  end
  return ...
end

-- The call must fail with exactly that message, at the line on which check.fails is called.
function check.fails(wanted, call)
  local info = debug.getinfo(2, "Sl")
  local ok, message = pcall(call)
  if ok then
    error("no error, wanted: " .. wanted, 2)
  end
  wanted = info.short_src .. ":" .. info.currentline .. ": " .. wanted
  if message ~= wanted then
    error("got the error " .. shown(message) .. ", wanted " .. shown(wanted), 2)
  end
end

return check
