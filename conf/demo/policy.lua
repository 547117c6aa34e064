-- The demo's policy: what a site's own Momentum policy looks like, and what each rule does is seen in scripts/demo.
require("msys.core");
require("msys.pcre");
require("msys.extended.message");
require("msys.extended.vctx");

local mod = {};

-- Senders that are refused, by domain; recipients that moved.
local blocked = { ["spam.example"] = true, ["phish.example"] = true };
local moved = { ["old@site.example"] = "new@site.example" };

local function domain_of(address)
  local found = msys.pcre.match(address, "@(?<domain>[^@>\\s]+)");
  return found and string.lower(found.domain) or "";
end

function mod:validate_connect(ac, vctx)
  local address = msys.pcre.replace(tostring(ac.remote_addr), ":\\d+$", "");
  vctx:set(msys.core.VCTX_CONN, "demo_client", address);
  return msys.core.VALIDATE_CONT;
end

function mod:validate_ehlo(str, ac, vctx)
  str = tostring(str);
  -- A client that claims to be us is not.
  if string.lower(str) == "mx.site.example" then
    vctx:set_code(550, "5.7.1 you are not " .. str);
    return msys.core.VALIDATE_DONE;
  end
  self.greeted = str;
  return msys.core.VALIDATE_CONT;
end

function mod:validate_mailfrom(str, ac, vctx)
  str = tostring(str);
  local domain = domain_of(str);
  if domain != "" and blocked[domain] then
    vctx:set_code(554, "5.7.1 mail from " .. domain .. " is not wanted here");
    return msys.core.VALIDATE_DONE;
  end
  return msys.core.VALIDATE_CONT;
end

function mod:validate_rcptto(msg, str, ac, vctx)
  str = tostring(str);
  if domain_of(str) != "site.example" then
    vctx:set_code(550, "5.7.1 relaying denied");
    return msys.core.VALIDATE_DONE;
  end
  if msys.pcre.match(str, "^<?later@") then
    vctx:set_code(451, "4.7.1 greylisted, come back later");
    return msys.core.VALIDATE_DONE;
  end
  return msys.core.VALIDATE_CONT;
end

function mod:validate_data(msg, ac, vctx)
  local subject = msg:header("Subject")[1] or "";

  if msys.pcre.match(subject, "(?i)\\bv[i1]agra\\b") then
    vctx:set_code(554, "5.7.1 content rejected");
    return msys.core.VALIDATE_DONE;
  end

  local list = msys.pcre.match(subject, "^\\[(?<list>[\\w-]+)\\]");
  if list then
    msg:header("X-Demo-List", list.list);
    msg:header("Subject", msys.pcre.replace(subject, "^\\[[\\w-]+\\]\\s*", ""));
  end

  -- `demo_client` was kept by validate_connect, `where` comes from the configuration's context for this network.
  msg:header("X-Demo-Policy", string.format("greeted as %s from %s (%s)", self.greeted,
    vctx:get(msys.core.VCTX_CONN, "demo_client"), vctx:get(msys.core.VCTX_CONN, "where")));
  return msys.core.VALIDATE_CONT;
end

function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  local rcpt = msg:rcptto();

  if !msys.pcre.match(rcpt, "^(abuse|postmaster)@") and #msg:header("X-Spam-Flag") > 0 then
    msg:discard("550 5.7.1 marked as spam");
    return msys.core.VALIDATE_DONE;
  end

  local new = moved[rcpt];
  if new != nil then
    print("re-addressed", rcpt, new);
    msg:rcptto(new);
    msg:header("X-Demo-Moved", rcpt);
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("policy", mod);
