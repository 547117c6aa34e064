-- What the manual of Momentum 3 does with the older functions of DKIM: results gathered, a domain asked for without
-- arguments, a message signed without naming it.

require("msys.core");
require("msys.validate.dkim");
require("msys.extended.message");

local mod = {};

function mod:validate_data_spool(msg, accept, vctx)
  local count, results = msys.validate.dkim.get_verify_results (vctx)
  local results_str = ""
  if count > 0 then
    for i = 0, count-1 do
      local result = msys.validate.dkim.verify_results_get_item (results, i)
      if result ~= nil then
        results_str = results_str .. result.diagnostic
      end
    end
  end
  print("ok", results_str, results.ref)
  msg:header("X-DKIM-Results", results_str .. "-", "prepend")
  return msys.core.VALIDATE_CONT;
end

function mod:core_final_validation(msg, accept, vctx)
  local options = {};
  options["base_domain"] = "football.example.com";
  options["selector"] = "brisbane";
  options["keybuf"] = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
  local domain = msys.validate.dkim.get_responsible_domain();
  print("msys.validate.dkim.get_responsible_domain returns ", domain);
  print("msys.validate.dkim.sign returns ", msys.validate.dkim.sign(nil, nil, options));
  local domains = msys.validate.dkim.get_domains(msg, vctx);
  assert(#domains == 0);
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("dkim_verify_results", mod);
