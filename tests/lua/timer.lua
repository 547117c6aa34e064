-- msys.timer: once, at a time, again and again; stopped, started, named, and gone with the last reference.

require("msys.core")
require("msys.timer")
local check = require("check")
local mod = {}

local function wait_for(condition)
  for _ = 1, 500 do
    if condition() then
      return
    end
    msys.sleep(0.01)
  end
  error("it did not happen", 2)
end

-- What is made while scripts load fires where the daemon says so: here nowhere.
loading = msys.timer.every(0.01, function()
  print("failed: the loading timer fired")
end)

function mod:init()
  check.equal(msys.type(loading), "timer")
  check.equal(loading:name(), nil)
  return true
end

function mod:validate_connect(accept)
  local fired = {}
  t = msys.timer.after(0.01, function()
    fired.t = (fired.t or 0) + 1
    check.equal(_TLS.peer, nil) -- not this session's
  end, "t")
  check.equal(t:name(), "t")
  u = msys.timer.at(os.time() - 10, function()
    fired.u = (fired.u or 0) + 1
  end)
  stopped = msys.timer.after(0.01, function()
    fired.stopped = true
  end)
  stopped:stop()
  wait_for(function()
    return fired.t == 1 and fired.u == 1
  end)
  t:start()
  u:start()
  wait_for(function()
    return fired.t == 2 and fired.u == 2
  end)
  check.equal(fired.stopped, nil)
  local times, inside = 0, 0
  rep = msys.timer.every(0.005, function()
    check.equal(inside, 0) -- never twice at once
    inside = inside + 1
    msys.sleep(0.02)
    inside = inside - 1
    times = times + 1
    if times == 3 then
      rep:stop()
    end
  end, "repeater")
  wait_for(function()
    return times == 3
  end)
  msys.sleep(0.05)
  check.equal(times, 3)
  print("ok", "after, at and every")
end

-- The manual: a timer that nothing holds does not fire, even if its closure mentions it.
function mod:validate_ehlo()
  local fired = false
  do
    local timer
    timer = msys.timer.after(0.2, function()
      fired = timer:name()
    end, "dropped")
  end
  for _ = 1, 3 do
    collectgarbage("collect")
    msys.sleep(0.001)
  end
  msys.sleep(0.4)
  check.equal(fired, false)
  check.fails("msys.timer.every: expected an interval of at least 0.001 s, got 0", function() return msys.timer.every(0, print), 1 end)
  check.fails("msys.timer.after: the time is not a finite number", function() return msys.timer.after(0 / 0, print), 1 end)
  check.fails("bad argument #2 to 'msys.timer.after' (function expected, got string)", function() return msys.timer.after(1, "print"), 1 end)
  print("ok", "references and refusals")
end

-- No session is needed to send a message that was made.
function mod:validate_mailfrom()
  local sent
  sender = msys.timer.after(0.01, function()
    local msg = msys.core.ec_message_new(os.time())
    msg:build({ Subject = "from a timer" }, { ["text/plain"] = "body" }, nil)
    sent = msg:inject("", "postmaster@example.com")
  end)
  wait_for(function()
    return sent
  end)
  print("ok", "a message")
end

msys.registerModule("timer", mod)
