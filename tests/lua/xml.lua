-- xml: documents read, searched, changed and written.

require("msys.core")
require("xml")
local check = require("check")

local mod = {}

local function names(iterator)
  local found = {}
  for node in iterator do
    found[#found + 1] = node:name()
  end
  return found
end

local function reading()
  local doc = xml.parsexml([[<?xml version="1.0"?>
<!-- before -->
<list kind="a &amp; b"> <item id="1">one</item> <item id="2"><b>t</b>wo</item> tail <!-- c --><?pi x?></list>]])
  check.equal(msys.type(doc), "xmldoc")
  local root = doc:root()
  check.equal(msys.type(root), "xmlnode")
  check.equal(root == doc:root(), true)
  check.equal(root:doc() == doc, true)
  check.equal(root:name(), "list")
  check.equal(root:attr("kind"), "a & b")
  check.equal(root:attribute("none"), nil)
  check.list(names(root:children()), { "item", "item", "text", "comment", "pi" })
  check.equal(root:contents(), "onetwo tail ")
  local items = doc:xpath("//item")
  check.equal(type(items), "function")
  check.equal(items():contents(), "one")
  check.equal(items():contents(), "two")
  check.equal(items(), nil)
  check.equal(items(), nil)
  check.list(names(doc:xpath("//@id | //b | //b/text() | //comment()")), { "comment", "id", "id", "b", "text", "comment" })
  local second
  for node in doc:xpath("/list/item[2]") do second = node end
  check.list(names(doc:xpath("b", second)), { "b" })
  check.list(names(doc:xpath("b", { second })), { "b" })
  check.equal(doc:xpath("count(//item)"), 2)
  check.equal(doc:xpath("string(//item[1])"), "one")
  check.equal(doc:xpath("//item = 'one'"), true)
  check.list(names(doc:xpath("//nothing")), {})
  local blanks = [[<a> <b/> </a>]]
  check.list(names(xml.parsexml(blanks):root():children()), { "b" })
  check.list(names(xml.parsexml(blanks, 0):root():children()), { "b" })
  check.list(names(xml.parsexml(blanks, 1):root():children()), { "text", "b", "text" })
  check.equal(xml.parsexml("<?xml version='1.0' encoding='iso-8859-1'?><a>\233</a>"):root():contents(), "\195\169")
end

local function writing()
  local doc = xml.parsexml([[<doc></doc>]])
  local node = doc:root()
  local child = node:addchild("item")
  child:attr("name", "Junior")
  child:attr("n", 5)
  child:contents("I am a <child> node.")
  check.equal(child:tostring(), '<item name="Junior" n="5">I am a &lt;child&gt; node.</item>')
  check.equal(tostring(child), child:tostring())
  child:attr("name", nil)
  child:attribute("n", nil)
  local wanted = '<?xml version="1.0" encoding="UTF-8"?>\n<doc>\n  <item>I am a &lt;child&gt; node.</item>\n</doc>\n'
  check.equal(doc:tostring(), wanted)
  check.equal(tostring(doc), wanted)
  check.equal(tostring(child:doc()), wanted)
  check.list(names(child:children()), { "text" })
  for text in child:children() do
    check.equal(text:tostring(), "I am a &lt;child&gt; node.")
    text:contents("caf\195\169")
    check.equal(text:attr("x"), nil)
  end
  check.equal(child:contents(), "caf\195\169")
  child:contents("")
  check.list(names(child:children()), {})
  node:addchild("last"):contents("x")
  check.equal(node:tostring(), "<doc>\n  <item></item>\n  <last>x</last>\n</doc>")
end

local function moving()
  local doc = xml.parsexml("<a>1<b>2</b>3<c>4</c>5</a>")
  local root = doc:root()
  local b = doc:xpath("b", root)()
  check.equal(b:unlink() == b, true)
  check.equal(root:tostring(), "<a>13<c>4</c>5</a>")
  check.equal(b:tostring(), "<b>2</b>")
  check.equal(b:doc() == doc, false)
  local c = doc:xpath("//c")()
  check.equal(c:addchild(b) == b, true)
  check.equal(root:tostring(), "<a>13<c>4<b>2</b></c>5</a>")
  check.equal(b:doc() == doc, true)
  for part in root:children() do
    if part:name() == "text" and part:contents() == "5" then
      check.equal(b:addchild(part):contents(), "25")
    end
  end
  check.equal(root:tostring(), "<a>13<c>4<b>25</b></c></a>")
  local other = xml.parsexml("<z/>"):root()
  other:addchild(c)
  check.equal(other:tostring(), "<z>\n  <c>4<b>25</b></c>\n</z>")
  check.equal(root:tostring(), "<a>13</a>")
  check.equal(root:unlink() == root, true)
  local text = root:children()()
  check.equal(text:unlink():contents(), "13")
  check.equal(text:doc(), nil)
  check.equal(root:tostring(), "<a/>")
  check.fails("node:addchild: a node can't be put into itself", function() c:addchild(other) end)
  check.fails("node:addchild: only an element has children", function() text:addchild("x") end)
end

local function namespaces()
  local doc = xml.parsexml('<s:a xmlns:s="urn:s" xmlns="urn:d" xml:lang="de" s:x="1"><b/></s:a>')
  local root = doc:root()
  check.equal(root:name(), "a")
  check.equal(root:attr("xml:lang"), "de")
  check.equal(root:attr("x"), "1")
  root:addchild("c")
  root:addchild("s:d")
  check.list(names(doc:xpath("/s:a/s:c | s:d")), { "c", "d" })
  check.fails("node:addchild: the prefix 'q' stands for no namespace here", function() root:addchild("q:x") end)
end

local function refusals()
  local bomb = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><a>&b;</a>'
  local wrong = {
    ["<a>"] = "Premature end of data", [""] = "Document is empty", ["\0\255"] = "Document is empty, line 1, column 1",
    [bomb] = "the document declares entities", ["<a>&nothing;</a>"] = "Entity 'nothing' not defined",
    ['<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'] = "the document declares entities",
    [string.rep("<a>", 255) .. string.rep("</a>", 255)] = "nested more than 250 levels deep",
    [string.rep("<a>", 100000)] = "xcessive depth", ["<a b='1' b='2'/>"] = "redefined",
    ["<a>" .. string.rep("x", 9000000) .. "</a>"] = "larger than 8388608 bytes",
  }
  for text, why in pairs(wrong) do
    local doc, problem = xml.parsexml(text)
    check.equal(doc, nil)
    if not problem:find(why, 1, true) then error(text:sub(1, 80) .. ": " .. problem) end
  end
  local doc = xml.parsexml('<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>')
  local root = doc:root()
  check.equal(tostring(doc):find("<a/>", 1, true) ~= nil, true)
  check.equal(pcall(doc.xpath, doc, "//["), false)
  check.equal(pcall(doc.xpath, doc, "//x:y"), false)
  check.equal(pcall(root.addchild, root, "a b"), false)
  check.equal(pcall(root.contents, root, "\0"), false)
  check.equal(pcall(root.attr, root, "a", "\1"), false)
  check.equal(pcall(root.contents, root, "\255\254"), false)
  local deep = root
  local ok, problem = pcall(function() for _ = 1, 300 do deep = deep:addchild("x") end end)
  check.equal(ok, false)
  check.equal(problem:find("the document would be nested more than 250 levels deep", 1, true) ~= nil, true)
end

function mod:validate_ehlo(str, ac, vctx)
  reading()
  writing()
  moving()
  namespaces()
  refusals()
  print("ok xml")
end

msys.registerModule("xml", mod)
