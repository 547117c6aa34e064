-- json: texts read and written, objects and arrays changed in place.

require("msys.core")
require("json")
local check = require("check")

local mod = {}

local function objects()
  local obj, code = json.decode([[{ "hello": "world", "list": [1, 2.5, true, null, {"a": "b"}], "n": null }]])
  check.equal(code, nil)
  check.equal(msys.type(obj), "json_object")
  check.equal(obj.hello, "world")
  check.equal(obj.n, nil)
  check.equal(obj.missing, nil)
  local list = obj.list
  check.equal(#list, 5)
  check.equal(list[1], 1)
  check.equal(list[2], 2.5)
  check.equal(list[3], true)
  check.equal(list[4], nil)
  check.equal(list[5].a, "b")
  check.equal(list[0], nil)
  check.equal(list[6], nil)
  check.equal(list.name, nil)
  obj.int = 4
  obj.num = 3.5
  obj[7] = "seven"
  check.equal(obj["7"], "seven")
  list[5].a = { 1, 2, nil, 4 }
  list[6] = "six"
  check.equal(tostring(obj), '{ "hello": "world", "list": [ 1, 2.5, true, null, { "a": [ 1, 2 ] }, "six" ], "n": null, '
    .. '"int": 4, "num": 3.5, "7": "seven" }')
  local other = json.new()
  other.part = list
  other.part[1] = "changed"
  check.equal(list[1], "changed")
  check.equal(other.part == list, true)
  check.equal(tostring(json.new()), "{ }")
  check.fails("json_object: 9 is no index of an array of 6, nor the next one", function() list[9] = 1 end)
  check.fails("json_object: a function can't be part of a JSON value", function() obj.f = print end)
end

local function encoding()
  check.equal(tostring(json.encode({ 0, 1, 3 })), "[ 0, 1, 3 ]")
  check.equal(tostring(json.encode({ a = { b = "c" } })), '{ "a": { "b": "c" } }')
  check.equal(tostring(json.encode(42)), "42")
  check.equal(tostring(json.encode({})), "{ }")
  check.equal(tostring(json.encode("caf\195\169 \"\n")), '"caf\195\169 \\"\\n"')
  check.equal(tostring(json.decode(tostring(json.encode({ [1] = "x", y = 1 })))), '[ "x" ]')
  check.equal(json.decode('{"e": "\\u00e9"}').e, "\195\169")
  local halves = json.decode([[{"\ud83d\ude00": "\ud83d", "b": "\udc80\\ud800\uDBFFx"}]])
  check.equal(halves["\240\159\152\128"], "\239\191\189")
  check.equal(halves.b, "\239\191\189\\ud800\239\191\189x")
  check.fails("json.encode: a table that is nested too deep, or holds itself, can't be part of a JSON value", function() local t = {} t[1] = t json.encode(t) end)
  check.fails("json.encode: inf is no number in JSON", function() json.encode({ 1 / 0 }) end)
end

local function iteration()
  local seen = {}
  for key, value in json.decode('{"a": 1, "b": {"c": 2}}') do
    seen[#seen + 1] = key .. "=" .. tostring(value)
  end
  check.list(seen, { "a=1", 'b={ "c": 2 }' })
  local sum = 0
  for index, value in json.decode("[10, 20, 30]") do
    sum = sum + index * value
  end
  check.equal(sum, 140)
  local parts = {}
  for i = 1, 30000 do parts[i] = '"k' .. i .. '":' .. i end
  sum = 0
  for key, value in json.decode("{" .. table.concat(parts, ",") .. "}") do
    sum = sum + value
  end
  check.equal(sum, 30000 * 30001 / 2)
end

local function errors()
  local wrong = {
    ["[1e999]"] = json.ERROR_PARSE_NUMBER, ["[" .. string.rep("9", 400) .. "]"] = json.ERROR_PARSE_NUMBER,
    ["{"] = json.ERROR_PARSE_EOF, [""] = json.ERROR_PARSE_EOF, ["[1 2]"] = json.ERROR_PARSE_ARRAY,
    ["nul"] = json.ERROR_PARSE_NULL, ["tru"] = json.ERROR_PARSE_BOOLEAN, ["-x"] = json.ERROR_PARSE_NUMBER,
    ["{1: 2}"] = json.ERROR_PARSE_OBJECT_KEY_NAME, ['{"a" 2}'] = json.ERROR_PARSE_OBJECT_KEY_SEP,
    ['{"a": 1 "b"}'] = json.ERROR_PARSE_OBJECT_VALUE_SEP, ['"\\x"'] = json.ERROR_PARSE_STRING,
    ["?"] = json.ERROR_PARSE_UNEXPECTED, [string.rep("[", 300) .. string.rep("]", 300)] = json.ERROR_DEPTH,
    [string.rep("[", 100000)] = json.ERROR_DEPTH, ["{} {}"] = json.ERROR_PARSE_UNEXPECTED,
  }
  for text, code in pairs(wrong) do
    local obj, got, problem = json.decode(text)
    check.equal(obj, nil)
    check.equal(got .. " " .. text:sub(1, 20), code .. " " .. text:sub(1, 20))
    check.equal(problem, json.strerror(code))
  end
  check.equal(json.strerror(json.ERROR_PARSE_COMMENT), "expected comment")
  check.equal(json.strerror(99), "unknown error 99")
  local own = json.new()
  own.own = own
  local ok, problem = pcall(tostring, own)
  check.equal(ok, false)
  check.equal(problem, "json_object: the value is nested more than 200 levels deep, or holds itself")
end

function mod:validate_ehlo(str, ac, vctx)
  objects()
  encoding()
  iteration()
  errors()
  print("ok json")
end

msys.registerModule("json", mod)
