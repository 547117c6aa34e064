-- msys.validate.dk and the older msys.validate.dkim.

require("msys.core")
require("msys.extended.message")
require("msys.validate.dk")
require("msys.validate.dkim")
require("msys.sign.dk")
local check = require("check")

local mod = {}

local RFC8463 = table.concat({
  "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;", " d=football.example.com; i=@football.example.com;",
  " q=dns/txt; s=brisbane; t=1528637909; h=from : to :", " subject : date : message-id : from : subject : date;",
  " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;",
  " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus", " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==",
  "From: Joe SixPack <joe@football.example.com>", "To: Suzie Q <suzie@shopping.example.net>",
  "Subject: Is dinner ready?", "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)",
  "Message-ID: <20030712040037.46341.5F8J@football.example.com>", "", "Hi.", "",
  "We lost the game.  Are you hungry yet?", "", "Joe.", "",
}, "\r\n")

local SIGNER = {
  base_domain = "football.example.com", selector = "brisbane", keybuf = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=",
  headerlist = "From:To?:X-None*",
}

local function results()
  local msg = msys.core.ec_message_new()
  msg:raw(RFC8463)
  check.list(msys.validate.dkim.get_domains(msg), { "football.example.com" })
  check.equal(msys.validate.dkim.get_responsible_domain(msg), "football.example.com")
end

local function of_the_message_at_hand(vctx, count, status)
  local number, found = msys.validate.dkim.get_verify_results(vctx)
  check.equal(number, count)
  check.equal(found.ref, 1)
  check.equal(msys.validate.dkim.verify_results_get_count(found), count)
  local item = msys.validate.dkim.verify_results_get_item(found, 0)
  check.equal(msys.validate.dkim.verify_status_to_string(item.status), status)
  check.equal(item.query .. item.selector, "dns/txtbrisbane")
  check.equal(select(2, msys.validate.dkim.verify_results_get_item(found, count)),
    "Index value is greater than the number of verification results")
  check.equal(select(2, msys.validate.dkim.verify_results_get_item()), "No verification results to get item from")
  check.equal(select(2, msys.validate.dkim.verify_results_get_item(found)), "Index value not specified")
  check.equal(select(2, msys.validate.dkim.verify_results_get_count()), "No verification results to count.")
  check.equal(select(2, msys.validate.dkim.verify_status_to_string()), "No status code is passed in")
end

function mod:validate_rcptto(msg, str, accept, vctx)
  check.equal(msys.validate.dkim.reflect(msg, vctx, "check@mx.example.com", "ann@example.org; log@example.org"), true)
  check.fails("msys.validate.dkim.reflect: 'a b' is not a list of addresses", function() msys.validate.dkim.reflect(msg, vctx, "check@mx.example.com", "a b") end)
end

function mod:validate_data_spool(msg, accept, vctx)
  check.equal(msys.validate.dkim.reflect(msg, vctx, "a@example.com", "b@example.com", "subject", "note"), true)
  results()
  local before = msg:raw()
  msg:raw(RFC8463)
  of_the_message_at_hand(vctx, 1, "pass")
  msg:raw(RFC8463 .. "more\r\n")
  of_the_message_at_hand(vctx, 1, "fail")
  msg:raw(before)
  local domain = msys.validate.dk.get_responsible_domain(msg, vctx)
  check.equal(domain, #msg:header("From") > 0 and "example.org" or nil)
end

function mod:core_final_validation(msg, accept, vctx)
  check.equal(msys.validate.dkim.sign(nil, nil, SIGNER), true)
  local ok, why = msys.validate.dk.sign(msg, vctx, {
    base_domain = "a.example", selector = "s", keyfile = "/nonexistent/%{d}",
  })
  check.equal(ok, nil)
  check.equal(why, "/nonexistent/a.example: No such file or directory")
  ok, why = msys.validate.dk.sign(msg, vctx, SIGNER)
  check.equal(ok, nil)
  check.equal(why, "DomainKeys only knows RSA keys")
  print("ok msys.validate.dk")
end

msys.registerModule("validate_dk", mod)
