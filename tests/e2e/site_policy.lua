-- The policy of test_e2e_policy.py and test_e2e_sendmail.py: it decides by addresses and subjects, so that one daemon
-- serves all their tests. `mod` is made and registered around it (support.daemon.write).

function mod:validate_connect(ac, vctx)
  if tostring(ac.remote_addr):find("^127%.0%.0%.2:") then vctx:set_code(554, "5.7.1 not from there") end
end

function mod:validate_ehlo(str, ac, vctx)
  local name = tostring(str)
  if name == "refused.example" then vctx:set_code(550, "5.7.1 not you, " .. name) end
  if name == "later.example" then vctx:set_code(450, "4.7.1 not now") end
end

function mod:validate_mailfrom(str, ac, vctx)
  local from = tostring(str)
  self.count = (self.count or 0) + 1
  if from == "error@x.example" then error("one session fails") end
  if from == "refused@x.example" then vctx:set_code(553, "5.1.8 no mail from <" .. from .. ">") end
  if from == "later@x.example" then vctx:set_code(451, "4.7.1 come back") end
  if from == "lines@x.example" then vctx:set_code(550, "5.7.1 first line\nsecond line\r\n100% of it") end
  if from == "plain@x.example" then vctx:set_code(550, "no status here") end
  if from == "digit@x.example" then vctx:set_code(550, "192.0.2.1 is listed") end
  if from == "class@x.example" then vctx:set_code(550, "4.7.1 of another class\n4.7.1 twice") end
  if from == "closed@x.example" then vctx:set_code(421, "4.3.2 closing") end
  if from == "hangup@x.example" then vctx:disconnect() end
end

function mod:validate_rcptto(msg, str, ac, vctx)
  local to = tostring(str)
  if to:find("^refused") then vctx:set_code(550, "5.1.1 " .. to .. " is not here") end
  if to:find("^later") then vctx:set_code(450, "4.2.1 " .. to .. " is greylisted") end
  if to:find("^dropped") then msg:discard("250 2.0.0 dropped") end
end

function mod:validate_rcptto_list(list, vctx)
  local count = 0
  while list do
    if tostring(list.object) == "atdata@y.example" then vctx:set_code(554, "5.7.1 refused at DATA") end
    count, list = count + 1, list.next
  end
  if count > 5 then vctx:set_code(452, "4.5.3 " .. count .. " recipients are too many") end
end

local rules = {}

function rules.refuse(msg, vctx) vctx:set_code(554, "5.7.1 refused by content\nsee https://x.example/") end
function rules.later(msg, vctx) vctx:set_code(451, "4.7.1 content is looked at") end
function rules.discard(msg) msg:discard("250 2.0.0 unwanted") end
function rules.append(msg) msg:header("X-Many", {"c", "d"}, "append") end
function rules.replace(msg) msg:header("X-Many", "replaced") end
function rules.prepend(msg) msg:header("X-Top", {"one", "two"}, "prepend") end
function rules.delete(msg) msg:header("X-Many", "") end
function rules.several(msg) msg:header("X-Many", {"n1", "n2", "n3"}) end
function rules.encode(msg) msg:header("X-Read", msg:header("X-Word")[1] .. " für alle") end
function rules.huge(msg) msg:header("X-Length", tostring(#msg:header("X-Huge")[1])) end
function rules.add(msg, vctx) vctx:add_recipient({"added1@y.example", "added2@y.example"}) end
function rules.odd(msg, vctx) vctx:add_recipient("a b@y.example") end
function rules.remove(msg, vctx) vctx:remove_recipient("removed@y.example") end
function rules.sender(msg) msg:mailfrom("changed@z.example") end
function rules.null(msg) msg:mailfrom("") end
function rules.quarantine(msg) msg:quarantine("held for a look") end

function mod:validate_data(msg, ac, vctx)
  local rule = rules[msg:header("Subject")[1] or ""]
  if rule then rule(msg, vctx) end
  if msg:header("Subject")[1] == "count" then msg:header("X-Count", tostring(self.count)) end
end

function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  local to = msg:rcptto()
  if to == "eachrefused@y.example" then vctx:set_code(550, "5.7.1 not for " .. to) end
  if to == "eachdropped@y.example" then msg:discard() end
  if to == "moved@y.example" then msg:rcptto("new@y.example") end
  if to:find("^same") then msg:header("X-Same", "1") end
  if to:find("^own") then msg:header("X-For", to) end
end

function mod:core_final_validation2(msg)
  local to = msg:rcptto()
  if to == "done@y.example" then return msys.core.EC_HOOK_DONE end
  if to == "retry@y.example" then return msys.core.EC_HOOK_RETRY end
  return msys.core.EC_HOOK_CONT
end
