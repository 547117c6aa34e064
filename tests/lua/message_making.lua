-- msys.extended.message: messages and parts that a script makes, copies, and rendered text.

require("msys.core")
require("msys.extended.message")
local check = require("check")
local core = msys.core

local mod = {}

local function built()
  local msg = core.ec_message_new(nil)
  check.equal((msg:raw()), "\r\n")
  msg:build({ To = "bob@example.com", Subject = "x" }, {
    ["text/html"] = "<b>h\195\169</b>", ["text/plain; charset=utf8"] = "plain",
  }, {
    { type = "text/csv", name = "./dir/a.csv", headers = "X-One: 1\r\nX-Two: 2", content = "1,2" },
    { type = "application/pdf", name = "caf\195\169.pdf", content = core.string_new() },
    { content = core.ec_message_new() },
  })
  check.list(msg:header("to"), { "bob@example.com" })
  check.equal(#msg:header("Date"), 1)
  check.equal(#msg:header("Message-ID"), 1)
  check.list(msg:header("MIME-Version"), { "1.0" })
  local top = msg:mime(true)
  check.equal(top:content_type().mimetype, "multipart/mixed")
  local alternative = top.parts
  check.equal(alternative:content_type().mimetype, "multipart/alternative")
  local plain, html = alternative.parts, alternative.parts.next
  check.equal(plain:content_type().encoding, "base64")
  check.equal(plain:text(), "plain")
  check.list(plain:header("Content-Disposition"), { "inline" })
  check.equal(html:content_type().encoding, "quoted-printable")
  check.equal(html:content_type().charset, "utf-8")
  check.equal(html:text(), "<b>h\195\169</b>")
  local csv = alternative.next
  check.equal(csv:content_type().filename, "a.csv")
  check.equal(csv:content_type().is_attachment, true)
  check.list(csv:header("X-Two"), { "2" })
  check.equal(csv:text(), "1,2")
  check.equal(csv.next:content_type().encoding, "base64")
  check.equal(csv.next:content_type().filename, "caf\195\169.pdf")
  check.equal(csv.next.next:content_type().mimetype, "message/rfc822")
  check.fails("msg:build: msg:build wants an empty message: one of msys.core.ec_message_new()", function() msg:build({}, {}, {}) end)
  -- As the page of msys.idn has it: what the caller does not encode stands as it is.
  local odd = core.ec_message_new(nil)
  odd:build({ from = '"John =?utf-8?Q?=28?=" <\229\188\151@example.com>' }, { ["text/plain"] = "x" }, {})
  check.list(odd:address_header("From", "domain"), { "example.com" })
  local evil = core.ec_message_new(nil)
  evil:build({ Subject = "x\r\nX-Evil: 1\n\nbody" }, { ["text/plain\nX-Evil: 1"] = "\195\169" }, {
    { name = 'a"b\nX-Evil: 1', type = "text/plain\r\nX-Evil: 1", headers = "X-One: 1", content = "x" },
  })
  local part = evil:mime(true)
  while part ~= nil do
    check.list(part:header("X-Evil"), {})
    part = part.thread
  end
  check.equal(evil:mime(true).parts.next:content_type().filename, 'a"b?X-Evil: 1')
  local bad = core.ec_message_new(nil)
  check.fails("msg:build: 'X A' is not a header name (RFC 5322: printable ASCII without space and colon)", function() bad:build({ ["X A"] = "1" }, {}, {}) end)
end

-- What was opened can be the content of a part: the manual's own kind of body.
local function opened()
  local path = os.tmpname()
  local function file(text)
    local io = core.io_wrapper_open(path, core.O_RDWR | core.O_CREAT | core.O_TRUNC, 0600)
    io:write(text)
    io:seek("set")
    return io
  end
  local msg = core.ec_message_new()
  msg:build({ Subject = "x" }, { ["text/plain"] = "a" }, {
    { type = "image/png", name = "a.png", content = file("\137PNG\r\n\0") },
    { type = "text/plain", name = "b.txt", content = "string" },
  })
  local png = msg:mime(true).parts.next
  check.equal(png:content_type().encoding, "base64")
  check.equal(png:content_type().filename, "a.png")
  check.equal(msg:body():find("iVBORw0KAA==", 1, true) ~= nil, true)
  check.equal(png.next:text(), "string")
  -- Encoded by the caller: it stands as it is.
  local encoded = core.ec_message_new()
  encoded:build({}, {}, { { type = "text/plain", content = file(msys.base64.encode("text of a file")) } })
  check.equal(encoded:mime(true).parts.next:text(), "text of a file")
  -- As Lua reads a file: from where it stands.
  local part = msg:makePart("text/plain; charset=utf-8", file("caf=C3=A9\r\n"), core.EC_MIME_TE_QUOTED_PRINTABLE)
  check.equal(part:text(), "caf\195\169\r\n")
  local rest = file("skipped\nrest")
  rest:read()
  check.equal(msg:makePart("text/plain", rest):text(), "rest")
  local closed = file("x")
  closed:close()
  local none, why = msg:makePart("text/plain", closed)
  check.equal(none, nil)
  check.equal(why, path .. ": it is closed")
  local empty = core.ec_message_new()
  why = "an attachment can't be read: " .. path .. ": it is closed"
  check.fails(why, function() empty:build({}, {}, { { content = closed } }) end)
  check.equal((empty:raw()), "\r\n")
  local sink = core.ec_message_builder(core.ec_message_new())
  check.fails("msg:makePart: it can only be written", function() msg:makePart("text/plain", sink) end)
  check.fails("msg:build: it can only be written", function() empty:build({}, {}, { { content = sink } }) end)
  os.remove(path)
end

-- A report with the message at hand in it, written piece by piece: how public DMARC policies do it.
local function report(msg)
  local made = core.ec_message_new(now)
  local io = core.ec_message_builder(made, 2048)
  local boundary = made:makeBoundary()
  local function put(text) check.equal(io:write(text, #text), #text) end
  put("To: ruf@example.org\r\nContent-Type: multipart/report; boundary=\"" .. boundary .. "\"\r\n\r\n")
  put("--" .. boundary .. "\r\nContent-Type: message/rfc822\r\n\r\n")
  local into = core.string_new()
  into.type = core.STRING_TYPE_IO_OBJECT
  into.backing = io
  check.equal(into.type, core.STRING_TYPE_IO_OBJECT)
  check.equal(into.backing == io, true)
  local size = msg:render_to_string(into, msys.core.EC_MSG_RENDER_OMIT_DOT)
  put("\r\n--" .. boundary .. "--\r\n")
  io:write("\r\n.\r\nnot any more", 5)
  io:close()
  io:close()
  check.fails("io_object:write: it is closed", function() io:write("x", 1) end)
  local inner = made:mime(true).parts
  check.equal(inner:content_type().mimetype, "message/rfc822")
  check.equal(inner.body_end - inner.body_start, size)
  check.list(inner.parts:header("From"), msg:header("From"))
  check.equal(tostring(into), "")
end

local function rendered()
  local msg = core.ec_message_new()
  msg:raw("A: b\r\n\r\n.dot\r\n")
  local into = core.string_new()
  check.equal(msg:render_to_string(into), 17)
  check.equal(into.buffer, "A: b\r\n\r\n.dot\r\n.\r\n")
  check.equal(msg:render_to_string(into, msys.core.EC_MSG_RENDER_OMIT_DOT + msys.core.EC_MSG_RENDER_OMIT_HEADERS), 6)
  check.equal(into.buffer, ".dot\r\n")
  msg:render_to_string(into, msys.core.EC_MSG_RENDER_HEADERS_ONLY + msys.core.EC_MSG_RENDER_UNSTUFFED)
  check.equal(into.buffer, "A: b\n\n")
  check.equal(msg:render_to_string(into, msys.core.EC_MSG_RENDER_CALCULATE_LENGTH_ONLY), 17)
  check.equal(into.buffer, "A: b\n\n")
  local text = "msg:render_to_string: EC_MSG_RENDER_XML is Momentum's own format: render without it"
  check.fails(text, function() msg:render_to_string(into, msys.core.EC_MSG_RENDER_XML) end)
  local none = msys.core.EC_MSG_RENDER_DEBUG + msys.core.EC_MSG_RENDER_AVOID_IO + msys.core.EC_MSG_RENDER_SUPPRESS_WRITE_ERRORS
  check.equal(msg:render_to_string(into, none + msys.core.EC_MSG_RENDER_OMIT_EPILOGUE), 17)
end

local function copies(msg)
  msg:context_set(core.ECMESS_CTX_MESS, "key", "value")
  local copy, now = msg:copy(), msg:snapshot()
  check.equal(copy:context_get(core.ECMESS_CTX_MESS, "key"), "value")
  check.equal(core.ec_message_context_get(copy, core.ECMESS_CTX_MESS, "key"), "value")
  core.ec_message_context_set(copy, core.ECMESS_CTX_MESS, "key", "other")
  check.equal(msg:context_get(core.ECMESS_CTX_MESS, "key"), "value")
  check.equal(copy.recv_method, core.P_INTERNAL)
  check.equal(copy.id ~= msg.id, true)
  check.equal((copy:raw()), (msg:raw()))
  copy:header("X-Copy", "1")
  msg:header("X-Original", "1")
  check.list(msg:header("X-Copy"), {})
  check.list(now:header("X-Original"), {})
  check.equal(copy:mailfrom(), msg:mailfrom())
  check.equal(copy:rcptto("new@example.com"), "new@example.com")
end

local function parts(msg)
  local box = msg:makeContainer("multipart/mixed")
  check.equal(box.parts, nil)
  check.equal(box:content_type().mimetype, "multipart/mixed")
  local one, two = msg:makeBoundary(box), msg:makeBoundary()
  check.equal(one ~= two, true)
  local part = msg:makePart("text/plain; charset=utf-8", "Y2Fmw6k=", msys.core.EC_MIME_TE_BASE64)
  check.equal(part:text(), "caf\195\169")
  check.equal(msg:makePart("text/plain"):text(), nil)
  check.fails("msg:makePart: 9 is none of msys.core.EC_MIME_TE_*", function() msg:makePart("text/plain", "x", 9) end)
  local text = "msg:makeContainer: 'text/plain' with the boundary 'b' is not a multipart type"
  check.fails(text, function() msg:makeContainer("text/plain", "b") end)
  local encodings = {
    ["7bit"] = msys.core.EC_MIME_TE_7BIT, ["8bit"] = msys.core.EC_MIME_TE_8BIT, binary = msys.core.EC_MIME_TE_BINARY,
    ["quoted-printable"] = msys.core.EC_MIME_TE_QUOTED_PRINTABLE, base64 = msys.core.EC_MIME_TE_BASE64,
  }
  for name, encoding in pairs(encodings) do
    check.equal(msg:makePart("text/plain", "x", encoding):content_type().encoding, name)
  end
end

function mod:validate_data(msg, ac, vctx)
  built()
  opened()
  report(msg)
  rendered()
  copies(msg)
  parts(msg)
  print("ok making")
end

msys.registerModule("message_making", mod)
