-- What the manual's pages on scanners do with the functions, in their order of calls and in their dialect.

require('msys');
require('msys.core');
require('msys.extended.message');
require('msys.extended.vctx');
require('msys.av');
require('msys.brightmail');
require('msys.cloudmark');
require('msys.expurgate');
require('msys.symantec_beik');
require('msys.spamc');

local mod = {};

local function map_to_symbol(rc)
  if rc == msys.av.EC_AV_PART_IS_CONTAINER then
    return "EC_AV_PART_IS_CONTAINER"
  elseif rc == msys.av.EC_AV_CLEAN then
    return "EC_AV_CLEAN"
  elseif rc == msys.av.EC_AV_INFECTED then
    return "EC_AV_INFECTED"
  else
    return "UNKNOWN"
  end
end

-- msys.cloudmark.set_af_mode_*, set_af_msi_address
function mod:init()
  msys.cloudmark.set_af_mode_movemsg("Inbox", "Spam", "no");
  msys.cloudmark.set_af_msi_address("msi@msi.local");
  return 0;
end

-- msys.cloudmark.add_af_data
function mod:validate_rcptto(msg, rcptto_string, ac, vctx)
  local localpart = vctx:get(msys.core.VCTX_MESS, "rcptto_localpart");
  local domain = vctx:get(msys.core.VCTX_MESS, "rcptto_domain");
  msys.cloudmark.add_af_data(localpart .. "@" .. domain, { custom_key = "custom_value" });
  return msys.core.VALIDATE_CONT;
end

-- msys.expurgate.scan: the arguments are left out, nil, or names that are no variables.
local function expurgate(msg, ac, vctx)
  local a, b, c, d;
  local l, m, n, o;
  msys.expurgate.scan();
  msys.expurgate.scan(nil);
  msys.expurgate.scan(nil, nil, nil);
  a, b, c, d = msys.expurgate.scan();
  l, m, n, o = msys.expurgate.scan(msg, accept, ctx)
  if a ~= l or b ~= m or c ~= n or d ~= o then
    error("inconsistent return values");
  end
  if a == msys.expurgate.TYPE_CLEAN or a == msys.expurgate.TYPE_BULK and b == msys.expurgate.SUBTYPE_NORMAL then
    return msys.core.VALIDATE_CONT
  end
  vctx:set_code(550, c .. "/" .. d .. ":" .. a .. "/" .. b)
  return msys.core.VALIDATE_DONE
end

function mod:validate_data(msg, accept, vctx)
  -- msys.av.scan and scan_part, which is given a message
  local rc, result, eng, s_code = msys.av.scan("clamav", msg, vctx);
  print("rc: ", rc, map_to_symbol(rc), " result: ", result, " engine: ", eng, " scan code: ", s_code)
  rc, result, eng, s_code = msys.av.scan_part(msg, "clamav", vctx);
  if rc == msys.av.EC_AV_INFECTED then
    vctx:set_code(550, "The mail contains virus: " .. result)
    return msys.core.VALIDATE_DONE;
  end
  -- msys.symantec_beik.scan
  local a, b, is_default, tracker = msys.symantec_beik.scan(msg, vctx)
  if a == 0 then
    print("Error found: ", b)
    return msys.core.VALIDATE_DONE
  end
  -- msys.cloudmark.score and score_af
  local scores = msys.cloudmark.score(msg, accept, vctx)
  for k, v in pairs(scores) do
    print(k, '=', v)
  end
  local score = msys.cloudmark.score_af(msg, accept, vctx, 90);
  if expurgate(msg, accept, vctx) != msys.core.VALIDATE_CONT then
    error("a clean message")
  end
  print("ok")
  return msys.core.VALIDATE_CONT;
end

-- module spamassassin
function mod:validate_data_spool(msg, ac, vctx)
  msys.spamc.spamc_scan(msg)
  local status = msg:context_get(msys.core.ECMESS_CTX_MESS, "spamc_status")
  local is_spam = msg:context_get(msys.core.ECMESS_CTX_MESS, "spamc_spam")
  local score = msg:context_get(msys.core.ECMESS_CTX_MESS, "spamc_score")
  local thresh = msg:context_get(msys.core.ECMESS_CTX_MESS, "spamc_thresh")
  local symbols = msg:context_get(msys.core.ECMESS_CTX_MESS, "spamc_symbols")
  if status == "failed" then
    vctx:set_code(451, "spamc error")
  elseif is_spam == "true" then
    vctx:set_code(550, string.format("spam %s %s %s", score, thresh, symbols))
  else
    vctx:set_code(250, string.format("ham %s %s %s", score, thresh, symbols))
  end
  return msys.core.VALIDATE_CONT
end

-- msys.brightmail.scan
function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local verdict, is_default, rules, tracker = msys.brightmail.scan(msg, accept, vctx);
  print("verdict:", verdict, " is_default:", is_default, " rules:", rules, " tracker:", tracker);
  vctx:set(msys.core.VCTX_MESS, 'bm_verdict', verdict);
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("scanners", mod);
