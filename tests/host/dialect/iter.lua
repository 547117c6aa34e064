-- The generic for over objects.

local function collect(...)
  local keys = {}
  for k, v in ... do
    keys[#keys + 1] = tostring(k) .. "=" .. tostring(v)
  end
  return table.concat(keys, " ")
end

local list = { "a", "b" }
equal(collect(ipairs(list)), "1=a 2=b")
equal(collect(next, list, nil), "1=a 2=b")
equal(collect(list.missing or next, list), "1=a 2=b")

fails(function() for _ in list do end end, "iter.lua:%d+: attempt to call a table value")
fails(function() for _ in nil do end end, "attempt to call a nil value")
fails(function() for _ in 5 do end end, "attempt to call a number value")
fails(function() for _ in pairs(nil) do end end, "bad argument #1 to 'pairs'")

setmetatable(list, { __iter = ipairs })
equal(collect(list), "1=a 2=b")
equal(collect(list, "ignored", 7), "1=a 2=b")

local seen = {}
for i, v in list do
  for j in list do
    seen[#seen + 1] = i * 10 + j
  end
end
equal(table.concat(seen, ","), "11,12,21,22")

local object = newproxy(true)
getmetatable(object).__iter = function(self)
  return function(state, control)
    if control < state then
      return control + 1
    end
  end, 3, 0
end
local sum = 0
for n in object do sum = sum + n end
equal(sum, 6, "userdata, with its state and control value")

local callable = setmetatable({}, { __call = function(self, state, control) if control < 2 then return control + 1 end end })
local calls = 0
for _ in callable, nil, 0 do calls = calls + 1 end
equal(calls, 2)

local notfunction = setmetatable({}, { __iter = callable })
fails(function() for _ in notfunction do end end, "attempt to call a table value", "__iter must be a function")

local hidden = setmetatable({ 1, 2, 3 }, { __iter = ipairs, __metatable = false })
local n = 0
for _ in hidden do n = n + 1 end
equal(n, 3, "a protected metatable")

local co = coroutine.wrap(function()
  for v in setmetatable({}, { __iter = function() return coroutine.yield("in __iter") end }) do
    coroutine.yield(v)
  end
  return "end"
end)
equal(co(), "in __iter")
equal(co(function(_, c) if not c then return "item" end end), "item")
equal(co(), "end")

local function broken()
  for _ in
    pairs(
      nil
    )
  do end
end
fails(broken, "iter.lua:%d+: bad argument")
