-- msys.audit and ac:inbound_session_count: what the daemon counted. One session after the other: 192.0.2.1, 2001:db8::1.

require("msys.core")
require("msys.audit")
require("msys.extended.ac")
require("msys.pbp")
local check = require("check")
local audit = msys.audit

local mod = {}

function mod:core_validate_accept(ac, vctx)
  check.equal(check.results(1, ac:inbound_session_count()), 1)
end

function mod:validate_connect(ac, vctx)
  local is_v4 = msys.core.ec_sockaddr_family(ac.remote_addr) == msys.core.AF_INET
  check.equal(check.results(1, ac:inbound_session_count()), 1)
  check.equal(ac:inbound_session_count("/24"), 1)
  check.equal(ac:inbound_session_count("/32", "SMTP"), 1)
  check.equal(ac:inbound_session_count(nil, "Control"), 0)
  check.equal(ac:inbound_session_count("/0", "inbound_cidr"), 1)
  check.equal(ac:inbound_session_count("localhost/32"), 0)
  check.equal(ac:inbound_session_count("192.0.2.0/24"), is_v4 and 1 or 0)
  check.equal(ac:inbound_session_count("192.0.2.0/28"), is_v4 and 1 or 0)
  check.equal(ac:inbound_session_count("2001:db8::1"), is_v4 and 0 or 1)
  check.equal(ac:inbound_session_count("[2001:db8::]/32"), is_v4 and 0 or 1)
  check.equal(ac:inbound_session_count("203.0.113.1"), 0)
  check.equal(ac:pbp_inbound_session_count_service("SMTP", "/32"), 1)
  check.equal(ac:pbp_inbound_session_count_service("SMTP", "/0"), 1)
  check.equal(ac:pbp_inbound_session_count_service("ECStream"), 0)
  check.equal(check.results(1, audit.inbound_session_count("/24", "SMTP")), 1)
  check.equal(audit.inbound_session_count("/24", "ECCluster"), 0)
  check.fails('ac:inbound_session_count: there is no service "smtp": SMTP, inbound_cidr, ECStream, Control, ECmmove2, ECCluster', function() ac:inbound_session_count(nil, "smtp") end)
  check.fails('msys.audit.inbound_session_count: "here" is neither an address nor a network nor a mask such as "/24"', function() audit.inbound_session_count("here", "SMTP") end)
  check.equal(check.results(1, audit.connections("3600,6")), 1)
  check.equal(audit.connections("60,1", "/24"), 1)
  check.equal(audit.connections(" 3600, 6 ", { cidr = "/25", startv = 0, endv = 5, cluster = true }), 1)
  check.equal(audit.connections("3600,6", { startv = 1, endv = 5 }), 0)
  check.equal(audit.connections("3600,6", "192.0.2.0/24"), 1)
  check.equal(audit.connections("3600,6", "203.0.113.0/24"), 0)
  check.equal(check.results(1, audit.receptions("3600,6")), 0)
  check.equal(check.results(1, audit.rejections("3600,6", "/24")), 0)
  check.fails('msys.audit.connections: "300,6" is no monitor; those of [inbound_audit] monitors are: "60,1", "3600,6"', function() audit.connections("300,6") end)
  check.fails("msys.audit.receptions: endv is a number between -9007199254740991 and 9007199254740991", function() audit.receptions("3600,6", { endv = "x" }) end)
  print("ok connect")
end

function mod:validate_ehlo(str, ac, vctx)
  check.equal(ac:inbound_session_count(), 1)
  check.equal(audit.connections("3600,6"), 1)
  vctx:set_code(450, "4.7.0 not yet")
  return msys.core.VALIDATE_DONE
end

-- Only the first session's messages are refused, so that what is counted differs.
function mod:validate_mailfrom(str, ac, vctx)
  check.equal(audit.rejections("3600,6"), 1)
  check.equal(audit.rejections("3600,6", "/0"), 1)
end

function mod:validate_rcptto(msg, str, ac, vctx)
  check.equal(audit.receptions("3600,6"), 0)
  print("ok rejections")
end

function mod:validate_data_spool(msg, ac, vctx)
  check.equal(audit.receptions("3600,6"), 0)
end

function mod:validate_dealloc()
  check.equal(audit.receptions("3600,6"), 1)
  check.equal(audit.inbound_session_count("/0", "SMTP"), 1)
  print("ok receptions")
end

msys.registerModule("audit", mod)
