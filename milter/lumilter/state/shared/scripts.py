"""What Redis is asked to do, in its own Lua: one script an operation, so each is atomic and one round trip.

The law: every key that a script touches is among its KEYS, and all have one hash tag, so that a cluster runs it on the
node that has them all, or says that it has only some while the slot is moved. The one exception are open sessions: of a
process that died, only the server knows under which keys it had any. Time is the server's
(the one clock that all machines share) unless the first argument is one. Redis frees what has expired by itself.

Windows are text: the newest stretch, then the counts from there back, with spaces between. Numbers are written with
%.0f, because Lua's tostring would give 1e+15.
"""

from __future__ import annotations

_COMMON = """
local given = ARGV[1]
local LIMIT = 9007199254740991
local function micros()
  if given ~= '' then return tonumber(given) end
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end
local function text(n) return string.format('%.0f', n) end
local function clamped(n) return math.max(-LIMIT, math.min(LIMIT, n)) end
"""

_WINDOWS = (
    _COMMON
    + """
local interval, windows = tonumber(ARGV[2]), tonumber(ARGV[3])
local running = math.floor(micros() / 1000000 / interval)
local function read(raw)
  local newest, counts = running, {}
  for i = 1, windows do counts[i] = 0 end
  if raw then
    local i = 0
    for word in raw:gmatch('%S+') do
      if i == 0 then newest = tonumber(word) else counts[i] = tonumber(word) end
      i = i + 1
    end
    if newest < running then
      local past, moved = running - newest, {}
      for j = 1, windows do moved[j] = j > past and counts[j - past] or 0 end
      newest, counts = running, moved
    end
  end
  return newest, counts
end
local function written(newest, counts)
  local words = { text(newest) }
  for i = 1, windows do words[i + 1] = text(counts[i]) end
  return table.concat(words, ' ')
end
local function get(key, field)
  if field == '' then return redis.call('GET', key) end
  return redis.call('HGET', key, field)
end
local function put(key, field, newest, counts)
  if field == '' then redis.call('SET', key, written(newest, counts))
  else redis.call('HSET', key, field, written(newest, counts)) end
  if given == '' then redis.call('EXPIREAT', key, text((newest + windows) * interval)) end
end
"""
)

ADD = (
    _WINDOWS
    + """
-- A key for each level; 4: amount; then a field for each. Gives the windows of each, the running one first.
local amount, answer = tonumber(ARGV[4]), {}
for i, key in ipairs(KEYS) do
  local field = ARGV[4 + i]
  local newest, counts = read(get(key, field))
  if newest >= running + windows then newest, counts = read(nil) end -- the clock was wrong when that was written
  local back = newest - running
  counts[back + 1] = clamped(counts[back + 1] + amount)
  put(key, field, newest, counts)
  local shown = {}
  for j = back + 1, windows do shown[#shown + 1] = text(counts[j]) end
  answer[#answer + 1] = table.concat(shown, ' ')
end
-- A busy network of many clients: those that have gone are forgotten little by little.
local last = KEYS[#KEYS]
if ARGV[#ARGV] ~= '' and redis.call('HLEN', last) > 512 then
  local seen = redis.call('HRANDFIELD', last, 4, 'WITHVALUES')
  for i = 1, #seen, 2 do
    if tonumber(seen[i + 1]:match('^%S+')) + windows <= running then redis.call('HDEL', last, seen[i]) end
  end
end
return answer
"""
)

COUNT = (
    _WINDOWS
    + """
-- 4, 5: windows; 6: field; 7: whether all fields of the key are meant, which then come one after the other.
local first, last = tonumber(ARGV[4]), tonumber(ARGV[5])
local function total(raw)
  local newest, counts = read(raw)
  local sum, back = 0, newest - running
  for i = math.max(first, 0) + back, math.min(last + back, windows - 1) do sum = sum + counts[i + 1] end
  return text(clamped(sum))
end
if ARGV[7] ~= 'all' then return total(get(KEYS[1], ARGV[6])) end
local found = redis.call('HGETALL', KEYS[1])
for i = 2, #found, 2 do found[i] = total(found[i]) end
return found
"""
)

REMOVE = (
    _WINDOWS
    + """
-- A key for each level, the item's own last; from 4 on a field for each.
local own = get(KEYS[#KEYS], ARGV[#ARGV])
if not own then return 0 end
local newest, counts = read(own)
if ARGV[#ARGV] == '' then redis.call('DEL', KEYS[#KEYS])
else redis.call('HDEL', KEYS[#KEYS], ARGV[#ARGV]) end
for i = 1, #KEYS - 1 do
  local key, field = KEYS[i], ARGV[3 + i]
  local raw = get(key, field)
  if raw then
    local theirs, above = read(raw)
    for j = 1, windows do
      local place = theirs - newest + j
      if place >= 1 and place <= windows then above[place] = clamped(above[place] - counts[j]) end
    end
    put(key, field, theirs, above)
  end
end
return 1
"""
)

READ_ITEMS = (
    _WINDOWS
    + """
-- 4: the key's kind. Gives fields and windows.
local found = ARGV[4] == 'hash' and redis.call('HGETALL', KEYS[1]) or { '', redis.call('GET', KEYS[1]) }
local answer = {}
for i = 1, #found, 2 do
  local newest, counts = read(found[i + 1])
  local shown = {}
  for j = newest - running + 1, windows do shown[#shown + 1] = text(counts[j]) end
  answer[i], answer[i + 1] = found[i], table.concat(shown, ' ')
end
return answer
"""
)

_GAUGE = (
    _COMMON
    + """
local values, stamps, latest = KEYS[1], KEYS[2], KEYS[3]
local ttl, key = tonumber(ARGV[2]), ARGV[3]
local now = micros()
local function value()
  local stamp = redis.call('ZSCORE', stamps, key)
  if not stamp or tonumber(stamp) <= now - ttl then return 0 end
  return tonumber(redis.call('HGET', values, key) or 0)
end
"""
)

GAUGE_ADD = (
    _GAUGE
    + """
local most = tonumber(ARGV[5])
local new = clamped(value() + tonumber(ARGV[4]))
local stamp = math.max(now, tonumber(redis.call('GET', latest) or 0) + 1)
redis.call('SET', latest, text(stamp))
redis.call('HSET', values, key, text(new))
redis.call('ZADD', stamps, text(stamp), key)
local over = redis.call('ZCARD', stamps) - most
local old = redis.call('ZRANGEBYSCORE', stamps, '-inf', text(now - ttl), 'LIMIT', 0, 10)
if over > 0 then old = redis.call('ZRANGE', stamps, 0, over - 1) end
for _, each in ipairs(old) do
  redis.call('HDEL', values, each)
  redis.call('ZREM', stamps, each)
end
if given == '' then
  for _, name in ipairs(KEYS) do redis.call('PEXPIRE', name, text(ttl / 1000 + 1)) end
end
return text(new)
"""
)

GAUGE_GET = _GAUGE + "return text(value())\n"

GAUGE_REMOVE = (
    _GAUGE
    + """
redis.call('HDEL', values, key)
return redis.call('ZREM', stamps, key)
"""
)

_COUNTER = (
    _COMMON
    + """
local path = ARGV[2]
local function read()
  local raw = redis.call('HGET', KEYS[1], path)
  if not raw then return nil end
  local value, since, relaxed = raw:match('(%S+) (%S+) (%S+)')
  return tonumber(value), since, relaxed
end
local now = text(math.floor(micros() / 1000000))
"""
)

COUNTER_ADD = (
    _COUNTER
    + """
local value, since, relaxed = read()
value = clamped((value or 0) + tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], path, text(value) .. ' ' .. (since or now) .. ' ' .. (relaxed or ARGV[4]))
return text(value)
"""
)

COUNTER_READ = _COUNTER + "return text(read() or 0)\n"

COUNTER_RESET = (
    _COUNTER
    + """
local _, _, relaxed = read()
redis.call('HSET', KEYS[1], path, '0 ' .. now .. ' ' .. (relaxed or '0'))
return 1
"""
)

COUNTER_UNLINK = "return redis.call('HDEL', KEYS[1], ARGV[2])\n"
COUNTER_ALL = "return redis.call('HGETALL', KEYS[1])\n"

_LOCK = (
    _COMMON
    + """
local owner, now = ARGV[2], micros()
local held = redis.call('HMGET', KEYS[1], 'owner', 'end')
local free = not held[1] or tonumber(held[2]) <= now
"""
)

ACQUIRE = (
    _LOCK
    + """
if not free then return 0 end
redis.call('HSET', KEYS[1], 'owner', owner, 'end', text(now + tonumber(ARGV[3])))
if given == '' then redis.call('PEXPIRE', KEYS[1], text(tonumber(ARGV[3]) / 1000 + 1)) end
return 1
"""
)

RELEASE = (
    _LOCK
    + """
if held[1] ~= owner then return 0 end
redis.call('DEL', KEYS[1])
return free and 0 or 1
"""
)

_SESSIONS = (
    _COMMON
    + """
local now, alive = micros(), KEYS[1]
local base = alive:sub(1, -#':alive' - 1)
local function change(key, field, by)
  local count = redis.call('HINCRBY', base .. key, field, by)
  if count <= 0 then redis.call('HDEL', base .. key, field) end
  return count
end
-- Own sessions are fields like "address key field key field ...": all that one of them is counted under.
local function unpacked(name)
  return cmsgpack.unpack(name)
end
local function forget(slot)
  local own = base .. ':own:' .. slot
  local had = redis.call('HGETALL', own)
  for i = 1, #had, 2 do
    local places = unpacked(had[i])
    for j = 1, #places, 2 do change(places[j], places[j + 1], -tonumber(had[i + 1])) end
  end
  redis.call('DEL', own)
  redis.call('ZREM', alive, slot)
end
for _, slot in ipairs(redis.call('ZRANGEBYSCORE', alive, '-inf', text(now), 'LIMIT', 0, 2)) do forget(slot) end
"""
)

ENTER = (
    _SESSIONS
    + """
-- 2: process; 3: how many; then a key and a field for each level. Gives how many there are on each; -1 before them if
-- the process is not known (any more): it has to tell of all its sessions.
local slot, by = ARGV[2], tonumber(ARGV[3])
if not redis.call('ZSCORE', alive, slot) then return { -1 } end
local places, answer = {}, {}
for i = 4, #ARGV do places[#places + 1] = ARGV[i] end
local name, own = cmsgpack.pack(places), base .. ':own:' .. slot
if by < 0 and redis.call('HEXISTS', own, name) == 0 then return { 0 } end
if redis.call('HINCRBY', own, name, by) <= 0 then redis.call('HDEL', own, name) end
for i = 1, #places, 2 do answer[#answer + 1] = change(places[i], places[i + 1], by) end
return answer
"""
)

ALIVE = (
    _SESSIONS
    + """
-- 2: process; 3: microseconds that it is believed to live; 4: whether it begins anew. Gives whether it was known.
local known = redis.call('ZSCORE', alive, ARGV[2])
if ARGV[4] == 'anew' then forget(ARGV[2]) end
if known or ARGV[4] == 'anew' then redis.call('ZADD', alive, text(now + tonumber(ARGV[3])), ARGV[2]) end
return known and 1 or 0
"""
)

GONE = _SESSIONS + "forget(ARGV[2]) return 1\n"

PRESENT = (
    _SESSIONS
    + """
-- 2: key; 3: field; 4: whether all fields of the key are meant.
if ARGV[4] ~= 'all' then return redis.call('HGET', base .. ARGV[2], ARGV[3]) or 0 end
return redis.call('HGETALL', base .. ARGV[2])
"""
)

ALL = (
    ADD, COUNT, REMOVE, READ_ITEMS, GAUGE_ADD, GAUGE_GET, GAUGE_REMOVE, COUNTER_ADD, COUNTER_READ, COUNTER_RESET,
    COUNTER_UNLINK, COUNTER_ALL, ACQUIRE, RELEASE, ENTER, ALIVE, GONE, PRESENT,
)  # fmt: skip
