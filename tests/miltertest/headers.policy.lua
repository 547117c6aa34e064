-- A header is changed, one deleted, one put on top, one at the end.
require("msys.core");
require("msys.extended.message");

local mod = {};

function mod:validate_data(msg, ac, vctx)
  msg:header("Subject", "[checked] " .. msg:header("Subject")[1]);
  msg:header("X-Secret", "");
  msg:header("X-First", "top", "prepend");
  msg:header("X-Last", "bottom", "append");
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("headers", mod);
