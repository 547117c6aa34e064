-- The policy that comes with the package: it accepts everything and changes nothing. Put yours in its place.
-- Try it without a mail server: lumilter test -s /etc/lumilter/policy.lua -f a@example.com -r b@example.org MESSAGE
require("msys.core");

local mod = {};

function mod:validate_mailfrom(str, ac, vctx)
  -- vctx:set_code(554, "5.7.1 not wanted here"); return msys.core.VALIDATE_DONE;
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("policy", mod);
