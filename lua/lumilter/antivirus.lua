-- [antivirus] enabled: every message is scanned before the scripts see it.
--
-- The law: a policy like any other, registered before all others. What is to come of what is found is for msys.av.scan,
-- which knows the configuration.

require("msys.core")
require("msys.av")

local mod = {}

function mod:validate_data(msg, ac, vctx)
  msys.av.scan(nil, msg, vctx)
  return vctx.code >= 400 and msys.core.VALIDATE_DONE or msys.core.VALIDATE_CONT
end

msys.registerModule("antivirus", mod)
