-- msys.expurgate: numbers before texts, the same in the context, and constants that are all different.

require("msys.core")
require("msys.expurgate")
local check = require("check")
local core = msys.core

local mod = {}

local function different(values)
  local seen = {}
  for _, value in ipairs(values) do
    check.equal(type(value), "number")
    check.equal(seen[value], nil)
    seen[value] = true
  end
  return #values
end

local function constants()
  check.equal(6, different({ msys.expurgate.TYPE_UNKNOWN, msys.expurgate.TYPE_CLEAN, msys.expurgate.TYPE_SUSPECT,
    msys.expurgate.TYPE_SPAM, msys.expurgate.TYPE_BULK, msys.expurgate.TYPE_DANGEROUS }))
  check.equal(25, different({ msys.expurgate.SUBTYPE_NORMAL, msys.expurgate.SUBTYPE_CLEAN_EMPTY,
    msys.expurgate.SUBTYPE_CLEAN_ALMOST_EMPTY, msys.expurgate.SUBTYPE_CLEAN_EMPTY_BODY, msys.expurgate.SUBTYPE_CLEAN_BOUNCE,
    msys.expurgate.SUBTYPE_BULK_ADV, msys.expurgate.SUBTYPE_BULK_PORN, msys.expurgate.SUBTYPE_DANGEROUS_VIRUS,
    msys.expurgate.SUBTYPE_DANGEROUS_ATTACHMENT, msys.expurgate.SUBTYPE_DANGEROUS_CODE, msys.expurgate.SUBTYPE_DANGEROUS_IFRAME,
    msys.expurgate.SUBTYPE_DANGEROUS_OUTBREAK, msys.expurgate.SUBTYPE_SUSPECT_URL, msys.expurgate.SUBTYPE_SUSPECT_URL_COUNT,
    msys.expurgate.SUBTYPE_SUSPECT_MAIL_COUNT, msys.expurgate.SUBTYPE_SUSPECT_SENDER, msys.expurgate.SUBTYPE_SUSPECT_USER1,
    msys.expurgate.SUBTYPE_SUSPECT_USER2, msys.expurgate.SUBTYPE_SUSPECT_USER3, msys.expurgate.SUBTYPE_SUSPECT_USER4,
    msys.expurgate.SUBTYPE_SUSPECT_USER5, msys.expurgate.SUBTYPE_SUSPECT_USER6, msys.expurgate.SUBTYPE_SUSPECT_USER7,
    msys.expurgate.SUBTYPE_SUSPECT_USER8, msys.expurgate.SUBTYPE_SUSPECT_USER9 }))
end

local function variables(vctx, majorscore, minorscore, result, subtype)
  check.equal(vctx:get(core.VCTX_MESS, "eleven-majorscore"), majorscore)
  check.equal(vctx:get(core.VCTX_MESS, "eleven-minorscore"), minorscore)
  check.equal(vctx:get(core.VCTX_MESS, "eleven-result"), result)
  check.equal(vctx:get(core.VCTX_MESS, "eleven-result-subtype"), subtype)
end

function mod:validate_data(msg, ac, vctx)
  constants()
  local major, minor, result, subtype = check.results(4, msys.expurgate.scan())
  check.equal(major, msys.expurgate.TYPE_CLEAN)
  check.equal(minor, msys.expurgate.SUBTYPE_NORMAL)
  check.equal(result .. "/" .. subtype, "clean/normal")
  variables(vctx, tostring(major), tostring(minor), "clean", "normal")
  local other = msg:copy()
  other:body("lumilter-test-virus\r\n")
  major, minor, result, subtype = msys.expurgate.scan(other, ac, vctx)
  check.equal(major, msys.expurgate.TYPE_DANGEROUS)
  check.equal(minor, msys.expurgate.SUBTYPE_DANGEROUS_VIRUS)
  check.equal(result .. "/" .. subtype, "dangerous/virus")
  variables(vctx, tostring(major), tostring(minor), "dangerous", "virus")
  other:body("lumilter-test-broken\r\n")
  local none, why = check.results(2, msys.expurgate.scan(other, nil, nil))
  check.equal(none, nil)
  check.equal(why, "clamav: ended with status 2: no database")
  variables(vctx, "error", why, "error", why)
  print("ok")
end

msys.registerModule("expurgate", mod)
