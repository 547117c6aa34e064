-- Where a message came from and by which listener, as a module with an environment of its own.

module("site.origin", package.seeall)

local msys = msys

local LISTENERS = { ["25"] = "relay", ["587"] = "submission" }

function role(msg)
  return LISTENERS[msg:listener_addr("port")]
end

function where(msg)
  return string.format("%s via %s (%s)", msg:reception_peer("ip"), msg:listener_addr(), role(msg))
end

local mod = {}

function mod:validate_data(msg, ac, vctx)
  local text = where(msg)
  assert(text:match("^192%.0%.2%.1 via 192%.0%.2%.25:25 %(relay%)$") or text:match("^2001:db8::1 via "), text)
  assert(msg:reception_peer() == msg:reception_peer("all"))
  assert(msg.recv_method ~= msys.core.P_INTERNAL)
  print("ok", text)
  return msys.core.VALIDATE_CONT
end

msys.registerModule("site.origin", mod)
