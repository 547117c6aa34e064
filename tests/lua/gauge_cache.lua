-- msys.gauge_cache: values that go up and down, their number, and what is refused.

require("msys.gauge_cache")
local check = require("check")
local gauge = msys.gauge_cache

check.equal(gauge.define("open", 3, 600), nil)
gauge.define("open", 3, 600, false)
check.fails('msys.gauge_cache.define: the gauge cache "open" is defined already, and otherwise', function() gauge.define("open", 4, 600) end)
check.fails("msys.gauge_cache.define: a gauge cache has 1 key or more, and each lives more than 0 seconds", function() gauge.define("none", 0, 600) end)

check.equal(check.results(1, gauge.get("open", "a")), 0)
check.equal(check.results(1, gauge.inc("open", "a")), 1)
check.equal(gauge.inc("open", "a"), 2)
check.equal(check.results(1, gauge.dec("open", "a")), 1)
check.equal(gauge.dec("open", "b"), -1)
check.equal(gauge.get("open", "a"), 1)
check.equal(gauge.get("open", "b"), -1)

-- A fourth key takes the place of the one that was changed the longest ago.
gauge.inc("open", "c")
gauge.inc("open", "a")
gauge.inc("open", "d\0\255")
check.equal(gauge.get("open", "b"), 0)
check.equal(gauge.get("open", "a"), 2)
check.equal(gauge.get("open", "d\0\255"), 1)
check.equal(gauge.remove_item("open", "a"), nil)
gauge.remove_item("open", "a")
check.equal(gauge.get("open", "a"), 0)
check.equal(gauge.get("open", "c"), 1)

local absent = ': there is no gauge cache "none": msys.gauge_cache.define defines one'
check.fails("msys.gauge_cache.inc" .. absent, function() gauge.inc("none", "a") end)
check.fails("msys.gauge_cache.get" .. absent, function() gauge.get("none", "a") end)
check.fails("bad argument #2 to 'msys.gauge_cache.dec' (value expected)", function() gauge.dec("open") end)
print("ok gauges")

local mod = {}

function mod:validate_connect(ac, vctx)
  check.equal(gauge.get("open", "c"), ac.remote_addr ~= nil and gauge.get("open", "c"))
  gauge.inc("open", "c")
end

function mod:validate_mailfrom(str, ac, vctx)
  check.equal(gauge.get("open", "c") > 1, true)
  print("ok in sessions")
end

msys.registerModule("gauge_cache", mod)
