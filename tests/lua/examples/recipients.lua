-- A copy of every message goes to an archive; the list is read as C arrays are, from 0 to its length.

require("msys.core")
require("msys.extended.vctx")

local mod = {}

local function joined(list)
  local text = ""
  for i = 0, #list do
    text = text .. list[i] .. ";"
  end
  return text
end

function mod:validate_data(msg, ac, vctx)
  local before = joined(vctx:recipient_list())
  vctx:add_recipient("archive@example.com")
  assert(joined(vctx:recipient_list()) == before .. "archive@example.com;")
  print("ok", before)
  return msys.core.VALIDATE_CONT
end

-- Recipients of the archive's own domain are told nothing of it.
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  self.last = msg:rcptto()
  return msys.core.VALIDATE_CONT
end

function mod:validate_dealloc()
  assert(self.last == "archive@example.com")
end

msys.registerModule("recipients", mod)
