-- msys.extended.message: mail that a script sends, and where messages leave.

require("msys.core")
require("msys.extended.message")
require("msys.extended.message_routing")
local check = require("check")
local core = msys.core

local mod = {}

local function injected(msg)
  local new = core.ec_message_new(nil)
  new:build({ Subject = "notice" }, { ["text/plain"] = "x" }, nil)
  check.equal(check.results(1, new:inject("noreply@example.com", "one@example.com, Two <two@example.com>")), true)
  check.equal(msg:copy():inject("", "archive@example.com"), true)
  check.fails("msg:inject: 'nobody here' is not a list of addresses", function() new:inject("a@b", "nobody here") end)
  check.fails("msg:inject: 'a b@c' is not an address", function() new:inject("a b@c", "x@example.com") end)
  local looped = core.ec_message_new(nil)
  looped:raw("X-Lumilter-Hops: 8\r\n\r\n")
  check.fails("msg:inject: the message was sent by lumilter 8 times before: it is in a loop", function() looped:inject("a@b", "c@d") end)
end

local function forwarded(msg)
  check.equal(msg:forward("postmaster@example.com", "abuse@example.com,two@example.com", "Look at this.", "For you"), true)
  check.equal(msg:forward("postmaster@example.com", "abuse@example.com", "caf\233", nil, "iso-8859-1"), true)
  check.fails("msg:forward: the text is not ASCII: say its charset", function() msg:forward("a@b", "c@d", "caf\233") end)
end

local function addresses()
  local text = "Ann <ann+list@example.org>, bob@example.com"
  check.list(msys.parseRFC2822Addresses(text, "all"), { "ann+list@example.org", "bob@example.com" })
  check.list(msys.parseRFC2822Addresses(text, "localpart"), { "ann+list", "bob" })
  check.list(msys.parseRFC2822Addresses(text, "user"), { "ann", "bob" })
  check.list(msys.parseRFC2822Addresses(text, "detail"), { "list", "" })
  check.equal(table.concat(msys.parseRFC2822Addresses(text, "domain"), " "), "example.org example.com")
  check.list(msys.parseRFC2822Addresses("", "all"), {})
end

-- Outside sessions too: everything that can be done to a message of a script's own.
function mod:init()
  local new = core.ec_message_new(nil)
  new:build({ From = "Ann <ann+list@example.org>", Subject = "started" }, {
    ["text/plain; charset=iso-8859-1"] = "caf\233", ["text/html"] = "<b>one</b>",
  }, { { type = "text/csv", name = "a.csv", content = "1,2" } })
  check.equal(new:header("Message-ID")[1]:match("@(.*)>"), "mx.example.com")
  new:header("X-New", { "a", "b" }, "prepend")
  check.list(new:header("x-new"), { "a", "b" })
  check.list(new:address_header("From", "detail"), { "list" })
  check.list(new:text(), { "caf\195\169", "<b>one</b>", "1,2" })
  check.list(new:text_match("caf.|one"), { "caf\195\169", "one" })
  check.equal(new:text_replace("caf(.)", "th$1")[1][1], "\195\169")
  check.equal(new:text()[1], "th\195\169")
  check.equal(#new:body_match("--=_\\w+") > 4, true)
  check.equal(new:body_replace("1,2", "3,4")[1], "1,2")
  check.equal(new:raw_match("X-New: b")[1], "X-New: b")
  check.equal(new:raw_replace("X-New: b", "X-New: c")[1], "X-New: b")
  local top, part = new:mime(false), new:makePart("text/plain", "last", core.EC_MIME_TE_8BIT)
  check.equal(top:addLastChild(part), true)
  local box = new:makeContainer("multipart/related", new:makeBoundary())
  check.equal(box:insertBefore(part), true)
  check.equal(box:addFirstChild(new:makePart("image/png", "eA==", core.EC_MIME_TE_BASE64)), true)
  part:header("X-Part", "1")
  check.list(part:header("X-Part"), { "1" })
  part:header("X-Part", nil)
  part:text("na\195\175ve", "text/plain", "iso-8859-1")
  check.equal(part:content_type().encoding, "quoted-printable")
  check.equal(part:text_replace("na", "Na")[1], "na")
  top.parts:unlink()
  check.equal(new:mailfrom("a@example.org"), "a@example.org")
  check.equal(new:rcptto("b@example.org"), "b@example.org")
  new:context_set(core.ECMESS_CTX_MESS, "key", "value")
  check.equal(new:copy():context_get(core.ECMESS_CTX_MESS, "key"), "value")
  check.equal(new:get_delivery_method(), "smtp")
  check.equal(new:get_message_size(), #(new:snapshot():raw()))
  check.equal(new:binding("nowhere"), nil)
  check.equal(new:binding("mta1"), "mta1")
  check.equal(new:routing_domain("SMS.example.com"), "sms.example.com")
  check.equal(new:forward("a@example.org", "b@example.org", "see below"), true)
  return new:inject("", "postmaster@example.com")
end

-- Public policies make and send mail at RCPT.
function mod:validate_rcptto(msg, str, ac, vctx)
  check.equal(msg:routing_domain(), (tostring(str):match("@(.*)"):lower()))
  addresses()
  local new = core.ec_message_new(now)
  new:build({ To = "recipient@example.com" }, { ["text/plain; charset=utf8"] = "x" }, {})
  check.equal(new:inject("test@example.com", "test2@example.com"), true)
end

function mod:validate_data(msg, ac, vctx)
  injected(msg)
  forwarded(msg)
end

function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  check.equal(msg:routing_domain("SMS.Example.com"), "sms.example.com")
  check.equal(msg:routing_domain(), "sms.example.com")
  check.fails("msg:routing_domain: 'not a domain' is not a domain", function() msg:routing_domain("not a domain") end)
  check.equal(msg:routing_domain(""), msg:rcptto():match("@(.*)"):lower())
end

function mod:validate_set_binding(msg)
  check.equal(msg:binding(), nil)
  check.equal(msg:binding("nowhere"), nil)
  check.equal(msg:binding("mta1"), "mta1")
  check.equal(msg:binding(), "mta1")
  check.equal(msg:binding_group(), nil)
  check.equal(msg:binding_group("none"), nil)
  check.equal(msg:binding_group("marketing"), "marketing")
  check.equal(msg:binding(), "mta2")
  check.equal(msg:binding("default"), "default")
  msg:binding("mta1")
end

function mod:core_config_get_message_routing_domain(cs, msg, buff, len)
  check.equal(cs, nil)
  check.equal(len, 256)
  buff:set("other.example.com")
  return #buff
end

function mod:core_final_validation(msg, ac, vctx)
  print("ok sending")
end

msys.registerModule("message_sending", mod)
