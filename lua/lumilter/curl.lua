-- curl: the part of it that calls a script's callbacks.
--
-- The law: callbacks and their data are kept in the environment of the curl object, which is the only reference that
-- Lua follows from a userdata: a callback that mentions its own object does not keep it. Python hears of neither.

local host = ...

local internal, cross, finish = host.internal, host.cross, host.finish
local concat, error, pcall, tonumber, type = table.concat, error, pcall, tonumber, type
local getfenv, setfenv = debug.getfenv, debug.setfenv

local READ = 16384 -- bytes that a READFUNCTION is asked for, as libcurl does
local WRITE_ERROR, READ_ERROR, ABORTED = 23, 26, 42 -- CURLE_WRITE_ERROR, CURLE_READ_ERROR, CURLE_ABORTED_BY_CALLBACK

local function is_curl(value)
  return host.class_name(value) == "curl_handle"
end

function host.curl_new()
  local object = finish(internal.curl_new(cross()))
  setfenv(object, { turn = 0 })
  return object
end

function host.curl_setopt(self, option, ...)
  if not is_curl(self) then
    error("c:setopt needs its object: call it as object:setopt(...)", 2)
  end
  local ok, kept = internal.curl_set(cross(self, option, ...))
  if not ok then
    error(kept, 2)
  end
  if kept then
    getfenv(self)[kept] = (...)
  end
  return true
end

-- What a callback returns; an error of its own goes on to the script, once the transfer is given up.
local function settle(self, ok, ...)
  if not ok then
    internal.curl_end(cross(self))
    error(..., 0)
  end
  return ...
end

local function call(self, state, name, ...)
  local data = state[name .. "DATA"]
  if data == nil then
    data = self
  end
  return settle(self, pcall(state[name .. "FUNCTION"], data, ...))
end

-- Everything that a READFUNCTION gives, up to `most` bytes; or nil and why not.
local function upload_of(self, state, most)
  local pieces, size = {}, 0
  while size < most do
    local piece = call(self, state, "READ", READ)
    if piece == nil or piece == "" then
      break
    end
    if type(piece) ~= "string" then
      return nil, "the read callback returned a " .. type(piece)
    end
    pieces[#pieces + 1] = piece
    size = size + #piece
  end
  return concat(pieces):sub(1, most)
end

local function give_up(self, message, code)
  internal.curl_end(cross(self))
  return nil, message, code
end

local function failed(self, message)
  local _, code = internal.curl_end(cross(self))
  return nil, message, code
end

-- Whether a callback took all of a piece.
local function takes(self, state, name, piece)
  if state[name .. "FUNCTION"] == nil then
    return true
  end
  return tonumber((call(self, state, name, piece))) == #piece
end

function host.curl_perform(self)
  if not is_curl(self) then
    error("c:perform needs its object: call it as object:perform()", 2)
  end
  local ok, uploads, with_headers, progresses, most = internal.curl_ready(cross(self))
  if not ok then
    error(uploads, 2)
  end
  local state = getfenv(self)
  local turn = state.turn + 1
  state.turn = turn

  local upload, message
  if uploads and state.READFUNCTION ~= nil then
    upload, message = upload_of(self, state, most)
    if not upload then
      return give_up(self, message, READ_ERROR)
    end
  end

  local lines, total = finish(internal.curl_start(cross(self, upload)))
  if not lines then
    return failed(self, total)
  end
  local received, sent = 0, upload and #upload or 0
  local function goes_on()
    if not progresses or state.PROGRESSFUNCTION == nil then
      return true
    end
    local answer = call(self, state, "PROGRESS", total < 0 and 0 or total, received, sent, sent)
    return (tonumber(answer) or 0) == 0
  end
  for i = 1, #lines do
    if not takes(self, state, "HEADER", lines[i]) then
      return give_up(self, "the header callback did not take what came", WRITE_ERROR)
    end
    if with_headers and not takes(self, state, "WRITE", lines[i]) then
      return give_up(self, "the write callback did not take what came", WRITE_ERROR)
    end
  end
  while goes_on() do
    local piece, why
    if state.turn == turn then
      piece, why = finish(internal.curl_next(cross(self)))
    end
    if state.turn ~= turn then
      error("c:perform: another transfer was begun with this object meanwhile", 2)
    end
    if not piece then
      if why then
        return failed(self, why)
      end
      return true
    end
    received = received + #piece
    if not takes(self, state, "WRITE", piece) then
      return give_up(self, "the write callback did not take what came", WRITE_ERROR)
    end
  end
  return give_up(self, "a callback ended the transfer", ABORTED)
end
