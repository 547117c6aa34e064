-- msys.validate.opendkim: the signatures of RFC 8463's example looked at, and numbers that scripts compare with.

require("msys.core")
require("msys.extended.message")
require("opendkim.dkim")
require("msys.validate.opendkim")
local check = require("check")

local mod = {}

local ED25519 = table.concat({
  "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;", " d=football.example.com; i=@football.example.com;",
  " q=dns/txt; s=brisbane; t=1528637909; h=from : to :", " subject : date : message-id : from : subject : date;",
  " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;",
  " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus", " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==", "",
}, "\r\n")
local MESSAGE = table.concat({
  "From: Joe SixPack <joe@football.example.com>", "To: Suzie Q <suzie@shopping.example.net>",
  "Subject: Is dinner ready?", "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)",
  "Message-ID: <20030712040037.46341.5F8J@football.example.com>", "", "Hi.", "",
  "We lost the game.  Are you hungry yet?", "", "Joe.", "",
}, "\r\n")

local function verified(raw)
  local msg = msys.core.ec_message_new()
  msg:raw(raw)
  return msys.validate.opendkim.verify(msg)
end

local function good()
  local handle, status = check.results(2, verified(ED25519 .. MESSAGE))
  check.equal(msys.type(handle), "DKIM")
  check.equal(status, opendkim.dkim.DKIM_STAT_OK)
  local count, ok = check.results(2, msys.validate.opendkim.get_num_sigs(handle))
  check.equal(count, 1)
  check.equal(ok, opendkim.dkim.DKIM_STAT_OK)
  local sig, found = check.results(2, msys.validate.opendkim.get_sig(handle, 0))
  check.equal(msys.type(sig), "DKIM_SIGINFO")
  check.equal(found, opendkim.dkim.DKIM_STAT_OK)
  check.equal(msys.validate.opendkim.get_sig(handle) == sig, true)
  local none, invalid = msys.validate.opendkim.get_sig(handle, 1)
  check.equal(none, nil)
  check.equal(invalid, opendkim.dkim.DKIM_STAT_INVALID)
  local header, stat, body = msys.validate.opendkim.get_sig_canons(sig)
  check.equal(header, "relaxed")
  check.equal(stat, opendkim.dkim.DKIM_STAT_OK)
  check.equal(body, "relaxed")
  check.equal(msys.validate.opendkim.get_sig_domain(sig), "football.example.com")
  check.equal(msys.validate.opendkim.get_sig_errorstr(sig), "no signature error")
  check.equal(msys.validate.opendkim.get_sig_flags(sig), opendkim.dkim.DKIM_SIGFLAG_PROCESSED + opendkim.dkim.DKIM_SIGFLAG_PASSED)
  check.equal(msys.validate.opendkim.get_sig_hdrsigned(sig, "Subject"), true)
  check.equal(msys.validate.opendkim.get_sig_hdrsigned(sig, "Cc"), false)
  check.equal(msys.validate.opendkim.get_sig_identity(handle, sig), "@football.example.com")
  check.equal(msys.validate.opendkim.get_sig_identity(handle, nil), "@football.example.com")
  check.equal(msys.validate.opendkim.get_sig_keysize(sig), 256)
  check.equal(msys.validate.opendkim.get_sig_selector(sig), "brisbane")
  check.equal(msys.validate.opendkim.get_sig_signalg(sig), "ed25519-sha256")
end

local function bad()
  local _, none = verified(MESSAGE)
  check.equal(none, opendkim.dkim.DKIM_STAT_NOSIG)
  local handle, changed = verified(ED25519 .. MESSAGE .. "more\r\n")
  check.equal(changed, opendkim.dkim.DKIM_STAT_BADSIG)
  check.equal(msys.validate.opendkim.get_sig_flags(msys.validate.opendkim.get_sig(handle, 0)), opendkim.dkim.DKIM_SIGFLAG_PROCESSED)
  check.equal(msys.validate.opendkim.get_sig_errorstr(msys.validate.opendkim.get_sig(handle, 0)), "signature verification failed")
  check.equal(select(2, verified(ED25519:gsub("brisbane", "gone") .. MESSAGE)), opendkim.dkim.DKIM_STAT_KEYFAIL)
  check.equal(select(2, verified("DKIM-Signature: v=1\r\n" .. MESSAGE)), opendkim.dkim.DKIM_STAT_CANTVRFY)
  local sig = msys.validate.opendkim.get_sig(verified("DKIM-Signature: v=1\r\n" .. MESSAGE), 0)
  local domain, stat = msys.validate.opendkim.get_sig_domain(sig)
  check.equal(domain, nil)
  check.equal(stat, opendkim.dkim.DKIM_STAT_INVALID)
  local size, unknown = msys.validate.opendkim.get_sig_keysize(sig)
  check.equal(size, 0)
  check.equal(unknown, opendkim.dkim.DKIM_STAT_INVALID)
end

local function numbers()
  check.list({
    opendkim.dkim.DKIM_STAT_OK, opendkim.dkim.DKIM_STAT_BADSIG, opendkim.dkim.DKIM_STAT_NOSIG, opendkim.dkim.DKIM_STAT_NOKEY, opendkim.dkim.DKIM_STAT_CANTVRFY,
    opendkim.dkim.DKIM_STAT_SYNTAX, opendkim.dkim.DKIM_STAT_NORESOURCE, opendkim.dkim.DKIM_STAT_INTERNAL, opendkim.dkim.DKIM_STAT_REVOKED, opendkim.dkim.DKIM_STAT_INVALID,
    opendkim.dkim.DKIM_STAT_NOTIMPLEMENT, opendkim.dkim.DKIM_STAT_KEYFAIL, opendkim.dkim.DKIM_STAT_CBREJECT, opendkim.dkim.DKIM_STAT_CBINVALID,
    opendkim.dkim.DKIM_STAT_CBTRYAGAIN, opendkim.dkim.DKIM_STAT_CBERROR, opendkim.dkim.DKIM_STAT_MULTIDNSREPLY, opendkim.dkim.DKIM_STAT_SIGGEN,
  }, { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17 })
  check.list({
    opendkim.dkim.DKIM_SIGFLAG_IGNORE, opendkim.dkim.DKIM_SIGFLAG_PROCESSED, opendkim.dkim.DKIM_SIGFLAG_PASSED, opendkim.dkim.DKIM_SIGFLAG_TESTKEY,
    opendkim.dkim.DKIM_SIGFLAG_NOSUBDOMAIN, opendkim.dkim.DKIM_SIGFLAG_KEYLOADED,
  }, { 1, 2, 4, 8, 16, 32 })
  check.list({
    opendkim.dkim.DKIM_CANON_UNKNOWN, opendkim.dkim.DKIM_CANON_SIMPLE, opendkim.dkim.DKIM_CANON_RELAXED, opendkim.dkim.DKIM_CANON_DEFAULT, opendkim.dkim.DKIM_SIGN_UNKNOWN,
    opendkim.dkim.DKIM_SIGN_DEFAULT, opendkim.dkim.DKIM_SIGN_RSASHA1, opendkim.dkim.DKIM_SIGN_RSASHA256, opendkim.dkim.DKIM_SIGN_ED25519SHA256,
  }, { -1, 0, 1, 0, -2, -1, 0, 1, 2 })
end

local SIGNER = {
  base_domain = "football.example.com", selector = "brisbane", keybuf = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=",
  header_canon = "relaxed", body_canon = "relaxed", headerlist = { "From", "To", "Subject" },
}

local function signing(msg, vctx)
  check.equal(msys.validate.opendkim.sign(msg, vctx, SIGNER), true)
  check.equal(msys.validate.opendkim.sign(nil, nil, SIGNER), true)
  local result, why = msys.validate.opendkim.sign(msg, vctx, {
    base_domain = "x.example", selector = "s", keyfile = "/nonexistent/%{d}/%{s}.key",
  })
  check.equal(result, nil)
  check.equal(why, "/nonexistent/x.example/s.key: No such file or directory")
  local without = { selector = "s" }
  local wanted = "msys.validate.opendkim.sign: no key: give options.keyfile or options.keybuf, or set [dkim] key"
  check.fails(wanted, function() msys.validate.opendkim.sign(msg, vctx, without) end)
end

function mod:core_final_validation(msg, accept, vctx)
  signing(msg, vctx)
end

function mod:validate_data(msg, accept, vctx)
  good()
  bad()
  numbers()
  check.equal(select(2, msys.validate.opendkim.verify(msg)), opendkim.dkim.DKIM_STAT_NOSIG)
  print("ok msys.validate.opendkim")
end

msys.registerModule("validate_opendkim", mod)
