-- msys.pbp: the calls that Momentum's default policy adds to the context; both end the phase.

require("msys.pbp")
local check = require("check")

local mod = {}

function mod:validate_connect(ac, vctx)
  check.equal(check.results(1, vctx:pbp_action(550, "5.7.1 no")), msys.core.VALIDATE_DONE)
  check.equal(vctx.code, 550)
  check.equal(vctx.note, "5.7.1 no")
  check.equal(vctx:pbp_action("450", nil), msys.core.VALIDATE_DONE)
  check.equal(vctx.code, 450)
  check.fails("vctx:pbp_action: 7 is not an SMTP reply code (200 to 599)", function() vctx:pbp_action(7, "x") end)
  check.fails("bad argument #2 to 'vctx:pbp_action' (value expected)", function() vctx:pbp_action(550) end)
  vctx:set_code(250, nil)
  print("ok action")
end

function mod:validate_ehlo(str, ac, vctx)
  check.equal(check.results(1, vctx:pbp_disconnect(421, "4.7.0 go")), msys.core.VALIDATE_DONE)
  check.equal(vctx.code, 421)
  check.equal(vctx.note, "4.7.0 go")
  check.fails("vctx:pbp_disconnect: 250 does not refuse anything; disconnect needs a 4xx or 5xx code", function() vctx:pbp_disconnect(250, "x") end)
  vctx:set_code(250, nil)
  vctx.disconnect = 0
  print("ok disconnect")
end

-- Taken back above: the session is still there.
function mod:validate_mailfrom(str, ac, vctx)
  check.equal(vctx.code, 250)
end

msys.registerModule("pbp", mod)
