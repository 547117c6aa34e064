-- Looking names up: nil and a reason, or a table; the result is shown line by line.

require("msys.core")
require("msys.pcre")
require("msys.dumper")

local mod = {}

local function addresses(name)
  local found, why = msys.dnsLookup(name, "A")
  if found == nil then
    return "ERROR: " .. why
  end
  if type(found[1]) == "string" then
    table.sort(found, function(a, b) return a > b end)
  end
  return found
end

function mod:validate_connect(accept, vctx)
  local lines = msys.pcre.split(msys.dumper.Dumper(addresses("example.com")), "\\n")
  for i = 1, #lines do
    print("ok", lines[i])
  end
  assert(#lines == 4 and lines[2]:find("192.0.2.81", 1, true))
  assert(addresses("gone.example") == "ERROR: NXDOMAIN")
  return msys.core.VALIDATE_CONT
end

-- The client's name must lead back to its address.
function mod:validate_ehlo(str, accept, vctx)
  local peer = tostring(accept.remote_addr):match("^(.*)[:.]%d+$")
  local names = msys.dnsLookup(peer, "PTR")
  vctx:set(msys.core.VCTX_CONN, "has_name", names and "yes" or "no")
  assert(vctx:get(msys.core.VCTX_CONN, "has_name") == (peer == "192.0.2.1" and "yes" or "no"))
end

-- With preferences, the best first.
function mod:validate_mailfrom(str, accept, vctx)
  for k, v in ipairs(msys.dnsLookup("example.com", "mx", { priority = true })) do
    assert(v[1] == 10 * k, "preference " .. v[1])
  end
end

msys.registerModule("lookups", mod)
