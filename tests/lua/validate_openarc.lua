-- msys.validate.openarc: the chain of a message; what scripts see of checking it and of making it longer.

require("msys.core")
require("msys.extended.message")
require("msys.validate.openarc")
local check = require("check")
local MESS = msys.core.ECMESS_CTX_MESS

local mod = {}

local SEALER = {
  signing_domain = "football.example.com", selector = "brisbane", keybuf = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=",
  headerlist = "From:Subject", oversign_headerlist = "From", authservid = "mx.arc.example",
}

local function with(changes)
  local options = {}
  for name, value in pairs(SEALER) do options[name] = value end
  for name, value in pairs(changes) do options[name] = value end
  return options
end

function mod:validate_data(msg, accept, vctx)
  check.equal(msys.validate.openarc.verify(msg), "none")
  check.equal(msg:context_get(MESS, "arc_cv"), "none")
  local broken = msys.core.ec_message_new()
  broken:raw("ARC-Seal: i=1; cv=none\r\nFrom: a@b.example\r\n\r\nx\r\n")
  check.equal(msys.validate.openarc.verify(broken), "fail")
  check.equal(broken:context_get(MESS, "arc_cv"), "fail")
  check.equal(msys.validate.openarc.sign(broken, SEALER), nil)
  check.equal(broken:context_get(MESS, "arc_seal"), "skip")
  local fresh = msys.core.ec_message_new()
  fresh:raw("From: a@b.example\r\n\r\nx\r\n")
  check.equal(msys.validate.openarc.seal(fresh, SEALER), true)
  check.equal(fresh:context_get(MESS, "arc_cv"), "none")
  check.equal(fresh:context_get(MESS, "arc_seal"), "ok")
  check.list(fresh:header("Authentication-Results"), { "mx.arc.example; arc=none" })
  local lost = msys.core.ec_message_new()
  lost:raw("From: a@b.example\r\n\r\nx\r\n")
  check.equal(msys.validate.openarc.sign(lost, {
    signing_domain = "a.example", selector = "s", keyfile = "/nonexistent",
  }), nil)
  check.equal(lost:context_get(MESS, "arc_seal") or "", "")
end

function mod:core_post_final_validation(msg, accept, vctx)
  msg:header("Authentication-Results", "mx.arc.example; spf=pass smtp.mailfrom=ann@example.org", "prepend")
  check.equal(msys.validate.openarc.sign(msg, SEALER), true)
  check.equal(msg:header("Authentication-Results")[1], "mx.arc.example; spf=pass smtp.mailfrom=ann@example.org; arc=none")
  check.equal(msys.validate.openarc.sign(msg, with({ skip_ar_header_update = true }), "dkim=pass"), true)
  check.equal(#msg:header("Authentication-Results"), 1)
  local no_key = { signing_domain = "a.example", selector = "s" }
  local wanted = "msys.validate.openarc.sign: no key: give options.keyfile or options.keybuf"
  check.fails(wanted, function() msys.validate.openarc.sign(msg, no_key) end)
  local simple = with({ header_canon = "simple" })
  wanted = 'msys.validate.openarc.sign: header_canon can only be "relaxed"'
  check.fails(wanted, function() msys.validate.openarc.sign(msg, simple) end)
  print("ok msys.validate.openarc")
end

msys.registerModule("validate_openarc", mod)
