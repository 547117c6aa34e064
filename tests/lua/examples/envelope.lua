-- The envelope in pieces, and a bounce address that names the batch.

require("msys.core")
require("msys.extended.message")

local mod = {}

local function sender_domain(msg)
  local localpart_str, domain_str = msys.core.string_new(), msys.core.string_new()
  msg:get_envelope2(msys.core.EC_MSG_ENV_FROM, localpart_str, domain_str)
  return tostring(domain_str)
end

function mod:validate_mailfrom(str, accept, vctx)
  local mc = msys.core.accept_construct_get_message_construct(accept)
  vctx:set(msys.core.VCTX_MESS, "origin", sender_domain(mc.message))
end

function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  if msg:mailfrom() == "" then
    return
  end
  local batch = tostring(msg.batch_id):gsub("%W", "-")
  local sender = msg:mailfrom("bounces+" .. batch .. "@" .. sender_domain(msg))
  assert(sender == msg:mailfrom() and sender:match("^bounces%+[%x-]+@example%.org$"))
  print("ok", sender)
end

function mod:validate_set_binding(msg)
  local domain = sender_domain(msg)
  assert(domain == msg:context_get(msys.core.ECMESS_CTX_MESS, "origin"))
  if msys.pcre.match(domain, "example\\.org$") then
    msg:context_set(msys.core.ECMESS_CTX_MESS, "route", "own")
  end
  local e, route = msg:context_exists_and_get(msys.core.ECMESS_CTX_MESS, "route")
  assert((e == 1) == (domain == "example.org") and (route == "own") == (e == 1))
  return msys.core.VALIDATE_CONT
end

msys.registerModule("envelope", mod)
