-- Mail with a certain subject is held for a human.
require("msys.core");
require("msys.extended.message");

local mod = {};

function mod:validate_data(msg, ac, vctx)
  if msg:header("Subject")[1] == "Invoice" then
    msg:quarantine("invoices are looked at");
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("quarantine", mod);
