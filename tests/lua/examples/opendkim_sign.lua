-- What the manual's page of msys.validate.opendkim.sign does: the key's file is not there, which a policy may ignore.

require("msys.core");
require("opendkim.dkim");
require("msys.validate.opendkim");
require("msys.extended.message");

local mod ={};

function mod:core_final_validation(msg, accept, vctx)
  local responsible = table.concat(msg:address_header('Sender'), ' ')
  if responsible == nil then
    responsible = table.concat(msg:address_header('From'), ' ')
  end
  if (string.find(responsible .. "@ectest.example.com", 'ectest.example.com', 1)) then
    local options = {};
    options["base_domain"] = 'ectest.example.com'
    options["header_canon"] = 'relaxed'
    options["body_canon"] = 'relaxed'
    options["digest"] = 'rsa-sha1'
    options["selector"] = 'dkim-s1024'
    options["keyfile"] = '/opt/msys/ecelerity/etc/conf/default/dk/ectest.example.com/dkim-s1024.key'
    options["identity"] = '\@ectest.example.com'
    msys.validate.opendkim.sign(msg, vctx, options);
    print("ok");
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("automation", mod);
