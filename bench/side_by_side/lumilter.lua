-- The policy of the comparison, as a Momentum script.
local mod = {}

function mod:validate_data(msg, ac, vctx)
  local from, to, subject = msg:header("From")[1], msg:header("To")[1], msg:header("Subject")[1]
  local seen = from and to and string.find(subject, "[Ff]ree%s+money") and "money" or "none"
  msg:header("X-Policy", seen)
end

msys.registerModule("policy", mod)
