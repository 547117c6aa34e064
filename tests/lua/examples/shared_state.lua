-- The manual's examples of msys.audit_series.define and msys.counter.inc, .read.

require("msys.core")
require("msys.counter")
require("msys.audit_series")
local check = require("check")

-- msys.audit_series.define; the page's second function writes the name of the series without quotes, so that it is a
-- global that nobody has set: that is the error it would be.
local mod = {}

function mod:init()
  msys.audit_series.define("myseries", "cidr", 300, 6);
  return true;
end

function mod:validate_data(msg, accept, vctx)
  check.fails("bad argument #1 to 'msys.audit_series.add' (string expected, got nil)", function() msys.audit_series.add(myseries, accept) end)
  msys.audit_series.add("myseries", accept)
  print("ok series", msys.audit_series.count("myseries", accept))
  return msys.core.VALIDATE_CONT
end

msys.registerModule("mymodule", mod);

-- msys.counter.inc, both
local mod = {};
local msys_emails = msys.counter.open("/sites/examples/messagesystems_correspondence");

function mod:validate_mailfrom(str, accept, vctx)
  str = tostring(str);
  if (string.find(str, "@example.org") != nil) then
    msys.counter.inc(msys_emails);
    msys.counter.inc("/sites/site_name/messagesystems_correspondence");
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("counter", mod);

-- msys.counter.read
local mod = {};
local ct = msys.counter.open("/lua/test");

local function receive(str)
  if (string.find(str, "count@test.example.com") != nil) then
    msys.counter.inc(ct);
  elseif (string.find(str, "blargh@test.example.com") != nil) then
    c = msys.counter.open("/lua/blargh", msys.counter.RELAXED);
    msys.counter.add(c, 1024);
  elseif (string.find(str, "blarghstring@test.example.com") != nil) then
    msys.counter.add("/lua/blargh", 3);
  elseif (string.find(str, "blarghinc@test.example.com") != nil) then
    msys.counter.inc("/lua/blargh");
  elseif (string.find(str, "unlink@test.example.com") != nil) then
    msys.counter.unlink("/lua/blargh");
  elseif (string.find(str, "readname@test.example.com") != nil) then
    c = msys.counter.open("/readname");
    msys.counter.add(c, msys.counter.read("/lua/blargh"));
  elseif (string.find(str, "readcounter@test.example.com") != nil) then
    c = msys.counter.open("/readcounter");
    msys.counter.add(c, msys.counter.read(msys.counter.open("/lua/blargh")));
  elseif (string.find(str, "resetname@test.example.com") != nil) then
    msys.counter.reset("/lua/blargh");
  elseif (string.find(str, "resetcounter@test.example.com") != nil) then
    c = msys.counter.open("/lua/test");
    msys.counter.reset(c);
  end
end

function mod:validate_ehlo(str, accept, vctx)
  receive("count@test.example.com")
  check.equal(msys.counter.read("/lua/test") > 0, true)
  receive("unlink@test.example.com")
  receive("blargh@test.example.com")
  receive("blarghstring@test.example.com")
  receive("blarghinc@test.example.com")
  check.equal(msys.counter.read("/lua/blargh"), 1028)
  msys.counter.reset("/readname")
  msys.counter.reset("/readcounter")
  receive("readname@test.example.com")
  receive("readcounter@test.example.com")
  check.equal(msys.counter.read("/readname"), 1028)
  check.equal(msys.counter.read("/readcounter"), 1028)
  receive("resetname@test.example.com")
  receive("resetcounter@test.example.com")
  check.equal(msys.counter.read("/lua/blargh"), 0)
  check.equal(msys.counter.read("/lua/test"), 0)
  print("ok counters", msys.counter.read("/sites/examples/messagesystems_correspondence"))
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("reader", mod);
