-- msys.readfile, msys.core.io_wrapper_open and its objects. Files are made in a place of this test's own.

require("msys.core")
local check = require("check")
local core = msys.core

local mod = {}
local path = os.tmpname()

local function writing()
  local flags = core.O_CREAT | core.O_APPEND | core.O_WRONLY
  local log = core.io_wrapper_open(path, flags, 0644)
  check.equal(msys.type(log), "io_object")
  local line = "This,Is,A,Test,Line\n"
  check.equal(log:write(line, #line), #line)
  check.equal(log:write("second\0\255\nand this is cut", 9), 9)
  check.equal(log:write("\n"), 1)
  check.equal(log:flush(), true)
  check.equal(log:close(), nil)
  local ok, why = log:write("x")
  check.equal(ok, nil)
  check.equal(why, path .. ": it is closed")
  check.equal(msys.readfile(path), line .. "second\0\255\n\n")
  check.equal(msys.readfile("file://" .. path), line .. "second\0\255\n\n")
end

local function reading()
  local file = core.io_wrapper_open(path)
  local lines = {}
  for text in file:lines() do
    lines[#lines + 1] = text
  end
  check.list(lines, { "This,Is,A,Test,Line", "second\0\255", "" })
  check.equal(file:read(), nil)
  check.equal(file:seek("set", 5), 5)
  check.equal(file:seek(), 5)
  check.equal(file:read(2), "Is")
  check.equal(file:read("*l"), ",A,Test,Line")
  check.equal(file:read(0), "")
  check.equal(file:read("*a"), "second\0\255\n\n")
  check.equal(file:read("*a"), "")
  check.equal(file:read("*l"), nil)
  check.equal(file:seek("end", -3), 27)
  local a, b, c = check.results(2, file:read(1, "*l"))
  check.equal(a, "\255")
  check.equal(b, "")
  a, b, c = check.results(2, file:read("*l", 5, 5))
  check.equal(a, "")
  check.equal(b, nil)
  local at, why = file:seek("set", -1)
  check.equal(at, nil)
  check.equal(why, path .. ": Invalid argument")
  check.fails("io_object:seek: 'middle' is none of set, cur, end", function() file:seek("middle") end)
  check.fails("io_object:read: '*x' is none of *l, *a, *n, nor a number of bytes", function() file:read("*x") end)
  check.fails("io_object:write: -1 is no length", function() file:write("x", -1) end)
  check.equal(file:write("x"), nil)
end

local function updating()
  local file = core.io_wrapper_open(path, core.O_RDWR | core.O_TRUNC | msys.core.O_BINARY | msys.core.O_SYNC)
  check.equal(msys.core.O_RDRW, core.O_RDWR)
  file:write(" 12 -3.5e1x")
  file:seek("set")
  check.equal(file:read("*n"), 12)
  check.equal(file:read("*number"), -35)
  check.equal(file:read("*n"), nil)
  check.equal(file:read("*a"), "x")
  check.equal(core.io_wrapper_open(path, core.O_CREAT | core.O_EXCL), nil)
end

local function uris()
  check.equal(msys.readfile("http://example.com/redirect/1"), "arrived")
  local text, why = msys.readfile("http://example.com/status/404")
  check.equal(text, nil)
  check.equal(why, "404 Not Found")
  local answer = core.io_wrapper_open("http://example.com/size/5", core.O_RDONLY)
  check.equal(answer:read(3), "xxx")
  check.equal(answer:read("*a"), "xx")
  for _, name in ipairs({ "/nowhere/at/all", "pipe://cat", "", "/", "jlog:///tmp/x" }) do
    text, why = msys.readfile(name)
    check.equal(text, nil)
    check.equal(type(why), "string")
    text, why = core.io_wrapper_open(name)
    check.equal(text, nil)
    check.equal(type(why), "string")
  end
  text, why = core.io_wrapper_open("pipe:///bin/cat", core.O_WRONLY)
  check.equal(text, nil)
  check.equal(why, 'pipe: is switched off; add "io.popen" to lua.allow in the configuration')
  text, why = core.io_wrapper_open("syslog://?priority=high", core.O_WRONLY)
  check.equal(text, nil)
  check.equal(why:match("^syslog: 'high' is no priority"), "syslog: 'high' is no priority")
  text, why = msys.readfile("persist://" .. path)
  check.equal(text, nil)
  check.equal(why, "persist:" .. path .. ": [files] persist names no directory for copies")
end

-- As public policies write their reports.
local function journal()
  local place = path .. ".jlog"
  local jlog = core.io_wrapper_open("jlog://" .. place .. "=>master", core.O_CREAT | core.O_APPEND | core.O_WRONLY, 0660)
  local report = "a report"
  check.equal(jlog:write(report, string.len(report)), 8)
  local segment = msys.readfile(place .. "/00000000")
  check.equal(#segment, 24)
  check.equal(segment:sub(17), report)
  check.equal(#msys.readfile(place .. "/cp.6d6173746572"), 8)
  local ok, why = jlog:read()
  check.equal(ok, nil)
  check.equal(why, place .. ": a jlog is read by its subscribers (JLog::Reader, jlogctl), not by scripts")
  for _, name in ipairs({ "00000000", "cp.6d6173746572", "metastore" }) do
    os.remove(place .. "/" .. name)
  end
  os.remove(place)
end

local function memory()
  local io = core.ec_message_builder(core.ec_message_new())
  check.fails("io_object:read: it can only be written", function() io:read() end)
  check.fails("io_object:lines: it can only be written", function() io:lines() end)
  check.fails("io_object:seek: it can only be written", function() io:seek() end)
  local text = core.string_new()
  text.backing = core.io_wrapper_open(path, core.O_WRONLY)
  check.equal(pcall(function() core.ec_message_new():render_to_string(text) end), false)
end

-- The manual's example, with a pool.
local function in_a_pool()
  local data = "one line\n"
  local done = msys.runInPool("IO", function()
    local log = core.io_wrapper_open(path, core.O_CREAT | core.O_APPEND | core.O_WRONLY, 0644)
    if not log then
      return false
    end
    log:write(data, #data)
    log = nil
    return true
  end)
  check.equal(done, true)
end

function mod:validate_ehlo(str, ac, vctx)
  writing()
  reading()
  updating()
  in_a_pool()
  uris()
  journal()
  memory()
  os.remove(path)
  print("ok core_io")
end

msys.registerModule("core_io", mod)
