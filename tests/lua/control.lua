-- Console commands with their arguments, the configuration, and how full file systems are.

require("msys.core")
require("msys.os")
require("msys.getopt")
local check = require("check")
local mod = {}

local function described(cc)
  check.equal(msys.type(cc), "command_construct")
  check.equal(cc.argc, 6)
  check.list({ cc.argv[0], cc.argv[1], cc.argv[2] }, { "my", "own", "/tmp" })
  check.equal(cc.argv[cc.argc], nil)
  check.equal(cc.command, "my own /tmp -a --two=2 rest")
  local options, rest = msys.getopt.parse(cc, "ab:", { "two:", "flag" })
  check.list({ options.a, options.two, options.b == nil }, { true, "2", true })
  check.list(rest, { "own", "/tmp", "rest" })
  local wrong, why = msys.getopt.parse(cc, "b:")
  check.list({ wrong == nil, why }, { true, "option -a not recognized" })
  options = msys.getopt.parse({ "x", "-b", "--" }, "b:")
  check.equal(options.b, "--")
  print("ok", "a command")
end

function mod:init()
  check.fails("msys.registerControl: expected the name of a command, got none", function() return msys.registerControl(" ", print), 1 end)
  msys.registerControl("my own", described)
  return true
end

function mod:validate_connect()
  local deadline, text = msys.config("get", "lua", "deadline")
  check.equal(text, "deadline = " .. deadline)
  check.equal(msys.config("set", "LUA", "Deadline", "=", deadline + 1), deadline + 1)
  check.equal(msys.config("eval", "lua", "deadline"), deadline + 1)
  check.equal(select(2, msys.config("get", "dns", "servers")), "servers = []")
  check.equal(msys.config("get", "lua", "jit"), false)
  local none, why = msys.config("get", "domain", "yahoo.com", "max_outbound_connections")
  check.list({ none == nil, why }, { true, "Option 'max_outbound_connections' is not set in scope 'domain yahoo.com'." })
  local wanted = "msys.config: lua jit does not change while the daemon runs: edit the file, then reload"
  check.fails(wanted, function() return msys.config("set", "lua", "jit", "true"), 1 end)
  wanted = 'msys.config: dns timeout: expected a number of seconds, 0.001 or more, got the string "soon"'
  check.fails(wanted, function() return msys.config("set", "dns", "timeout", "soon"), 1 end)
  check.fails('msys.config: "dance" is not an action here: expected "get", "eval" or "set"', function() return msys.config("dance"), 1 end)
  check.fails("msys.registerControl cannot be called in connect (allowed in: init, load)", function() return msys.registerControl("x", print), 1 end)
  print("ok", "the configuration")
end

function mod:validate_ehlo()
  local record = msys.os.statvfs_subscribe("/tmp", 10)
  check.equal(msys.type(record), "ec_statvfs_record_t")
  local st, err = msys.os.statvfs_read(record)
  check.list({ msys.type(st), err == nil }, { "ec_statvfs_t", true })
  check.equal(st["version"], 1)
  check.equal(st["kilobytes_total"] >= st["kilobytes_available"] and st.kilobytes_total > 0, true)
  check.equal(st["objects_total"] >= st["objects_available"], true)
  check.equal(msys.os.statvfs_read("/tmp").kilobytes_total, st.kilobytes_total)
  st, err = msys.os.statvfs_read("/elsewhere")
  check.list({ st == nil, err }, { true, "there is no subscription to /elsewhere" })
  msys.os.statvfs_subscribe("/nowhere", 0)
  st, err = msys.os.statvfs_read("/nowhere")
  check.list({ st == nil, err }, { true, "/nowhere: No such file or directory" })
  st, err = msys.os.statvfs_read(nil)
  check.list({ st == nil, err }, { true, "no subscription was given" })
  print("ok", "file systems")
end

msys.registerModule("control", mod)
