-- The manual's examples of msys.audit.connections and ac:inbound_session_count, and a policy on concurrent connections.

require("msys.core");
require("msys.audit");
require("msys.extended.message");
require("msys.extended.ac");
require("msys.extended.vctx");

local mod = {};

function mod:validate_mailfrom(str, ac, vctx)
  local conn = msys.audit.connections("60,1");
  local rcpt = msys.audit.receptions("60,1");
  local rejn = msys.audit.rejections("60,1");
  print("ok counts", conn, rcpt, rejn)
  return msys.core.VALIDATE_DONE;
end

msys.registerModule("validate_mailfrom", mod);

local limits = {}

function limits:validate_connect(ac, vctx)
  local count = ac:inbound_session_count("localhost/32");
  assert(count == 0)
  count = ac:inbound_session_count(nil, "Control");
  assert(count == 0)
  local this_ip = msys.expandMacro("%{spfv1:i}");
  if msys.audit.inbound_session_count("/32", "SMTP") > 2 then
    vctx:disconnect(421, "Too many simultaneous connections from: " .. this_ip);
    return msys.core.VALIDATE_DONE;
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("connectionlimit", limits);
