-- The MTA's side of a milter session: miltertest's mt.* with every answer looked at.
-- The law: whatever is not as expected ends the script with a line on standard output, because miltertest itself says
-- nothing about an error. Steps that a filter negotiated away have no answer and are not looked at.

local Client = {};
Client.__index = Client;

local REPLIES = {};
for _, name in ipairs({ "CONTINUE", "ACCEPT", "REJECT", "TEMPFAIL", "DISCARD", "REPLYCODE", "SKIP" }) do
  REPLIES[_G["SMFIR_" .. name]] = "SMFIR_" .. name;
end

local EDITS = {};
for _, name in ipairs({
  "HDRADD", "HDRINSERT", "HDRCHANGE", "HDRDELETE", "RCPTADD", "RCPTDELETE", "BODYCHANGE", "QUARANTINE", "SMTPREPLY",
}) do
  EDITS[_G["MT_" .. name]] = "MT_" .. name;
end

local SILENT = {
  conninfo = SMFIP_NR_CONN, helo = SMFIP_NR_HELO, mailfrom = SMFIP_NR_MAIL, rcptto = SMFIP_NR_RCPT,
  data = SMFIP_NR_DATA, header = SMFIP_NR_HDR, eoh = SMFIP_NR_EOH, bodystring = SMFIP_NR_BODY,
};

-- Connect to the filter that `miltertest -D socket=...` names, call talk(client), disconnect.
function session(title, talk)
  local function run()
    local client = setmetatable({ conn = mt.connect(socket) }, Client);
    talk(client);
    mt.disconnect(client.conn);
  end
  local ok, trace = xpcall(run, debug.traceback);
  if not ok then
    mt.echo(title .. ": " .. tostring(trace));
    error(trace, 0);
  end
end

local SWITCHED_OFF = { header = SMFIP_NOHDRS, eoh = SMFIP_NOEOH, bodystring = SMFIP_NOBODY };

local function call(client, step, ...)
  local problem = mt[step](client.conn, ...);
  if problem then
    error("mt." .. step .. ": " .. tostring(problem), 3);
  end
end

-- One step of the conversation; `expected` is one of SMFIR_*, without it SMFIR_CONTINUE.
local function say(client, step, expected, ...)
  if SWITCHED_OFF[step] and mt.test_option(client.conn, SWITCHED_OFF[step]) then
    return; -- an MTA does not send it either
  end
  call(client, step, ...);
  if SILENT[step] and mt.test_option(client.conn, SILENT[step]) then
    return;
  end
  local got = mt.getreply(client.conn);
  expected = expected or SMFIR_CONTINUE;
  if got ~= expected then
    error(string.format("mt.%s(%s): expected %s, got %s", step, table.concat({ ... }, ", "), REPLIES[expected],
      REPLIES[got] or tostring(got)), 3);
  end
end

function Client:negotiate(version, actions, steps) call(self, "negotiate", version, actions, steps) end

function Client:connect(host, ip, expected) say(self, "conninfo", expected, host, ip) end

function Client:helo(name, expected) say(self, "helo", expected, name) end

function Client:mail(sender, expected) say(self, "mailfrom", expected, "<" .. sender .. ">") end

function Client:rcpt(recipient, expected) say(self, "rcptto", expected, "<" .. recipient .. ">") end

-- DATA, headers ({ { name, value }, ... }), body and the final dot, to which `expected` is the answer.
function Client:message(headers, body, expected)
  say(self, "data", nil);
  for _, field in ipairs(headers) do
    say(self, "header", nil, field[1], " " .. field[2]); -- SMFIP_HDR_LEADSPC: with the space after the colon
  end
  say(self, "eoh", nil);
  say(self, "bodystring", nil, body);
  say(self, "eom", expected);
end

-- Macros for a step (SMFIC_*) that is to come: name, value, name, value ...
function Client:macros(step, ...) call(self, "macro", step, ...) end

-- RSET, or a client that went away in the middle of a message: the connection to the filter stays.
function Client:abort() call(self, "abort") end

local WITH_VALUE = { [MT_HDRADD] = true, [MT_HDRINSERT] = true, [MT_HDRCHANGE] = true };

local function asked(client, op, first, second, ...)
  if WITH_VALUE[op] and second then
    second = " " .. second;
  end
  local arguments = { first, second, ... };
  return mt.eom_check(client.conn, op, table.unpack(arguments)), EDITS[op] .. " " .. table.concat(arguments, ", ");
end

-- What the filter asked for at end of message: an MT_* operation and what miltertest(8) lists for it.
function Client:edited(op, ...)
  local found, what = asked(self, op, ...);
  if not found then
    error("expected from the filter: " .. what, 2);
  end
end

function Client:not_edited(op, ...)
  local found, what = asked(self, op, ...);
  if found then
    error("not expected from the filter: " .. what, 2);
  end
end

-- The message leaves as it came: no edit of any kind.
function Client:untouched()
  for _, op in ipairs({ MT_HDRADD, MT_HDRINSERT, MT_HDRCHANGE, MT_HDRDELETE, MT_BODYCHANGE, MT_QUARANTINE }) do
    self:not_edited(op);
  end
end

-- What was negotiated: SMFIP_* protocol steps, SMFIF_* actions.
function Client:option(bit, expected)
  if mt.test_option(self.conn, bit) ~= expected then
    error(string.format("expected protocol option 0x%x to be %s", math.tointeger(bit), tostring(expected)), 2);
  end
end

function Client:action(bit, expected)
  if mt.test_action(self.conn, bit) ~= expected then
    error(string.format("expected action 0x%x to be %s", math.tointeger(bit), tostring(expected)), 2);
  end
end
