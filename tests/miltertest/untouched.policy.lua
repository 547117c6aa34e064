-- Looks at everything and changes nothing; setting what is already there is no change.
require("msys.core");
require("msys.extended.message");

local mod = {};

function mod:validate_data(msg, ac, vctx)
  local subject = msg:header("Subject")[1];
  msg:header("X-Temporary", subject);
  msg:header("X-Temporary", "");
  msg:mailfrom(msg:mailfrom());
  return msys.core.VALIDATE_CONT;
end

function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  msg:rcptto(msg:rcptto());
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("untouched", mod);
