-- msys.lock and msys.unlock: taken, given back, and what is no use of them.

require("msys.timer")
local check = require("check")

local taken = '"list" is locked by this session already: it would wait for itself'
local free = '"list" is not locked by this session: it never was, or for longer than [state] lock_lease'

check.equal(msys.lock("list"), nil)
check.fails("msys.lock: " .. taken, function() msys.lock("list") end)
msys.lock("another")
check.equal(msys.unlock("list"), nil)
check.fails("msys.unlock: " .. free, function() msys.unlock("list") end)
msys.unlock("another")
print("ok outside sessions")

local mod = {}

function mod:validate_connect(ac, vctx)
  msys.lock("list")
  check.fails("msys.lock: " .. taken, function() msys.lock("list") end)
  msys.sleep(0.01)
  msys.unlock("list")
  msys.lock("list")
  print("ok in a session")
end

-- Held from one hook to the next; the end of the session gives it back, so that the next session gets it.
function mod:validate_ehlo(str, ac, vctx)
  msys.unlock("list")
  msys.lock("list")
end

-- A timer that ends and gives nothing back holds nothing any more: nobody has to wait for its lease to end.
function mod:validate_mailfrom()
  local fired = 0
  local function take()
    msys.lock("timer's")
    fired = fired + 1
    if fired == 2 then
      error("expected")
    end
  end
  local timers = { msys.timer.after(0.001, take), msys.timer.after(0.001, take) }
  while fired < 2 do
    msys.sleep(0.005)
  end
  msys.lock("timer's")
  msys.unlock("timer's")
  print("ok after " .. #timers .. " timers")
end

msys.registerModule("locks", mod)
