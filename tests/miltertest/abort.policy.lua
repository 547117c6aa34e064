-- Counts recipients in the message's context and messages in the connection's.
require("msys.core");
require("msys.extended.message");
require("msys.extended.vctx");

local mod = {};

local function count(vctx, context, key)
  local n = (tonumber(vctx:get(context, key)) or 0) + 1;
  vctx:set(context, key, tostring(n));
end

function mod:validate_mailfrom(str, ac, vctx)
  count(vctx, msys.core.VCTX_CONN, "begun");
  return msys.core.VALIDATE_CONT;
end

function mod:validate_rcptto(msg, str, ac, vctx)
  count(vctx, msys.core.VCTX_MESS, "recipients");
  return msys.core.VALIDATE_CONT;
end

function mod:validate_data(msg, ac, vctx)
  msg:header("X-Counted", string.format("message %s, recipients %s", vctx:get(msys.core.VCTX_CONN, "begun"),
    vctx:get(msys.core.VCTX_MESS, "recipients")));
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("abort", mod);
