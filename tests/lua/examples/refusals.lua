-- Refusing: a recipient by code, a client for good; `!=` and codes as text are ordinary in policies.

require("msys.core")
require("msys.pbp")
require("msys.extended.message")

local mod = {}

function mod:validate_mailfrom(str, accept, vctx)
  str = tostring(str)
  if (string.find(str, "spammer@", 1, true) != nil) then
    vctx:disconnect(421, "Not you again")
    return msys.core.VALIDATE_DONE
  end
  return msys.core.VALIDATE_CONT
end

function mod:validate_rcptto(msg, str, accept, vctx)
  if !string.find(tostring(str), "^bob@") then
    return vctx:pbp_action("550", "5.1.1 nobody of that name")
  end
end

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  assert(msg:rcptto() == "bob@example.com", msg:rcptto())
  assert(vctx.code == 250)
  print("ok only bob")
end

-- Execution goes on after a refusal that is taken back.
function mod:validate_data(msg, accept, vctx)
  vctx:set_code("553", "5.7.1 no")
  vctx.code, vctx.note = 250, nil
end

msys.registerModule("refusals", mod)
