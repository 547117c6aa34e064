-- msys.counter: by path and by handle; made when they are used first; whole numbers.

require("msys.counter")
local check = require("check")
local counter = msys.counter

local strict = check.results(1, counter.open("/site/tests/strict"))
local relaxed = counter.open("/site/tests/relaxed", msys.counter.RELAXED)
check.equal(msys.type(strict), "counter")
check.equal(tostring(strict), "/site/tests/strict")
check.equal(msys.counter.STRICT ~= msys.counter.RELAXED, true)
check.equal(check.results(1, counter.read(strict)), 0)

check.equal(counter.inc(strict), nil)
counter.inc("/site/tests/strict")
check.equal(counter.add(strict, 40), nil)
counter.add("/site/tests/strict", -2)
check.equal(counter.read("/site/tests/strict"), 40)
check.equal(counter.read(counter.open("/site/tests/strict", msys.counter.STRICT)), 40)
counter.add(relaxed, 1024)
check.equal(counter.read(relaxed), 1024)

check.equal(counter.read("/site/tests/absent"), 0)
check.equal(counter.reset("/site/tests/absent"), nil)
counter.add("/site/tests/new", 2^53 - 2)
counter.inc("/site/tests/new")
counter.inc("/site/tests/new")
check.equal(counter.read("/site/tests/new"), 2^53 - 1)
check.equal(counter.reset(strict), nil)
check.equal(counter.read(strict), 0)
check.equal(counter.unlink("/site/tests/new"), nil)
check.equal(counter.read("/site/tests/new"), 0)
counter.unlink("/site/tests/new")

check.fails('msys.counter.inc: "errors" is no path of a counter: it begins with a slash, such as "/site/name/errors"', function() counter.inc("errors") end)
check.fails("bad argument #2 to 'msys.counter.add' (number expected, got string)", function() counter.add(strict, "x") end)
check.fails("msys.counter.open: 7 is neither msys.counter.STRICT (0) nor RELAXED (1)", function() counter.open("/site/tests/strict", 7) end)
check.fails("bad argument #1 to 'msys.counter.read' (counter expected, got table)", function() counter.read({}) end)
print("ok counters")

local mod = {}

function mod:validate_connect(ac, vctx)
  counter.inc(strict)
end

function mod:validate_mailfrom(str, ac, vctx)
  check.equal(counter.read(strict) > 0, true)
  print("ok in sessions")
end

msys.registerModule("counter", mod)
