-- msys.spamc: everything that it says is in the message's context.

require("msys.core")
require("msys.extended.message")
require("msys.spamc")
local check = require("check")
local core = msys.core

local mod = {}

local function said(msg)
  local found = {}
  for _, name in ipairs({ "status", "spam", "score", "thresh", "symbols" }) do
    found[#found + 1] = msg:context_get(core.ECMESS_CTX_MESS, "spamc_" .. name)
  end
  return table.concat(found, " ")
end

function mod:validate_data_spool(msg, ac, vctx)
  check.results(1, (msys.spamc.spamc_scan(msg)))
  check.equal(said(msg), "ok false 0.00 50.00 ")
  local other = msg:copy()
  other:body("lumilter-test-virus\r\n")
  msys.spamc.spamc_scan(other)
  check.equal(said(other), "ok true 100.00 50.00 ")
  other:body("lumilter-test-broken\r\n")
  msys.spamc.spamc_scan(other)
  check.equal(said(other), "failed    ")
  check.equal(other:context_exists(core.ECMESS_CTX_MESS, "spamc_spam"), 0)
  print("ok", said(msg))
end

msys.registerModule("spamc", mod)
