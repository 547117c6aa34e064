-- msys.extended.message: the parts of a message, looked at, changed, moved and added.

require("msys.core")
require("msys.extended.message")
local check = require("check")
local core = msys.core

local mod = {}

local RAW = table.concat({
  "Subject: mixed", "MIME-Version: 1.0", 'Content-Type: multipart/mixed; boundary="b"', "",
  "--b", "Content-Type: text/plain; charset=utf-8", "X-Part: one", "X-Part: =?utf-8?Q?zw=C3=B6lf?=", "", "first",
  "--b", "Content-Type: multipart/alternative; boundary=c", "", "--c", "", "second", "--c", "Content-Type: text/html",
  "", "<b>third</b>", "--c--", "", "--b",
  "Content-Type: application/pdf; name=\"a b.pdf\"", "Content-Transfer-Encoding: base64",
  "Content-Disposition: attachment; filename*=utf-8''caf%C3%A9.pdf", "", "JVBERg==", "--b", "Content-Type: message/rfc822",
  "", "From: Ann <ann@example.org>", "", "inner", "--b--", "",
}, "\r\n")

local function message()
  local msg = core.ec_message_new()
  msg:raw(RAW)
  return msg
end

local function types(part)
  local found = {}
  while part ~= nil do
    found[#found + 1] = part:content_type().mimetype
    part = part.thread
  end
  return found
end

local ALL = {
  "multipart/mixed", "text/plain", "multipart/alternative", "text/plain", "text/html", "application/pdf",
  "message/rfc822", "text/plain",
}

local function looks(msg)
  local top = msg:mime(true)
  check.equal(msys.type(top), "ec_message_part")
  check.list(types(top), ALL)
  check.list(types(msg:mime()), ALL)
  local first = top.parts
  check.equal(first.parent == top, true)
  check.equal(top.parent, nil)
  check.equal(first.parts, nil)
  check.equal(first.next.next:content_type().mimetype, "application/pdf")
  check.equal(first.next.next.next.next, nil)
  check.equal(RAW:sub(first.body_start + 1, first.body_end), "first")
  check.list(first:header("x-part"), { "one", "zw\195\182lf" })
  check.list(first:header("X-Missing"), {})
  local pdf = first.next.next
  local kind = pdf:content_type()
  check.equal(kind.filename, "caf\195\169.pdf")
  check.equal(kind.is_attachment, true)
  check.equal(kind.encoding, "base64")
  check.equal(kind.charset, nil)
  check.equal(first:content_type().charset, "utf-8")
  check.equal(first:content_type().is_attachment, false)
  check.equal(first:content_type().filename, nil)
  check.equal(first:content_type().encoding, "7bit")
  check.equal(first:text(), "first")
  check.equal(pdf:text(), nil)
  check.list(first.next:text(), { "second", "<b>third</b>" })
  local inner = pdf.next.parts
  check.list(inner:address_header("From", "domain"), { "example.org" })
  check.list(inner:address_header("From"), { "ann@example.org" })
  check.list(first:raw_match("X-Part: \\w+"), { "X-Part: one" })
  check.list(first:body_match("fir."), { "firs" })
  check.equal(first:body_match("X-Part"), false)
  check.list(pdf:body_match("^JV"), { "JV" })
  check.list(first.next:text_match("\\w+d"), { "second", "third" })
  check.equal(first:text_match("second"), false)
end

local function refusals(msg)
  local part = msg:mime(true).parts
  local text = "this MIME part is read-only: msg:mime(false) gives a tree that can be changed"
  check.fails("msgpart:header: " .. text, function() part:header("X-New", "1") end)
  check.fails("msgpart:text: " .. text, function() part:text("1") end)
  check.fails("msgpart:body_replace: " .. text, function() part:body_replace("a", "b") end)
  check.fails("msgpart:raw_replace: " .. text, function() part:raw_replace("a", "b") end)
  check.fails("msgpart:text_replace: " .. text, function() part:text_replace("a", "b") end)
  check.fails("msgpart:unlink: " .. text, function() part:unlink() end)
  check.fails("msgpart:addLastChild: " .. text, function() part:addLastChild(part) end)
  check.equal((msg:raw()), RAW)
end

-- What is changed in one part changes nothing else.
local function becomes(change, old, new)
  local msg = message()
  change(msg:mime(false), msg)
  local from, to = RAW:find(old, 1, true)
  check.equal((msg:raw()), RAW:sub(1, from - 1) .. new .. RAW:sub(to + 1))
end

local function changes()
  becomes(function(top) top.parts:header("X-Part", "two") end,
    "X-Part: one\r\nX-Part: =?utf-8?Q?zw=C3=B6lf?=\r\n", "X-Part: two\r\n")
  becomes(function(top) check.equal(top.parts:header("X-Part", nil), true) end,
    "X-Part: one\r\nX-Part: =?utf-8?Q?zw=C3=B6lf?=\r\n", "")
  becomes(function(top) check.equal(top.parts:header("X-None", ""), false) end, "first", "first")
  becomes(function(top) top.parts:header("X-New", { "a", "b" }, "append") end,
    "zw=C3=B6lf?=\r\n", "zw=C3=B6lf?=\r\nX-New: a\r\nX-New: b\r\n")
  becomes(function(top) top.parts:header("X-New", "a", "prepend") end,
    "Content-Type: text/plain; charset=utf-8", "X-New: a\r\nContent-Type: text/plain; charset=utf-8")
  becomes(function(top) top:header("Subject", "other") end,
    "Subject: mixed\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"",
    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\nSubject: other")
  becomes(function(top) check.equal(top.parts:body_replace("f(i)r", "F$1R")[1][1], "i") end, "first", "FiRst")
  becomes(function(top) top.parts:raw_replace("(?s)X-Part.*first", "X: y\r\n\r\nnew") end,
    RAW:sub((RAW:find("X-Part", 1, true)), (select(2, RAW:find("first", 1, true)))), "X: y\r\n\r\nnew")
  becomes(function(top) top.parts.next:text_replace("second", "zweite") end, "second", "zweite")
  becomes(function(top) top.parts:text("1. \195\164", "text/x-new", "iso-8859-1") end,
    "text/plain; charset=utf-8\r\nX-Part: one\r\nX-Part: =?utf-8?Q?zw=C3=B6lf?=\r\n\r\nfirst",
    "text/x-new; charset=iso-8859-1\r\nX-Part: one\r\nX-Part: =?utf-8?Q?zw=C3=B6lf?=\r\n"
      .. "Content-Transfer-Encoding: quoted-printable\r\n\r\n1. =E4")
  becomes(function(top) top.parts.next.next:unlink() end,
    RAW:sub((RAW:find("\r\n--b\r\nContent-Type: application/pdf", 1, true)), (select(2, RAW:find("JVBERg==", 1, true)))), "")
end

local function additions()
  local NEW = "Content-Type: text/plain\r\n\r\nnew"
  becomes(function(top, msg) check.equal(top:addLastChild(msg:makePart("text/plain", "new")), true) end,
    "inner\r\n--b--", "inner\r\n--b\r\n" .. NEW .. "\r\n--b--")
  becomes(function(top, msg) check.equal(top:addFirstChild(msg:makePart("text/plain", "new")), true) end,
    "\r\n\r\n--b\r\n", "\r\n\r\n--b\r\n" .. NEW .. "\r\n--b\r\n")
  becomes(function(top, msg) check.equal(msg:makePart("text/plain", "new"):insertAfter(top.parts), true) end,
    "first", "first\r\n--b\r\n" .. NEW)
  becomes(function(top, msg) check.equal(msg:makePart("text/plain", "new"):insertBefore(top.parts.next), true) end,
    "first", "first\r\n--b\r\n" .. NEW)
  becomes(function(top, msg)
    check.equal(top.parts:addLastChild(msg:makePart("text/plain", "new")), false)
    check.equal(msg:makePart("text/plain", "new"):insertAfter(top), false)
  end, "first", "first")
  becomes(function(top, msg) -- a container with a part in it
    local box = msg:makeContainer("multipart/related", "inner-boundary")
    box:addLastChild(msg:makePart("text/plain", "new"))
    top:addLastChild(box)
  end, "inner\r\n--b--", "inner\r\n--b\r\nContent-Type: multipart/related; boundary=\"inner-boundary\"\r\n\r\n"
    .. "--inner-boundary\r\n" .. NEW .. "\r\n--inner-boundary--\r\n\r\n--b--")
  local msg = message()
  local part = msg:makePart("text/plain", "0123456789", core.EC_MIME_TE_8BIT)
  part.body_start = 2
  part.body_end = 5
  check.equal(part.body_start, 2)
  check.equal(part.body_end, 5)
  check.equal(part:text(), "234")
  check.fails("msgpart.body_end: 2 to 11 is not within the 10 bytes that msg:makePart was given", function() part.body_end = 11 end)
  check.fails("msgpart.body_start: only of a part that msg:makePart made", function() msg:mime(false).parts.body_start = 0 end)
  local top = msg:mime(false)
  msg:body("all new\r\n.\r\n")
  local gone = "msgpart:header: this MIME part is no longer in the message: call msg:mime(false) again"
  check.fails(gone, function() top.parts:header("X-New", "1") end)
end

-- The page of msgpart:addLastChild: a disclaimer for a message of parts.
function mod:validate_data(msg, ac, vctx)
  local made = message()
  looks(made)
  refusals(made)
  changes()
  additions()
  local top = made:mime(false)
  if top.parts != nil then
    local plain = made:makePart("text/plain", "Disclaimer")
    plain.body_start = 0
    plain.body_end = #"Disclaimer"
    top:addLastChild(plain)
  end
  check.equal(made:text()[5], "Disclaimer")
  print("ok parts")
end

msys.registerModule("message_part", mod)
