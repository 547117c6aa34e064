-- msys.runInPool in its four forms, msys.runInInst, and figures of pools.

require("msys.core")
require("msys.threadpool")
local check = require("check")
local mod = {}

-- Waiting: results and errors as of pcall, whatever they are.
function mod:validate_connect(accept)
  _TLS.peer = "this session's"
  local made = {}
  local function closure()
    check.equal(_TLS.peer, "this session's")
    msys.sleep(0.01)
    return 1, nil, made
  end
  local ok, one, none, same = check.results(4, msys.runInPool("IO", closure))
  check.list({ ok, one, none == nil, same }, { true, 1, true, made })
  check.equal(select("#", msys.runInPool(0, function() end, false)), 1)
  local failed, message = msys.runInPool("cpu", function() error("bad") end)
  check.equal(failed, false)
  check.equal(message:match("%d+: bad$") ~= nil, true)
  failed, message = msys.runInPool("IO", function() error(made) end)
  check.list({ failed, message }, { false, made })
  ok, one = msys.runInInst(msys.core.scheduler_for_domain("domain.example"), function() return "there" end)
  check.list({ ok, one }, { true, "there" })
  -- One in the other: the inner one's error is the outer one's to deal with.
  local function inner(fails)
    return msys.runInPool("CPU", function()
      local inst = msys.core.scheduler_for_domain("domain.example")
      local done, result = msys.runInInst(inst, function()
        msys.sleep(0.01)
        return fails and error("inside") or "inside"
      end)
      return done and result or "failed"
    end)
  end
  check.list({ inner(false) }, { true, "inside" })
  check.list({ inner(true) }, { true, "failed" })
  print("ok", "waiting")
end

-- Not waiting: it begins when the script gets off.
function mod:validate_ehlo(helo)
  local seen = {}
  local function note(what)
    return function(...)
      check.equal(select("#", ...), 0)
      seen[#seen + 1] = what
      return what
    end
  end
  check.results(0, msys.runInPool("IO", note("alone"), true))
  check.results(0, msys.runInPool("IO", note("first"), note("second")))
  check.results(0, msys.runInPool("IO", note("third"), note("fourth"), msys.core.ECTP_COMPLETE_CALLBACK_SCHED))
  check.results(0, msys.runInPool("IO", note("fifth"), note("sixth"), msys.core.ECTP_COMPLETE_CALLBACK))
  check.equal(#seen, 0)
  msys.sleep(0.05)
  table.sort(seen)
  check.list(seen, { "alone", "fifth", "first", "fourth", "second", "sixth", "third" })
  print("ok", "not waiting")
end

function mod:validate_mailfrom()
  check.equal(msys.threadpool.count(), 9)
  check.equal(msys.threadpool.find("SWAPIN"), 3)
  check.equal(msys.threadpool.find(3), "SwapIn")
  check.equal(msys.threadpool.find("nope"), nil)
  check.equal(msys.threadpool.find(99), nil)
  if msys.threadpool.stat("Unlink").invocations > 0 then
    return -- the second session
  end
  for _ = 1, 8 do
    msys.runInPool("Unlink", function() msys.sleep(0.02) end, true)
  end
  local now = msys.threadpool.stat(5)
  check.equal(now.job_num_running, 6)
  check.equal(now.num_active_threads, 6)
  check.equal(now.num_inactive_threads, 0)
  check.equal(now.job_num_queued, 2)
  check.equal(now.queue_sz, 2)
  msys.sleep(0.1)
  now = msys.threadpool.stat("UNLINK")
  check.equal(now.name, "Unlink")
  check.equal(now.invocations, 8)
  check.equal(now.num_threads, 6)
  check.equal(now.avg_concurrency, (1 + 2 + 3 + 4 + 5 + 6 + 6 + 6) / 8)
  check.equal(now.saturation, 100 * 3 / 8)
  check.equal(now.avg_wallclock_time_per_op >= 20, true)
  check.equal(tostring(now):match("Total invocations: (%d+)"), "8")
  check.equal(msys.threadpool.stat("nope"), nil)
  local lookups = msys.threadpool.stat("lookups").invocations
  msys.dnsLookup("example.com", "a")
  check.equal(msys.threadpool.stat(8).invocations, lookups + 1)
  print("ok", "figures")
end

function mod:validate_rcptto()
  local where = 'there is no thread pool "nope"; [[pool]] name = "..." in the configuration declares one'
  check.fails("msys.runInPool: " .. where, function() return msys.runInPool("nope", print), 1 end)
  check.fails("bad argument #2 to 'msys.runInPool' (function expected, got nil)", function() return msys.runInPool("IO", nil), 1 end)
  local ok, message = pcall(table.sort, { 1, 2 }, function(a, b)
    msys.runInPool("IO", print)
    return a < b
  end)
  check.equal(ok, false)
  check.equal(message:match("msys.asyncOk%(%) is false") ~= nil, true)
  print("ok", "refusals")
end

msys.registerModule("threadpool", mod)
