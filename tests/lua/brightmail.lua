-- msys.brightmail and msys.symantec_beik: what they return for wanted and unwanted mail, and for no answer.

require("msys.core")
require("msys.brightmail")
require("msys.symantec_beik")
local check = require("check")
local core = msys.core

local mod = {}

function mod:validate_data(msg, ac, vctx)
  local verdict, is_default, rules, tracker = check.results(4, msys.brightmail.scan(msg, ac, vctx))
  check.equal(verdict, "inbox")
  check.equal(is_default, true)
  check.equal(rules, "")
  check.equal(tracker, "lumilter=1; engine=clamav; verdict=clean; score=0; rules=")
  check.equal(vctx:exists(core.VCTX_MESS, "brightmail::error"), 0)
  local code, destination, default, header = check.results(4, msys.symantec_beik.scan(msg, vctx))
  check.equal(code, 1)
  check.equal(destination, "inbox")
  check.equal(default, 1)
  check.equal(header, tracker)

  local other = msg:copy()
  other:body("lumilter-test-virus\r\n")
  verdict, is_default, rules, tracker = msys.brightmail.scan(other, ac, vctx)
  check.equal(verdict, "spam")
  check.equal(is_default, false)
  check.equal(tracker, "lumilter=1; engine=clamav; verdict=infected; score=100; rules=")
  code, destination, default = msys.symantec_beik.scan(other, vctx)
  check.equal(code .. destination .. default, "1is-spam0")

  other:body("lumilter-test-broken\r\n")
  verdict, is_default = check.results(2, msys.brightmail.scan(other, ac, vctx))
  check.equal(verdict, nil)
  check.equal(is_default, "clamav: ended with status 2: no database")
  check.equal(vctx:get(core.VCTX_MESS, "brightmail::error"), is_default)
  code, destination, default = check.results(4, msys.symantec_beik.scan(other, vctx))
  check.equal(code, 0)
  check.equal(destination, is_default)
  check.equal(default, nil)
  msys.brightmail.scan(msg, ac, vctx)
  check.equal(vctx:exists(core.VCTX_MESS, "brightmail::error"), 0)
  local wanted = "bad argument #1 to 'msys.brightmail.scan' (ec_message expected, got nil)"
  check.fails(wanted, function() msys.brightmail.scan(nil, ac, vctx) end)
  print("ok")
end

msys.registerModule("brightmail", mod)
