-- A policy that is through with a session once it is connected.
require("msys.core");
require("msys.extended.vctx");

local mod = {};

function mod:validate_connect(ac, vctx)
  if string.find(tostring(ac.remote_addr), "192.0.2.", 1, true) then
    vctx:set_code(554, "5.7.1 not from there");
    return msys.core.VALIDATE_DONE;
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("connect_only", mod);
