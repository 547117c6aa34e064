-- Who authenticated is written into the message.
require("msys.core");
require("msys.extended.message");
require("msys.extended.vctx");

local mod = {};

function mod:validate_data(msg, ac, vctx)
  local user = vctx:get(msys.core.VCTX_CONN, "auth_user");
  if user ~= "" then -- a variable that does not exist is ""
    msg:header("X-Authenticated", user .. " by " .. vctx:get(msys.core.VCTX_CONN, "auth_name"));
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("auth", mod);
