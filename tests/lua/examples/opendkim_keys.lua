-- What the manual's pages of get_num_sigs, get_sig_keysize and verify do: every signature's key is looked at.

require("opendkim.dkim");
require("msys.validate.opendkim");
local mod = {};
local weak = 0;

function mod:validate_data(msg, accept, vctx)
  local num = 0;
  local stat;
  local dkim_sig;
  msg:header("DKIM-Signature", "v=1; d=example.com; s=none", "prepend");
  local dkim = msys.validate.opendkim.verify(msg);
  num, stat = msys.validate.opendkim.get_num_sigs(dkim);
  if num > 0 then
    for i = 0, num-1 do
      dkim_sig = msys.validate.opendkim.get_sig(dkim, i);
      local size = msys.validate.opendkim.get_sig_keysize(dkim_sig);
      if size < 1024 then
        weak = weak + 1;
      end
    end
  end
  print("ok", weak);
  assert(weak > 0 and stat == opendkim.dkim.DKIM_STAT_OK);
  return msys.core.VALIDATE_CONT;
end
msys.registerModule("test_opendkim", mod);
