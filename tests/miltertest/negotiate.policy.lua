-- The smallest policy: it looks at recipients and at nothing else.
require("msys.core");
require("msys.extended.vctx");

local mod = {};

function mod:validate_rcptto(msg, str, ac, vctx)
  if tostring(str) == "nobody@site.example" then
    vctx:set_code(550, "5.1.1 no such user");
    return msys.core.VALIDATE_DONE;
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("negotiate", mod);
