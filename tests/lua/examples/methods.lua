-- New methods for every message, a pattern that names its parts, and the same call with and without a wait.

require("msys.core")
require("msys.extended.message")
require("msys.pcre")

local message = msys.getClassMetaTable("ec_message")

function message:first(name)
  return self:header(name)[1]
end

function message:rewrite(name, pattern, replacement)
  local orig = self:first(name)
  if orig == nil then
    return false
  end
  local rep = msys.pcre.replace(orig, pattern, replacement)
  if rep ~= orig then
    self:header(name, rep)
    return true
  end
end

local mod = {}

function mod:validate_data(msg, accept, vctx)
  local ordinary = msg:first("Subject") ~= nil
  assert(msg:rewrite("Subject", "menu$", "lunch") == ordinary)
  if !ordinary then
    return
  end
  assert(msg:first("Subject") == "caf\u00e9 lunch")
  assert(msg:rewrite("Subject", "no such word", "x") == nil)

  local matches, errstr = msys.pcre.match(msg:first("Received"), "by (?P<host>\\S+?);")
  assert(errstr == nil and matches.host == "b.example" and matches[1] == matches.host)

  if msys.asyncOk() then
    msys.sleep(0.001)
  end
  msys.log(msys.core.LOG_INFO, "rewrote " .. tostring(msg.id))
  print("ok", msys.type(msg))
end

msys.registerModule("methods", mod)
