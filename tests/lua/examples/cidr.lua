-- A list is defined in init; this one's file is not there, so every address has the default value until it is.

require("msys.cidr")

local mod = {}

function mod:init()
  msys.cidr.define('mycidr', {
    type = 'rbldnsd',
    default_value = '127.0.0.1',
    source = '/path/to/file'
  });
  return true;
end

function mod:validate_connect(accept, vctx)
  assert(msys.cidr.query('mycidr') == '127.0.0.1')
  print("ok", msys.cidr.query('mycidr', '192.0.2.1'))
end

msys.registerModule("mymodule", mod);
