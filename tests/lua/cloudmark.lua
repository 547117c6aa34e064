-- msys.cloudmark: the table and the context variables of a score, the same from its analysis, ActiveFilter's settings.

require("msys.core")
require("msys.cloudmark")
local check = require("check")
local core, cloudmark = msys.core, msys.cloudmark

local mod = {}

local function analysed(got, score, verdict)
  check.equal(got.score, score)
  check.equal(got.category, verdict)
  check.equal(got["sub-category"], "")
  check.equal(got["sub-category-desc"], "")
  check.equal(got.rescan, "no")
  check.equal(got.is_spam, nil)
  check.equal(got.analysis, "lumilter=1; engine=clamav; verdict=" .. verdict .. "; score=" .. score .. "; rules=")
end

local function variables(vctx, wanted)
  for name, value in pairs(wanted) do
    check.equal(vctx:get(core.VCTX_MESS, "cmae-" .. name), value)
  end
end

function mod:validate_data(msg, ac, vctx)
  local got = cloudmark.score(msg, ac, vctx)
  analysed(got, 0, "clean")
  variables(vctx, { score = "0", category = "clean", rescan = "0", analysis = got.analysis, isspam = "" })
  local virus = msg:copy()
  virus:body("lumilter-test-virus\r\n")
  got = cloudmark.score(virus)
  analysed(got, 100, "infected")
  check.equal(got["category-desc"], "Test.Virus")
  variables(vctx, { score = "100", category = "infected", ["category-desc"] = "Test.Virus", analysis = got.analysis })

  local again = cloudmark.analyze("lumilter=1; engine=x; verdict=spam; score=77; rules=A,B")
  check.equal(again.score, 77)
  check.equal(again.category, "spam")
  check.equal(again["sub-category"], "A")
  variables(vctx, { score = "77", subcategory = "A", ["sub-category"] = "A", analysis = "" })
  for _, text in ipairs({ "", "v=2.3 cv=abc", "lumilter=1", "lumilter=1; engine=x; verdict=spam; score=101; rules=",
    "lumilter=1; engine=x; verdict=none; score=1; rules=" }) do
    local none, why = check.results(2, cloudmark.analyze(text, msg, vctx))
    check.equal(none, nil)
    check.equal(why, "this is no analysis that msys.cloudmark.score gave to this process")
  end

  virus:body("lumilter-test-broken\r\n")
  local none, why = check.results(2, cloudmark.score(virus, ac, vctx))
  check.equal(none, nil)
  check.equal(why, "clamav: ended with status 2: no database")
  check.equal(vctx:exists(core.VCTX_MESS, "cmae-score"), 0)
end

-- Settings first, in every phase; then scores as without ActiveFilter.
function mod:init()
  check.fails("msys.cloudmark.set_af_mode_movemsg: 'maybe' is neither \"yes\" nor \"no\"", function() cloudmark.set_af_mode_movemsg("a", "b", "maybe") end)
  check.fails("msys.cloudmark.set_af_mode_movemsg: a folder has no name", function() cloudmark.set_af_mode_movemsg("", "b", "yes") end)
  cloudmark.set_af_mode_discard()
  cloudmark.set_af_mode_keep()
  cloudmark.set_af_mode_movemsg("Inbox", "Spam", "no")
  check.fails("msys.cloudmark.set_af_msi_address: 'nobody' is not an address", function() cloudmark.set_af_msi_address("nobody") end)
  return 0
end

function mod:validate_rcptto(msg, str, ac, vctx)
  cloudmark.add_af_data("bob@example.com", { custom_key = "custom_value", number = 1 })
  check.fails("msys.cloudmark.add_af_data: the value of key is neither a string nor a number", function() cloudmark.add_af_data("a@b", { key = {} }) end)
  check.fails("msys.cloudmark.add_af_data: 'bob' is not an address", function() cloudmark.add_af_data("bob", {}) end)
end

local tried

function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  if not tried then
    tried = true
    check.fails("msys.cloudmark.score_af: ActiveFilter has no mode or no address: call set_af_mode_* and set_af_msi_address first", function() cloudmark.score_af(msg, ac, vctx, 90) end)
    cloudmark.set_af_msi_address("msi@msi.local")
  end
  check.fails("msys.cloudmark.score_af: '101' is no score from 0 to 100", function() cloudmark.score_af(msg, ac, vctx, 101) end)
  analysed(cloudmark.score_af(msg, ac, vctx, 90), 0, "clean")
  print("ok")
end

msys.registerModule("cloudmark", mod)
