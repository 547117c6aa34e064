-- thread.mutex: kinds, results and errors as pthreads have them; who waits holds up nobody.

require("thread")
require("msys.core")
local check = require("check")
local mod = {}

function mod:validate_connect()
  for _, kind in ipairs({ thread.MUTEX_NORMAL, thread.MUTEX_RECURSIVE, thread.MUTEX_ERRORCHECK }) do
    local lock = thread.mutex(kind)
    check.equal(msys.type(lock), "thread.mutex")
    check.equal(lock:lock(), true)
    local seen
    msys.runInPool("IO", function()
      seen = { lock:trylock(), lock:lock(), pcall(lock.unlock, lock) }
    end, true)
    msys.sleep(0.02)
    check.equal(seen, nil) -- it waits
    check.equal(lock:unlock(), true)
    msys.sleep(0.02)
    check.list(seen, { 16, true, true, true })
  end
  print("ok", "one waits for the other")
end

function mod:validate_ehlo()
  local normal, recursive, checked = thread.mutex(), thread.mutex(thread.MUTEX_RECURSIVE), thread.mutex(2)
  normal:lock()
  check.fails("mutex:lock: failed to lock mutex: 35 Resource deadlock avoided", function() return normal:lock(), 1 end)
  check.equal(recursive:lock() and recursive:lock() and recursive:trylock(), true)
  check.equal(recursive:unlock() and recursive:unlock() and recursive:unlock(), true)
  check.fails("mutex:unlock: failed to unlock mutex: 1 Operation not permitted", function() return recursive:unlock(), 1 end)
  checked:lock()
  local ok, free, denied = msys.runInPool("IO", function()
    return normal:unlock(), select(2, pcall(checked.unlock, checked))
  end)
  check.list({ ok, free, denied }, { true, true, "mutex:unlock: failed to unlock mutex: 1 Operation not permitted" })
  check.equal(checked:trylock(), 16)
  check.equal(checked:unlock(), true)
  local wanted = "thread.mutex: specify one of thread.MUTEX_NORMAL, thread.MUTEX_RECURSIVE or thread.MUTEX_ERRORCHECK"
  check.fails(wanted, function() return thread.mutex(7), 1 end)
  print("ok", "kinds")
end

-- What fails gives back what it holds.
function mod:validate_mailfrom()
  local lock, second, third = thread.mutex(), thread.mutex(), thread.mutex()
  msys.runInPool("IO", function()
    lock:lock()
    second:lock()
    third:lock()
    msys.sleep(0.01)
    error("expected")
  end, true)
  msys.sleep(0.001)
  check.equal(lock:trylock(), 16)
  check.list({ lock:lock(), second:trylock(), third:trylock() }, { true, true, true })
  local other = thread.mutex()
  local ok = msys.runInPool("IO", function()
    other:lock()
    error("expected")
  end)
  check.list({ ok, other:trylock() }, { false, true })
  print("ok", "given back")
end

msys.registerModule("thread", mod)
