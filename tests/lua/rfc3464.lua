-- msys.rfc3464: notifications about a message, and the status in those of others.

require("msys.core")
require("msys.extended.message")
require("msys.rfc3464")
local check = require("check")
local core = msys.core
local rfc3464 = msys.rfc3464

local mod = {}

local BOUNCE = table.concat({
  "From: MAILER-DAEMON@mx.example", 'Content-Type: multipart/report; report-type=delivery-status; boundary="r"', "",
  "--r", "Content-Type: text/plain", "", "It bounced.", "--r", "Content-Type: message/delivery-status", "",
  "Reporting-MTA: dns; mx.example", "Arrival-Date: Mon, 23 Nov 2026 10:00:00 +0000", "",
  "Final-Recipient: rfc822; bob@example.com", "Action: failed", "Status: 5.1.1",
  "Diagnostic-Code: smtp; 550 5.1.1", "  no such user", "",
  "Final-Recipient: rfc822; carol@example.com", "Action: delayed", "Status: 4.2.2", "",
  "--r", "Content-Type: text/rfc822-headers", "", "Subject: original", "--r--", "",
}, "\r\n")

local function computed(msg)
  msg:code(550, "5.1.1 no such user")
  local status = rfc3464.compute_delivery_status(msg, core.FAILED)
  check.equal(status["Reporting-MTA"], "dns; mx.example.com")
  check.equal(status["Final-Recipient"], "rfc822; " .. msg:rcptto())
  check.equal(status["Action"], "failed")
  check.equal(status["Status"], "5.1.1")
  check.equal(status["Diagnostic-Code"], "smtp; 550 5.1.1 no such user")
  check.equal(type(status["Last-Attempt-Date"]), "string")
  local others = {
    [msys.core.DELAYED] = { "delayed", "4.0.0" }, [msys.core.DELIVERED] = { "delivered", "2.0.0" },
    [msys.core.RELAYED] = { "relayed", "2.0.0" }, [msys.core.EXPANDED] = { "expanded", "2.0.0" },
  }
  for action, wanted in pairs(others) do
    local found = rfc3464.compute_delivery_status(msg, action)
    check.equal(found["Action"], wanted[1])
    check.equal(found["Status"], wanted[2])
  end
  check.equal(
    rfc3464.compute_delivery_status_string("452 4.2.2 mailbox full"),
    "Reporting-MTA: dns; mx.example.com\r\nAction: delayed\r\nStatus: 4.2.2\r\nDiagnostic-Code: smtp; 452 4.2.2 mailbox full")
  local text = "msys.rfc3464.compute_delivery_status: 7 is none of msys.core.FAILED, DELAYED, DELIVERED, RELAYED, EXPANDED"
  check.fails(text, function() rfc3464.compute_delivery_status(msg, 7) end)
end

local function extracted()
  local bounce = core.ec_message_new(nil)
  bounce:raw(BOUNCE)
  local status = rfc3464.extract_delivery_status(bounce)
  check.equal(status["Reporting-MTA"], "dns; mx.example")
  check.equal(status["Final-Recipient"], "rfc822; bob@example.com")
  check.equal(status["Status"], "5.1.1")
  check.equal(status["Diagnostic-Code"], "smtp; 550 5.1.1 no such user")
  bounce:raw("Subject: x\r\n\r\nno notification\r\n")
  check.equal(rfc3464.extract_delivery_status(bounce), nil)
  bounce:raw("Content-Type: message/delivery-status\r\n\r\nnothing that is a field\r\n")
  check.equal(rfc3464.extract_delivery_status(bounce), nil)
end

local function notified(msg)
  local new = rfc3464.create_mdn(msg, core.FAILED)
  check.equal(new:mailfrom(), "")
  check.equal(new:rcptto(), msg:mailfrom())
  check.list(new:header("To"), { msg:mailfrom() })
  check.list(new:header("Auto-Submitted"), { "auto-replied" })
  local top = new:mime(true)
  check.equal(top:content_type().mimetype, "multipart/report")
  local status = rfc3464.extract_delivery_status(new)
  check.equal(status["Action"], "failed")
  check.equal(status["Final-Recipient"], "rfc822; " .. msg:rcptto())
  local original = top.parts.next.next
  check.equal(original:content_type().mimetype, "text/rfc822-headers")
  check.equal(original:text(), (msg:raw():match("^(.-\r\n)\r\n")))
  check.equal(new:text_match("550 5.1.1 no such user")[1], "550 5.1.1 no such user")
  check.equal(rfc3464.send_mdn(msg, core.DELAYED), 1)
end

function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  extracted()
  if msg:mailfrom() == "" then
    check.equal(rfc3464.send_mdn(msg, core.FAILED), 0)
    return
  end
  computed(msg)
  notified(msg)
  print("ok rfc3464")
end

msys.registerModule("rfc3464", mod)
