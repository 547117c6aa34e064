-- Tagging, cleaning and reading headers, before and after the recipients part ways.

require("msys.core")
require("msys.extended.message")

local mod = {}

function mod:validate_data(msg, accept, vctx)
  local header_list = msg:header("X-Multi")
  local first = header_list[1]
  assert(first == nil or first == "one")

  local tagged = msg:header("X-Policy", "checked")
  assert(tagged == true)
  assert(msg:header("X-Policy", "again", "append"))
  assert(table.concat(msg:header("x-policy"), ",") == "checked,again")
  msg:header("X-Policy", "123456", "replace")
  assert(#msg:header("X-Policy") == 1)
  msg:header("X-Raw", "")
  assert(#msg:header("X-Raw") == 0)

  local subject = msg:header("Subject")[1] or "(none)"
  msg:header("Subject", "[list] " .. subject)
  assert(msg:header("Subject")[1] == "[list] " .. subject)
  print("ok", msg:header("Subject")[1])
  return msys.core.VALIDATE_CONT
end

-- Every recipient's copy gets the same header, so the message stays one.
function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  msg:header("X-Domains", msg:address_header("To", "domain"), "prepend")
end

function mod:validate_set_binding(msg)
  local domains = msg:header("X-Domains")
  assert(#domains == #msg:address_header("To"))
end

msys.registerModule("headers", mod)
