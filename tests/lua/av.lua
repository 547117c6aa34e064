-- msys.av: status, information, engine and code of every kind of answer, and the variables that go with them.

require("msys.core")
require("msys.av")
require("msys.extended.message")
local check = require("check")
local av, core = msys.av, msys.core

local mod = {}

local function scanned(status, info, engine, code, ...)
  check.results(4, ...)
  local got = { ... }
  check.equal(got[1], status)
  check.equal(got[2], info)
  check.equal(got[3], engine)
  check.equal(got[4], code)
end

-- Constants are different numbers.
local function constants()
  local seen = {}
  for _, status in ipairs({ msys.av.EC_AV_CLEAN, msys.av.EC_AV_INFECTED, msys.av.EC_AV_UNSCANNABLE, msys.av.EC_AV_ERROR,
    msys.av.EC_AV_NO_ENGINE, msys.av.EC_AV_NAME_TOO_LONG, msys.av.EC_AV_PART_IS_CONTAINER,
    msys.av.EC_AV_NOT_SUITABLE_FOR_STREAMING }) do
    check.equal(type(status), "number")
    check.equal(seen[status], nil)
    seen[status] = true
  end
end

local function messages(msg, vctx)
  check.list(av.engines(), { "clamav" })
  scanned(msys.av.EC_AV_CLEAN, "", nil, "0", av.scan("clamav", msg, vctx))
  scanned(msys.av.EC_AV_CLEAN, "", nil, "0", av.scan())
  check.equal(msg:context_exists(core.ECMESS_CTX_MESS, "clamav_status"), 0)
  scanned(msys.av.EC_AV_NO_ENGINE, "there is no engine 'csapi': [antivirus] engines has clamav", nil, nil, av.scan("csapi"))
  scanned(msys.av.EC_AV_NAME_TOO_LONG, "the name of an engine has at most 40 characters", nil, nil, av.scan(("x"):rep(41), msg))
  scanned(msys.av.EC_AV_CLEAN, "", nil, "0", av.scan_part(msg:mime(), "clamav", vctx))
  scanned(msys.av.EC_AV_CLEAN, "", nil, "0", av.scan_part(msg))
  check.fails("bad argument #1 to 'msys.av.scan_part' (ec_message_part expected, got nil)", function() av.scan_part(nil) end)
end

-- The message as it stands, an edit of the script's included.
local function edited(msg, vctx)
  local virus = msg:copy()
  virus:body("here is lumilter-test-virus\r\n")
  scanned(msys.av.EC_AV_INFECTED, "Test.Virus", "clamav", "1", av.scan("clamav", virus, vctx))
  check.equal(vctx:get(core.VCTX_MESS, "clamav_status"), "virus")
  check.equal(virus:context_get(core.ECMESS_CTX_MESS, "clamav_status_info"), "Test.Virus")
  virus:body("here is lumilter-test-broken\r\n")
  scanned(msys.av.EC_AV_ERROR, "clamav: ended with status 2: no database", nil, nil, av.scan(nil, virus))
  check.equal(vctx:get(core.VCTX_MESS, "clamav_status"), "error")
  check.equal(vctx:get(core.VCTX_MESS, "clamav_status_info"), "clamav: ended with status 2: no database")
  check.equal(vctx.code, 250)
end

-- What is in a part is scanned decoded; a container is not scanned.
local function parts(msg, vctx)
  local made = core.ec_message_new(nil)
  made:build({ Subject = "x" }, { ["text/plain"] = "text" }, { { type = "application/octet-stream", name = "a", content = "lumilter-test-virus" } })
  local tree = made:mime()
  check.equal(av.scan_part(tree), msys.av.EC_AV_PART_IS_CONTAINER)
  check.equal(av.scan_part(made, "clamav", vctx), msys.av.EC_AV_PART_IS_CONTAINER)
  local infected = 0
  local part = tree
  while part != nil do
    local status = av.scan_part(part, "clamav", vctx)
    if status == msys.av.EC_AV_INFECTED then
      infected = infected + 1
    end
    part = part.thread
  end
  check.equal(infected, 1)
end

function mod:validate_data(msg, ac, vctx)
  constants()
  messages(msg, vctx)
  edited(msg, vctx)
  parts(msg, vctx)
end

function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  vctx:set(core.VCTX_MESS, "skip_virus_check", "1")
  scanned(msys.av.EC_AV_CLEAN, "not scanned: skip_virus_check is set", nil, nil, av.scan("clamav"))
  print("ok", (av.scan()))
end

function mod:validate_rcptto(msg, str, ac, vctx)
  local wanted = "msys.av.scan cannot be called in rcptto (allowed in: data, data_spool, data_spool_each_rcpt, final_validation)"
  check.fails(wanted, function() av.scan() end)
end

msys.registerModule("av", mod)
