-- What one phase notes for another: text in both dictionaries, anything in self, the session's own _TLS.

require("msys.core")

local mod = {}

function mod:validate_connect(accept, vctx)
  self.started = msys.core.get_now_ts()
  self.log = { "connect" }
  vctx:set(msys.core.ECMESS_CTX_CONN, "strikes", 0)
  _TLS.peer = tostring(accept.remote_addr)
end

local function strike(vctx)
  local strikes = tonumber(vctx:get(msys.core.VCTX_CONN, "strikes")) + 1
  vctx:set(msys.core.VCTX_CONN, "strikes", strikes)
  return strikes
end

function mod:validate_ehlo(str, accept, vctx)
  table.insert(self.log, "ehlo")
  print("ok ehlo string is:", msys.expandMacro("%{vctx_conn:ehlo_string}"))
  assert(msys.expandMacro("%{vctx_conn:ehlo_string}") == tostring(str))
  assert(strike(vctx) == 1)
end

function mod:validate_rcptto(msg, str, accept, vctx)
  assert(_TLS.peer == tostring(accept.remote_addr))
  strike(vctx)
end

function mod:validate_data(msg, accept, vctx)
  local val = 1
  msg:context_set(msys.core.ECMESS_CTX_MESS, "key", val)
  assert(msg:context_get(msys.core.VCTX_MESS, "key") == "1")
  if msg:context_exists(msys.core.ECMESS_CTX_MESS, "key") == 1 then
    assert(msg:context_delete(msys.core.ECMESS_CTX_MESS, "key") == 1)
  end
  assert(msg:context_exists(msys.core.ECMESS_CTX_MESS, "key") == 0)
  assert(vctx:get(msys.core.VCTX_CONN, "strikes") == tostring(1 + msys.core.accept_construct_get_message_construct(accept).message_rcpt_count))
  table.insert(self.log, "data")
end

function mod:validate_dealloc()
  assert(table.concat(self.log, " ") == "connect ehlo data")
  assert(msys.core.get_now_ts() >= self.started)
end

msys.registerModule("contexts", mod)
