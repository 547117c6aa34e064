-- msys.extended.message: body, raw text and text of a message, what patterns find in them, and the MIME tree.

require("msys.core")
require("msys.extended.message")
local check = require("check")
local core = msys.core

local mod = {}

local PLAIN = "Subject: plain\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\ncaf\233 au lait\r\nsecond\r\n"
local MIXED = table.concat({
  "Subject: mixed", "MIME-Version: 1.0", 'Content-Type: multipart/mixed; boundary="b"', "",
  "preamble", "--b", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64", "",
  "Y2Fmw6kgYXUgbGFpdA0K", "--b", "Content-Type: text/html", "", "<b>bold</b>", "--b",
  'Content-Type: application/pdf; name="a b.pdf"', 'Content-Disposition: attachment; filename="c.pdf"', "",
  "%PDF", "--b--", "epilogue", "",
}, "\r\n")

local function message(raw)
  local msg = core.ec_message_new()
  msg:raw(raw)
  return msg
end

local function bodies()
  local msg = message(PLAIN)
  check.equal(msg:body(), "caf\233 au lait\r\nsecond")
  check.equal(msg:body("new\r\nbody\r\n.\r\n"), "new\r\nbody")
  check.equal(msg:body(msg:body() .. "\r\n.\r\n"), "new\r\nbody")
  check.equal(msg:body("no mark"), "no mark")
  check.equal(msg:body("a\nb\n"), "a\r\nb")
  check.equal(msg:body("\r\n.\r\n"), "")
  check.equal(msg:body(), "")
  local raw, length = check.results(2, msg:raw())
  check.equal(raw, "Subject: plain\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n\r\n")
  check.equal(length, #raw)
  check.equal((msg:raw("A: b\r\n\r\nc\r\n.\r\n")), "A: b\r\n\r\nc\r\n")
  check.list(msg:header("a"), { "b" })
end

local function texts()
  check.equal(check.results(1, message(PLAIN):text()), "caf\195\169 au lait\r\nsecond\r\n")
  check.list(message(MIXED):text(), { "caf\195\169 au lait\r\n", "<b>bold</b>" })
  check.equal(message("Content-Type: image/png\r\n\r\nx"):text(), nil)
  local msg = message(MIXED)
  msg:text("na\195\175ve", "text/plain", "iso-8859-1")
  check.list(msg:header("Content-Type"), { "text/plain; charset=iso-8859-1" })
  check.list(msg:header("Content-Transfer-Encoding"), { "quoted-printable" })
  check.equal(msg:body(), "na=EFve")
  check.equal(msg:text(), "na\195\175ve\r\n")
  msg:text("\230\151\165\230\156\172", "text/html", "iso-8859-1")
  check.list(msg:header("Content-Type"), { "text/html; charset=utf-8" })
  check.equal(msg:text(), "\230\151\165\230\156\172\r\n")
  msg:text("plain")
  check.list(msg:header("Content-Type"), { "text/plain; charset=us-ascii" })
  check.list(msg:header("Content-Transfer-Encoding"), { "7bit" })
  check.list(message("A: b\r\n\r\n"):header("MIME-Version"), {})
end

local function matches()
  local msg = message(MIXED)
  check.list(msg:raw_match("Content-Type: (?:\\S+)/"), {
    "Content-Type: multipart/", "Content-Type: text/", "Content-Type: text/", "Content-Type: application/",
  })
  check.equal(msg:raw_match("nothing of the kind"), false)
  check.list(msg:body_match("--b"), { "--b", "--b", "--b", "--b" })
  check.equal(msg:body_match("Subject"), false)
  check.list(msg:body_match("\\r\\n\\.\\r\\n$"), { "\r\n.\r\n" })
  check.list(msg:text_match("caf\195\169|bold"), { "caf\195\169", "bold" })
  check.equal(msg:text_match("PDF"), false)
  local found = msg:text_match("(?<first>c)(af)")
  check.equal(#found, 1)
  check.equal(found[1][0], "caf")
  check.equal(found[1][2], "af")
  check.equal(found[1].first, "c")
  check.fails("msg:body_match: missing closing parenthesis (at byte 1 of the pattern)", function() msg:body_match("(") end)
end

local function replacements()
  local msg = message(MIXED)
  check.list(msg:text_replace("caf\195\169", "th\195\169"), { "caf\195\169" })
  check.list(msg:text(), { "th\195\169 au lait\r\n", "<b>bold</b>" })
  check.list(msg:body_match("dGjDqSBhdSBsYWl0DQo="), { "dGjDqSBhdSBsYWl0DQo=" })
  check.equal(msg:text_replace("nowhere", "x"), false)
  msg:text_replace("bold", "\226\130\172")
  check.list(msg:mime(true).parts.next:header("Content-Transfer-Encoding"), { "quoted-printable" })
  check.equal(msg:mime(true).parts.next:content_type().charset, "utf-8")
  check.equal(msg:body_replace("epi(l)ogue", "the $1ast")[1][1], "l")
  check.equal(msg:body():find("the last", 1, true) ~= nil, true)
  check.equal(msg:body_replace("epilogue", "x"), false)
  msg:raw_replace("Subject: mixed", "Subject: changed")
  check.list(msg:header("Subject"), { "changed" })
  check.equal(msg:raw_replace("nowhere", "x"), false)
  local plain = message(PLAIN)
  plain:text_replace("\195\169", "\226\130\172") -- not in ISO-8859-1
  check.list(plain:header("Content-Type"), { "text/plain; charset=utf-8" })
  check.equal(plain:text(), "caf\226\130\172 au lait\r\nsecond\r\n")
end

-- The page of msgpart:addLastChild: on a single part the end-of-data mark is where text can be added.
local function disclaimers()
  local msg = message("Subject: x\r\n\r\nlast line\r\n")
  msg:text_replace("\r\n.\r\n", "\r\nDisclaimer" .. "\r\n.\r\n")
  check.equal(msg:body(), "last line\r\nDisclaimer")
  check.equal((msg:raw()), "Subject: x\r\n\r\nlast line\r\nDisclaimer\r\n")
  local encoded = message("Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n")
  encoded:text_replace("\r\n.\r\n", "!" .. "\r\n.\r\n")
  check.equal(encoded:text(), "hello!\r\n")
end

local function others(msg)
  check.equal(msg:get_delivery_method(), "smtp")
  check.equal(msg:is_mcmt(), false)
  check.equal(msg:get_code(), nil)
  msg:set_code(250, "2.0.0 fine")
  check.equal(msg:get_code(), "250 2.0.0 fine")
end

function mod:validate_data(msg, ac, vctx)
  bodies()
  texts()
  matches()
  replacements()
  disclaimers()
  others(msg)
  local before = msg:body()
  msg:body(before .. "\r\n.\r\n")
  check.equal(msg:body(), before)
  print("ok content")
end

msys.registerModule("message_content", mod)
