-- msys.base64, msys.qp, msys.idn: text in the encodings of mail.

require("msys.core")
require("msys.base64")
require("msys.qp")
require("msys.idn")
local check = require("check")

local mod = {}

function mod:validate_ehlo(str, ac, vctx)
  check.equal(msys.base64.encode("caf\195\169"), "Y2Fmw6k=")
  check.equal(msys.base64.encode("caf\195\169", false, "iso-8859-1"), "Y2Fm6Q==")
  check.equal(msys.base64.encode(string.rep("x", 60), true), string.rep("eHh4", 19) .. "\r\neHh4\r\n")
  check.equal(msys.base64.encode(string.rep("x", 60)), string.rep("eHh4", 20))
  check.equal(msys.base64.encode(""), "")
  local text = msys.core.string_new()
  text:set("\0\255")
  check.equal(msys.base64.encode(text), "AP8=")
  check.equal(msys.base64.decode("AP8="), "\0\255")
  check.equal(msys.base64.decode("Y2Fm\r\n 6Q==", "iso-8859-1"), "caf\195\169")
  check.fails("msys.base64.decode: the text is not base64: Incorrect padding", function() msys.base64.decode("Y2Fm6Q") end)
  check.fails("msys.base64.decode: the charset 'klingon' is not known", function() msys.base64.decode("AAAA", "klingon") end)
  check.fails("msys.base64.encode: iso-8859-1 has not all characters of the text", function() msys.base64.encode("\226\130\172", nil, "iso-8859-1") end)

  check.equal(msys.qp.encode("caf\195\169 = 1\r\n"), "caf=C3=A9 =3D 1\r\n")
  check.equal(msys.qp.encode("caf\195\169", "iso-8859-1"), "caf=E9")
  check.equal(msys.qp.encode(text), "=00=FF")
  check.equal(msys.qp.encode(".x\r\n.y", nil, true), "..x\r\n..y")
  check.equal(msys.qp.encode("a\nb"), "a\r\nb")
  local name = os.tmpname()
  local file = msys.core.io_wrapper_open(name, msys.core.O_RDWR)
  file:write("caf\195\169")
  file:seek("set")
  check.equal(msys.qp.encode(file, "iso-8859-1"), "caf=E9")
  os.remove(name)
  check.equal(msys.qp.decode(msys.qp.encode(string.rep("\195\169 ", 100))), string.rep("\195\169 ", 100))
  check.equal(msys.qp.decode("caf=e9=\r\n!", "iso-8859-1"), "caf\195\169!")
  check.fails("msys.qp.decode: the text is not quoted-printable: byte 1 begins no escape", function() msys.qp.decode("a=XY") end)

  check.equal(msys.idn.to_idn("b\195\188cher.example"), "xn--bcher-kva.example")
  check.equal(msys.idn.to_utf8("xn--bcher-kva.example"), "b\195\188cher.example")
  check.equal(msys.idn.to_idn("Example.COM"), "example.com")
  check.equal(msys.idn.to_utf8("example.com"), "example.com")
  for name, convert in pairs({ ["\255\255.example"] = msys.idn.to_idn, ["xn--99999999.example"] = msys.idn.to_utf8 }) do
    local domain, why = convert(name)
    check.equal(domain, nil)
    check.equal(why:find(" is not a domain: ", 1, true) ~= nil, true)
  end

  -- The page's own use: the domain of a From header.
  local made = msys.core.ec_message_new(nil)
  made:build({ from = "\229\188\151 <\229\188\151@b\195\188cher.example>" }, { ["text/plain"] = "x" }, {})
  local idn = msys.idn.to_idn(made:address_header("From", "domain")[1])
  check.equal(idn, "xn--bcher-kva.example")
  print("ok encodings")
end

msys.registerModule("encodings", mod)
