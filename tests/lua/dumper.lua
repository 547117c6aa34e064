-- msys.dumper: any value as text.

require("msys.dumper")
local check = require("check")
local Dumper = msys.dumper.Dumper

local mod = {}

function mod:validate_connect(ac, vctx)
  check.equal(check.results(1, msys.dumper.Dumper(nil)), "nil")
  check.equal(Dumper(), "nil")
  check.equal(Dumper(true), "true")
  check.equal(Dumper(12.5), "12.5")
  check.equal(Dumper("a \"quoted\" text"), [["a \"quoted\" text"]])
  check.equal(Dumper({}), "{}")
  check.equal(Dumper({ "x", 2 }), '{\n  [1] = "x",\n  [2] = 2,\n}')
  check.equal(Dumper({ b = { c = 1 }, a = false }), '{\n  ["a"] = false,\n  ["b"] = {\n    ["c"] = 1,\n  },\n}')
  check.equal(Dumper(ac.remote_addr), tostring(ac.remote_addr))
  check.equal(Dumper(print):match("^function: ") ~= nil, true)

  local cycle = {}
  cycle.me = cycle
  check.equal(Dumper(cycle):match('%["me"%] = <cycle: table: 0x%x+>') ~= nil, true)
  local deep = {}
  for _ = 1, 1000 do
    deep = { deep }
  end
  check.equal(Dumper(deep):find("<deeper>", 1, true) ~= nil, true)
  print("ok values")
end

-- Whatever the keys and however its elements behave, there is a text.
function mod:validate_ehlo(str, ac, vctx)
  local keys = { [1] = 1, [2.5] = 1, [-1] = 1, x = 1, [""] = 1, [true] = 1, [false] = 1, [ac] = 1, [vctx] = 1 }
  for i = 1, 40 do
    keys[{}] = i
    keys[function() end] = i
    keys[coroutine.create(print)] = i
  end
  check.equal(type(Dumper(keys)), "string")
  local broken = setmetatable({}, {
    __tostring = function() error("on purpose") end,
    __index = function() error("on purpose") end,
    __len = function() return 1e9 end,
  })
  check.equal(Dumper(broken), "{}")
  check.equal(type(Dumper({ [broken] = 1 })), "string")
  broken.me = broken
  check.equal(type(Dumper(broken)), "string")
  check.equal(Dumper("\0\200"):byte(-2), 200)
  print("ok odd values")
end

msys.registerModule("dumper", mod)
