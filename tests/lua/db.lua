-- msys.db: rows by name and position, placeholders, NULL, the cache, errors that are raised or returned.

require("msys.core")
require("msys.db")
require("msys.datasource")
require("msys.extended.message")
local check = require("check")

local mod = {}

local function rows()
  local names = {}
  for row in msys.db.query("mycache", "select firstname, lastname from names order by age") do
    names[#names + 1] = row.firstname .. " " .. (row.lastname or "-")
  end
  check.list(names, { "Ann Lee", "Bob -", "caf\xc3\xa9 \xff" })
  local rowset, err = check.results(1, msys.db.query("mycache", "select * from names where age = 1"))
  check.equal(err, nil)
  check.equal(msys.type(rowset), "rowset")
  check.equal(rowset(), nil)
  check.equal(rowset(), nil)
  rowset = msys.db.query("mycache", "select firstname as a, age from names order by age desc")
  check.equal(rowset().a, "caf\xc3\xa9")
  check.equal(rowset().age, 40)
  check.equal(rowset().a, "Ann")
  check.equal(rowset(), nil)
end

local function placeholders()
  local function first(...)
    local row = msys.db.fetch_row("mycache", ...)
    return row and row.firstname
  end
  check.equal(first("select firstname from names where age < ? and age > ? order by age", { 50, 30 }), "Bob")
  check.equal(first("select firstname from names where age < :most and lastname = :last", { most = 50, last = "Lee" }), "Ann")
  check.equal(first("select firstname from names where age = $age -- ? :age", { age = 40 }), "Bob")
  check.equal(first("select firstname from names where firstname = ':age' or age = :age or '?' = '$x'", { age = 20 }), "Ann")
  check.equal(first("select firstname from names where age = ?", { "40" }), "Bob")
  check.equal(first("select firstname from names", { 30 }), "Ann")
  check.equal(first("select firstname from names where lastname = ?", {}), nil)
  check.equal(first("select firstname from names where lastname is ?", {}), "Bob")
  check.equal(first("select firstname from names where firstname = ?", { "' or 1=1 --" }), nil)
  local row = msys.db.fetch_row("mycache", "select ?, ? as flag, ? as half, ? as absent", { "x", true, 0.5, nil })
  check.equal(row["?"], "x")
  check.equal(row.flag, 1)
  check.equal(row.half, 0.5)
  check.equal(row.absent, nil)
  local function nested() msys.db.fetch_row("mycache", "select ?", { {} }) end
  check.equal(select(2, pcall(nested)):match(": (.*)"), "msys.db.fetch_row: parameter 1 is a table, not a string, number or boolean")
end

local function errors()
  check.fails("msys.db.query: mycache: no such table: nowhere", function() msys.db.query("mycache", "select * from nowhere") end)
  check.fails('msys.db.fetch_row: there is no [[datasource]] "nowhere" in the configuration', function() msys.db.fetch_row("nowhere", "select 1", nil, { raise_error = 0 }) end)
  check.fails('msys.db.execute: mycache: near "selec": syntax error', function() msys.db.execute("mycache", "selec", nil, {}) end)
  local quiet = { raise_error = false }
  local rowset, why = check.results(2, msys.db.query("mycache", "select * from nowhere", nil, quiet))
  check.equal(rowset, nil)
  check.equal(why, "mycache: no such table: nowhere")
  local row, reason = check.results(2, msys.db.fetch_row("mycache", "select", {}, quiet))
  check.equal(row, nil)
  check.equal(reason, "mycache: incomplete input")
  local done, message = check.results(2, msys.db.execute("nowhere", "select 1", nil, quiet))
  check.equal(done, false)
  check.equal(message, 'there is no [[datasource]] "nowhere" in the configuration')
  check.equal(check.results(1, msys.db.fetch_row("mycache", "select 1 from names where age = 1", nil, quiet)), nil)
end

local function cache()
  local count = "select count(*) as n from log"
  local before = msys.db.fetch_row("uncached", count).n
  check.equal(msys.db.fetch_row("mycache", count, { before }).n, before)
  check.equal(check.results(1, msys.db.execute("mycache", "insert into log values (?)", { "a" })), true)
  check.equal(msys.db.execute("mycache", "insert into log values (?)", { "a" }), true)
  check.equal(msys.db.fetch_row("mycache", count, { before }).n, before)
  check.equal(msys.db.fetch_row("mycache", count, { before }, { nocache = true }).n, before + 2)
  check.equal(msys.db.fetch_row("mycache", count, { before }, { nocache = false }).n, before)
  check.equal(msys.db.fetch_row("uncached", count).n, before + 2)
end

-- As the manual's pages have it.
local function examples(cache, query)
  local rowset, row, err, r, e, success, errmsg

  rowset, err = msys.db.query('mycache', 'select firstname, lastname from names where age < ?', {30});
  if rowset == nil then
    print("ERROR: " .. err);
    return;
  end
  for row in rowset do
    print(row.firstname, row.lastname);
  end

  r, e = msys.db.fetch_row (cache, query, nil, { raise_error = false });
  if (r ~= nil) then
    for k, v in pairs(r) do
      print(k, v);
    end
  elseif (e ~= nil) then
    print "Query failed";
  else
    print "No match";
  end

  success, errmsg = msys.db.execute (cache, query, nil, { raise_error = false });
  if (success == true) then
    print ("Query succeeded");
  elseif (success == false) then
    print ("Query failed: " .. errmsg);
  else
    print ("Unknown state");
  end
end

function mod:validate_connect(accept, vctx)
  rows()
  placeholders()
  errors()
end

-- The text of a message as a parameter, several times the same query, in a place where Lua can't yield.
function mod:validate_data_spool_each_rcpt(msg, accept, vctx)
  local numbers = { 3, 1, 2 }
  table.sort(numbers, function(a, b)
    return msys.db.fetch_row("uncached", "select ? < ? as less", { a, b }).less == 1
  end)
  check.list(numbers, { 1, 2, 3 })
  local row = msys.db.fetch_row("mycache", "select ? as raw", { msg:header("X-Raw")[1] })
  check.equal(row.raw, msg:header("X-Raw")[1] and "caf\xc3\xa9")
  cache()
  examples("mycache", "select 1 as one")
  examples("mycache", "select 1 where 0")
  examples("mycache", "nonsense")
  print("ok", "db")
end

msys.registerModule("db", mod)
