-- msys.commtouch: the table has the words of the function's page, the context those of the module's.

require("msys.core")
require("msys.commtouch")
local check = require("check")
local core = msys.core

local mod = {}

local function variable(vctx, name)
  return vctx:get(core.VCTX_MESS, "commtouch-" .. name)
end

function mod:validate_data(msg, ac, vctx)
  local got = msys.commtouch.diagnose(msg, ac, vctx)
  check.equal(got.class, "Unknown")
  check.equal(got["virus-threat"], "non-virus")
  check.equal(got["ref-id"], "lumilter=1; engine=clamav; verdict=clean; score=0; rules=")
  check.equal(variable(vctx, "class"), "unknown")
  check.equal(variable(vctx, "virus-threat"), "nonvirus")
  check.equal(variable(vctx, "ref-id"), got["ref-id"])
  local other = msg:copy()
  other:body("lumilter-test-virus\r\n")
  got = msys.commtouch.diagnose(other)
  check.equal(got["virus-threat"], "virus")
  check.equal(variable(vctx, "virus-threat"), "virus")
  other:body("lumilter-test-broken\r\n")
  local none, why = check.results(2, msys.commtouch.diagnose(other))
  check.equal(none, nil)
  check.equal(why, "clamav: ended with status 2: no database")
  check.equal(vctx:exists(core.VCTX_MESS, "commtouch-class"), 0)
  check.equal(msys.commtouch.diagnose().class, "Unknown")
  print("ok")
end

msys.registerModule("commtouch", mod)
