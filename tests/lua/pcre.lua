-- msys.pcre: matching, replacing and splitting with Perl's regular expressions.

require("msys.pcre")
local check = require("check")
local pcre = msys.pcre

local mod = {}

function mod:validate_connect(ac, vctx)
  local found = check.results(1, msys.pcre.match("ann@example.org", "([^@]+)@(.+)"))
  check.equal(found[0], "ann@example.org")
  check.equal(found[1], "ann")
  check.equal(found[2], "example.org")
  check.equal(found[3], nil)

  found = pcre.match("2026-11-23", "(?P<year>\\d+)-(?<month>\\d+)")
  check.equal(found.year, "2026")
  check.equal(found.month, "11")
  check.equal(found[1], found.year)

  check.equal(check.results(1, pcre.match("abc", "x")), nil)
  check.equal(pcre.match("abc", "(?i)B")[0], "b")
  check.equal(pcre.match("", "^$")[0], "")
  check.equal(pcre.match("a\0x", "\\x00(.)")[1], "x")
  check.equal(pcre.match("caf\195\169", "caf(.)$")[1], "\195\169")
  check.equal(pcre.match("caf\233\0x", "\\xe9"), nil)
  check.equal(pcre.match("caf\233\0x", "\\w+")[0], "caf")
  check.equal(pcre.match(2026, "^\\d{4}$")[0], "2026")
  found = pcre.match("b", "(a)?(b)(c)?")
  check.equal(found[1], "")
  check.equal(found[2], "b")
  check.equal(found[3], nil)

  local none, message, offset = check.results(3, pcre.match("x", "asd("))
  check.equal(none, nil)
  check.equal(message, "missing closing parenthesis")
  check.equal(offset, 4)
  check.fails("bad argument #1 to 'msys.pcre.match' (string expected, got nil)", function() pcre.match(nil, "x") end)
  check.fails("bad argument #2 to 'msys.pcre.match' (value expected)", function() pcre.match("x") end)
  print("ok match")
end

-- An ec_string is a subject like a string; a long subject is searched while others go on.
function mod:validate_ehlo(str, ac, vctx)
  check.equal(pcre.match(str, ".+")[0], tostring(str))
  local long = string.rep("a", 100000)
  check.equal(#pcre.match(long, "a+")[0], 100000)
  check.equal(#pcre.replace(long, "a", "bb"), 200000)
  check.equal(#pcre.split(long, "a{1000}"), 0)

  local none, message, number = pcre.match(string.rep("a", 40) .. "!", "(a+)+$")
  check.equal(none, nil)
  check.equal(message, "match limit exceeded")
  check.equal(number < 0, true)
  none, message = pcre.match(string.rep("a", 4000) .. "!", "(a+)+$")
  check.equal(none, nil)
  check.equal(message, "match limit exceeded")
  print("ok limits")
end

function mod:validate_mailfrom(str, ac, vctx)
  check.equal(check.results(1, msys.pcre.replace("aXbX", "X", "-")), "a-b-")
  check.equal(pcre.replace("ann@example.org", "(\\w+)@(\\w+)", "$2 at ${1}"), "example at ann.org")
  check.equal(pcre.replace("abc", "(?<first>a)", "<${name}>") ~= nil, true)
  check.equal(pcre.replace("abc", "(?<first>a)", "<${first}>"), "<a>bc")
  check.equal(pcre.replace("abc", "x", "y"), "abc")
  check.equal(pcre.replace("abc", "b", ""), "ac")
  local none, message = check.results(3, pcre.replace("abc", "(", "y"))
  check.equal(none, nil)
  check.equal(message, "missing closing parenthesis")

  check.list(check.results(1, msys.pcre.split("a,b,,c", ",")), { "a", "b", "c" })
  check.list(pcre.split("one  two", "\\s+"), { "one", "two" })
  check.list(pcre.split("whole", "x"), { "whole" })
  check.list(pcre.split("", "x"), {})
  check.list(pcre.split("line 1\nline 2", "\\n"), { "line 1", "line 2" })
  none, message = pcre.split("abc", "[")
  check.equal(none, nil)
  check.equal(type(message), "string")
  print("ok replace and split")
end

msys.registerModule("pcre", mod)
