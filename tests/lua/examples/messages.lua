-- What the manual's pages on messages do with the functions, in their order of calls and in their dialect.

require('msys.core');
require('msys.extended.message');
require('msys.extended.message_routing');
require('msys.pcre');
require('msys.dumper');
local check = require("check");

local mod = {};

-- msgpart:addLastChild: a disclaimer for whatever message there is.
local function disclaim(msg, plain, html)
  local top = msg:mime(false)
  if top == nil then
    return
  elseif top.parts != nil then
    local part = msg:makePart("text/plain", plain)
    part.body_start = 0
    part.body_end = #plain
    top:addLastChild(part)
    part = msg:makePart("text/html", html)
    part.body_start = 0
    part.body_end = #html
    top:addLastChild(part)
  else
    msg:text_replace("\r\n.\r\n", plain .. "\r\n.\r\n")
  end
end

function mod:validate_data(msg, accept, vctx)
  print(#msys.dumper.Dumper(msg) > 0);
  disclaim(msg, "Disclaimer", "<b>Disclaimer</b>");
  if #msg:body() > 0 then
    check.equal(msg:body():sub(-10), "Disclaimer");
  end
  local made = msys.core.ec_message_new(nil);
  made:build({ Subject = "x" }, { ["text/plain"] = "a" }, {});
  disclaim(made, "Disclaimer", "<b>Disclaimer</b>");
  check.equal(made:text()[3], "<b>Disclaimer</b>");
  return msys.core.VALIDATE_CONT;
end

-- msgpart:content_type: every part of the message.
function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local part = msg:mime(true);
  local seen = 0;
  while part != nil do
    local kind = part:content_type();
    for key, value in pairs(kind) do
      seen = seen + 1;
    end
    part = part.thread;
  end
  check.equal(seen >= 3, true);
  return msys.core.VALIDATE_DONE;
end

-- msg:binding: a binding by the sender's domain.
function mod:validate_set_binding(msg)
  local localpart_str = msys.core.string_new();
  local domain_str = msys.core.string_new();
  msg:get_envelope2(msys.core.EC_MSG_ENV_FROM, localpart_str, domain_str);
  local domain = tostring(domain_str);
  localpart_str = nil;
  if msys.pcre.match(domain, "example.org") then
    check.equal(msg:binding("mydomain"), "mydomain");
  end
  print("ok messages");
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("messages", mod);
