-- What a policy runs beside its sessions, written as the manual writes it: timers, pools, locks, console commands.

require("msys.core");
require 'msys.timer';
require('msys.os');
require('thread');
require('msys.threadpool');

t = msys.timer.after(10, function ()
  print("t: I am the 10 second one-shot timer")
end, "t")
rep = msys.timer.every(2, function ()
  print("rep: I am the 2 second repeating timer")
end, "repeater")

counter_lock = thread.mutex()
counter = 0;

function counter_inc()
   counter_lock:lock()
   counter = counter + 1
   counter_lock:unlock()
end

function counter_get()
   local value
   counter_lock:lock()
   value = counter
   counter_lock:unlock()
   return value
end

counter_inc()
print("ok", "value is", counter_get())

local cache = {};

local function subscribe(cc)
  if cc.argc < 2 then
    print ("usage: subscribe PATH");
    return;
  end
  local path = cc.argv[1];
  if cache[path] == nil then
    cache[path] = msys.os.statvfs_subscribe(path, 5);
    print ("ok", "subscribed to " .. path);
  end
end

local function read(cc)
  local st = nil;
  if cache[cc.argv[1]] == nil then
    print ("no subscription");
  end
  st, e = msys.os.statvfs_read(cache[cc.argv[1]]);
  if (st == nil) then
    print (e);
  else
    print ("ok", "version " .. st["version"] .. ": " .. st["kilobytes_available"] .. " of " .. st["kilobytes_total"]
      .. " kB, " .. st["objects_available"] .. " of " .. st["objects_total"] .. " objects");
  end
  return st;
end

msys.registerControl("subscribe", subscribe)
msys.registerControl("read", read)

local mod = {};

_OSTLS.async_t_marker = 42;

function mod:validate_mailfrom(str, accept, vctx)
  status, res = msys.runInPool("IO",
    function()
      return "done";
    end,
    function()
      print("ok", "completed");
    end,
    msys.core.ECTP_COMPLETE_CALLBACK_SCHED
  );
  do_heavy_lifting = function()
    print("ok", "doing heavy lifting")
    return true
  end
  st, res = msys.runInPool('IO', do_heavy_lifting)
  assert(st == true and res == true)
  local domain = "domain.example"
  local inst = msys.core.scheduler_for_domain(domain)
  local outer_ok, outer_result
    = msys.runInPool("CPU",
      function()
        local inner_ok, inner_result = msys.runInInst(inst,
          function()
            return domain
          end)
        if inner_ok then
          return inner_result
        else
          print("Failed", inner_result)
        end
      end)
  assert(outer_ok and outer_result == domain)
  s = msys.threadpool.stat("SWAPIN");
  print ("ok", s["invocations"]);
  s = msys.threadpool.stat(1);
  print ("ok", s["job_num_queued"]);
  local mob, tmob = msys.config("get", "max_outbound_connections");
  assert(mob == nil and tmob:find("max_outbound_connections", 1, true))
end

function mod:validate_data(msg, ac, vctx)
  msys.runInPool('CPU', function ()
    print("ok", "in cpu", _OSTLS.async_t_marker, msg:header("Subject")[1]);
  end, true);
  return msys.core.VALIDATE_CONT;
end

function mod:validate_data_spool(msg, ac, vctx)
  msys.runInPool('CPU',
    function ()
      print("CB", "cb data spool", _OSTLS.async_t_marker);
    end,
    function ()
      print("CB", "cb completing", _OSTLS.async_t_marker);
    end
  )
end

msys.registerModule("beside", mod);
