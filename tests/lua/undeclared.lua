-- require("strict"), as examples of the manual begin: undeclared globals are errors, everything else is as before.

require("strict")
require("msys.core")
require("msys.extended.message")
require("xml")
local check = require("check")

local mod = {}

declared = 1
empty = nil

function mod:validate_connect(ac, vctx)
  declared, empty = 1, nil -- the session before this one left something else
  check.equal(declared, 1)
  check.equal(empty, nil)
  declared = declared + 1
  empty = "now set"
  check.equal(empty, "now set")
  check.fails("variable 'misspelled' is not declared", function() return misspelled end)
  check.fails("assign to undeclared variable 'undeclared'", function() undeclared = 1 end)
  check.equal(rawget(_G, "undeclared"), nil)
  rawset(_G, "by_hand", 2)
  check.equal(by_hand, 2)
  return msys.core.VALIDATE_CONT
end

-- What is global of itself needs no declaration, waits included.
function mod:validate_data(msg, ac, vctx)
  _TLS.seen = true
  check.equal(type(_OSTLS), "table")
  check.equal(xml.parsexml("<a/>"):root():name(), "a")
  msys.sleep(0.001)
  check.equal(_TLS.seen, true)
  check.list({ msys.runInPool("IO", function() return declared > 1 end) }, { true, true })
  check.equal(#msg:header("Subject") <= 1, true)
  print("ok", "strict")
  return msys.core.VALIDATE_CONT
end

msys.registerModule("undeclared", mod)
