-- A policy with a bug: it fails for one sender.
require("msys.core");

local mod = {};

function mod:validate_mailfrom(str, ac, vctx)
  local table_of_one = { ["alice@client.example"] = "known" };
  local length = #table_of_one[tostring(str)];
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("script_error", mod);
