-- curl: transfers with callbacks, and every option by name. Every host is the test's own server.

require("msys.core")
require("curl")
require("json")
local check = require("check")

local mod = {}

-- A transfer: what perform returns, the body, the header lines.
local function get(url, set)
  local c, body, headers = curl.new(), {}, {}
  check.equal(c:setopt(curl.OPT_URL, url), true)
  c:setopt(curl.OPT_WRITEFUNCTION, function(_, data) body[#body + 1] = data; return #data end)
  c:setopt(curl.OPT_HEADERFUNCTION, function(_, data) headers[#headers + 1] = data; return #data end)
  if set then set(c) end
  local ok, message, code = c:perform()
  return ok, table.concat(body), headers, message, code
end

local function echo(set)
  local ok, body = get("http://example.com/echo", set)
  check.equal(ok, true)
  local answer, headers = json.decode(body), {}
  for _, pair in answer.headers do
    headers[pair[1]:lower()] = (headers[pair[1]:lower()] or "") .. pair[2]
  end
  return answer, headers
end

-- The manual's examples.
local function examples()
  c = curl.new();
  check.equal(msys.type(c), "curl_handle")
  c:setopt(curl.OPT_URL, "http://example.com/path");
  check.equal(c:perform(), true);
  c:close();
  check.fails("c:perform: the object is closed", function() c:perform() end)
  check.fails("c:setopt: the object is closed", function() c:setopt(curl.OPT_URL, "x") end)
  check.fails("c:close: the object is closed", function() c:close() end)
  local printed
  c = curl.new();
  c:setopt(curl.OPT_URL, "http://example.com/index.php");
  c:setopt(curl.OPT_HTTP_VERSION, 1.1);
  c:setopt(curl.OPT_WRITEFUNCTION, function(userdata, datastring) printed = datastring; check.equal(userdata == c, true);
    return string.len(datastring); end);
  c:setopt(curl.OPT_HTTPHEADER, "X-Foo: Bar",
      "Content-Type: application/json");
  c:setopt(curl.OPT_HTTPHEADER, nil);
  c:perform();
  check.equal(printed, "hello from http://example.com/index.php")
  check.equal(curl.escape("abcd$%^&*()"), "abcd%24%25%5E%26%2A%28%29")
  check.equal(curl.unescape("abcd%24%25%5E%26%2A%28%29"), "abcd$%^&*()")
  check.equal(curl.escape("a-b_c.d~e\0\255 /"), "a-b_c.d~e%00%FF%20%2F")
  check.equal(curl.unescape("%00%ff+%zz%4"), "\0\255+%zz%4")
end

local function requests()
  check.equal(echo().method, "GET")
  local answer, headers = echo(function(c)
    c:setopt(curl.OPT_POSTFIELDS, "a=b\0\255")
    c:setopt(curl.OPT_USERAGENT, "policy")
    c:setopt(curl.OPT_REFERER, "http://a.example/")
    c:setopt(curl.OPT_COOKIE, "a=b")
    c:setopt(curl.OPT_USERPWD, "ann:p:ass")
    c:setopt(curl.OPT_HTTPHEADER, { "X-One: 1", "X-Two;", "Expect:" })
    c:setopt(curl.OPT_FORBID_REUSE, true)
  end)
  check.equal(answer.method, "POST")
  check.equal(answer.body, "a=b\0\195\191")
  check.equal(headers["user-agent"], "policy")
  check.equal(headers["referer"], "http://a.example/")
  check.equal(headers["cookie"], "a=b")
  check.equal(headers["authorization"], "Basic YW5uOnA6YXNz")
  check.equal(headers["content-type"], "application/x-www-form-urlencoded")
  check.equal(headers["connection"], "close")
  check.equal(headers["x-one"], "1")
  check.equal(headers["x-two"], "")
  check.equal(headers["expect"], nil)

  check.equal(echo(function(c)
    c:setopt(curl.OPT_POST, true)
    c:setopt(curl.OPT_POSTFIELDS, "12345")
    c:setopt(curl.OPT_POSTFIELDSIZE, 3)
  end).body, "123")
  check.equal(echo(function(c) c:setopt(curl.OPT_CUSTOMREQUEST, "PATCH") end).method, "PATCH")
  check.equal(echo(function(c)
    c:setopt(curl.OPT_POSTFIELDS, "x")
    c:setopt(curl.OPT_HTTPGET, true)
  end).method, "GET")
  answer, headers = echo(function(c)
    c:setopt(curl.OPT_POSTFIELDS, "{}")
    c:setopt(curl.OPT_HTTPHEADER, "Content-Type: application/json", "Accept: x")
    c:setopt(curl.OPT_RANGE, "0-5")
  end)
  check.equal(headers["content-type"], "application/json")
  check.equal(headers["accept"], "x")
  check.equal(headers["range"], "bytes=0-5")
  check.equal(select(2, echo(function(c) c:setopt(curl.OPT_RESUME_FROM_LARGE, 7) end)).range, "bytes=7-")
  local _, _, lines = get("http://example.com/path", function(c) c:setopt(curl.OPT_NOBODY, true) end)
  check.equal(lines[1], "HTTP/1.1 200 OK\r\n")
  check.equal(lines[#lines], "\r\n")
  local ok, body = get("http://example.com/redirect/2", function(c) c:setopt(curl.OPT_FOLLOWLOCATION, true) end)
  check.equal(body, "arrived")
  ok, body, lines = get("http://example.com/redirect/2")
  check.equal(lines[1], "HTTP/1.1 302 Found\r\n")
  ok, body = get("http://example.com/path", function(c) c:setopt(curl.OPT_HEADER, true) end)
  check.equal(body:sub(1, 17), "HTTP/1.1 200 OK\r\n")
  check.equal(body:match("\r\n\r\n(.*)$"), "hello from http://example.com/path")
  ok, body = get("http://example.com/path", function(c) c:setopt(curl.OPT_PORT, 8080) end)
  check.equal(body, "hello from http://example.com:8080/path")
end

local function uploads()
  local function source(...)
    local pieces, at = { ... }, 0
    return function(data, size)
      check.equal(size, 16384)
      at = at + 1
      return pieces[at]
    end
  end
  local answer = echo(function(c)
    c:setopt(curl.OPT_UPLOAD, true)
    c:setopt(curl.OPT_READFUNCTION, source("one ", "two"))
  end)
  check.equal(answer.method .. " " .. answer.body, "PUT one two")
  answer = echo(function(c)
    c:setopt(curl.OPT_POST, true)
    c:setopt(curl.OPT_READDATA, { "data" })
    c:setopt(curl.OPT_READFUNCTION, source("one", "two", "", "three"))
    c:setopt(curl.OPT_INFILESIZE, 5)
    c:setopt(curl.OPT_SEEKFUNCTION, function() return 0 end)
  end)
  check.equal(answer.method .. " " .. answer.body, "POST onetw")
  local ok, _, _, message, code = get("http://example.com/echo", function(c)
    c:setopt(curl.OPT_PUT, true)
    c:setopt(curl.OPT_READFUNCTION, function() return {} end)
  end)
  check.equal(ok, nil)
  check.equal(message, "the read callback returned a table")
  check.equal(code, curl.E_READ_ERROR)
end

local function callbacks()
  local into = {}
  local ok = get("http://example.com/path", function(c)
    c:setopt(curl.OPT_WRITEDATA, into)
    c:setopt(curl.OPT_WRITEFUNCTION, function(t, data) t[#t + 1] = data; msys.sleep(0.01); return #data end)
    c:setopt(curl.OPT_HEADERDATA, "head")
    c:setopt(curl.OPT_HEADERFUNCTION, function(what, data) check.equal(what, "head"); return #data end)
  end)
  check.equal(ok, true)
  check.equal(into[1], "hello from http://example.com/path")

  local code, message, _
  ok, _, _, message, code = get("http://example.com/size/200000", function(c)
    c:setopt(curl.OPT_WRITEFUNCTION, function(_, data) return #data - 1 end)
  end)
  check.equal(ok, nil)
  check.equal(message, "the write callback did not take what came")
  check.equal(code, curl.E_WRITE_ERROR)
  ok, _, _, message, code = get("http://example.com/path", function(c)
    c:setopt(curl.OPT_HEADERFUNCTION, function() end)
  end)
  check.equal(code, curl.E_WRITE_ERROR)

  local steps = {}
  local function progress(answer)
    return function(c)
      c:setopt(curl.OPT_NOPROGRESS, false)
      c:setopt(curl.OPT_PROGRESSDATA, 7)
      c:setopt(curl.OPT_PROGRESSFUNCTION, function(data, total, now, up, sent)
        steps[#steps + 1] = data .. " " .. total .. " " .. now .. " " .. up .. " " .. sent
        return answer
      end)
    end
  end
  check.equal(get("http://example.com/size/5", progress()), true)
  check.list(steps, { "7 5 0 0 0", "7 5 5 0 0" })
  ok, _, _, message, code = get("http://example.com/size/5", progress(1))
  check.equal(message, "a callback ended the transfer")
  check.equal(code, curl.E_ABORTED_BY_CALLBACK)

  local fine, problem = pcall(get, "http://example.com/path", function(c)
    c:setopt(curl.OPT_WRITEFUNCTION, function() error("oops", 0) end)
  end)
  check.equal(fine, false)
  check.equal(problem, "oops")
  local body
  ok, body = get("http://example.com/size/1000000")
  check.equal(#body, 1000000)
end

local function failures()
  local wrong = {
    ["ftp://example.com/"] = curl.E_UNSUPPORTED_PROTOCOL, ["http:///x"] = curl.E_URL_MALFORMAT,
    ["nothing"] = curl.E_UNSUPPORTED_PROTOCOL, ["http://a b/"] = curl.E_URL_MALFORMAT,
  }
  for url, wanted in pairs(wrong) do
    local ok, _, _, message, code = get(url)
    check.equal(ok, nil)
    check.equal(type(message), "string")
    check.equal(code, wanted)
  end
  local ok, message, code = curl.new():perform()
  check.equal(ok, nil)
  check.equal(message, "no URL was set")
  check.equal(code, curl.E_URL_MALFORMAT)
  local function fails(url, wanted, set)
    local failed, _, _, why, number = get(url, set)
    check.equal(failed, nil)
    check.equal(number, wanted)
    return why
  end
  fails("http://example.com/loop", curl.E_TOO_MANY_REDIRECTS, function(c) c:setopt(curl.OPT_FOLLOWLOCATION, true) end)
  fails("http://example.com/redirect/3", curl.E_TOO_MANY_REDIRECTS, function(c)
    c:setopt(curl.OPT_FOLLOWLOCATION, true)
    c:setopt(curl.OPT_MAXREDIRS, 2)
  end)
  fails("http://example.com/slow/2", curl.E_OPERATION_TIMEDOUT, function(c) c:setopt(curl.OPT_TIMEOUT_MS, 100) end)
  check.equal(curl.E_OPERATION_TIMEOUTED, curl.E_OPERATION_TIMEDOUT)
  fails("http://example.com/size/100", curl.E_FILESIZE_EXCEEDED, function(c) c:setopt(curl.OPT_MAXFILESIZE, 99) end)
  local why = fails("http://example.com/status/404", curl.E_HTTP_RETURNED_ERROR, function(c) c:setopt(curl.OPT_FAILONERROR, true) end)
  check.equal(why, "the server answered 404 Not Found")
  fails("http://127.0.0.1:9/", curl.E_COULDNT_CONNECT, function(c) c:setopt(curl.OPT_PROXY, "") end)
end

local function refusals()
  local c = curl.new()
  local function refused(text, option, ...)
    local values = { ... }
    check.equal(select(2, pcall(function() c:setopt(option, unpack(values)) end)):match("c:setopt: (.*)$"), text)
  end
  refused("curl.OPT_POST takes true or false", curl.OPT_POST, 1)
  refused("curl.OPT_TIMEOUT takes a number", curl.OPT_TIMEOUT, "5")
  refused("curl.OPT_URL takes a string or nil", curl.OPT_URL, {})
  refused("curl.OPT_HTTPHEADER takes strings, a table of them, or nil", curl.OPT_HTTPHEADER, 5)
  refused("curl.OPT_WRITEFUNCTION takes a function", curl.OPT_WRITEFUNCTION, "print")
  refused("curl.OPT_COOKIEJAR can't be honoured by lumilter: leave it out", curl.OPT_COOKIEJAR, "/tmp/jar")
  refused("curl.OPT_VERBOSE can't be honoured by lumilter: leave it out", curl.OPT_VERBOSE, true)
  refused("the value of the header X has a line break or another control character in it", curl.OPT_HTTPHEADER, "X: a\r\nB: c")
  refused("the value of the header User-Agent has a line break or another control character in it", curl.OPT_USERAGENT, "a\nb")
  refused("'G T' is no HTTP method", curl.OPT_CUSTOMREQUEST, "G T")
  refused("curl.OPT_HTTPAUTH: only curl.AUTH_BASIC and curl.AUTH_DIGEST can be honoured", curl.OPT_HTTPAUTH, 8)
  refused("12345 is none of curl.OPT_*", 12345, 1)
  c:setopt(curl.OPT_VERBOSE, false)
  c:setopt(curl.OPT_COOKIEJAR, nil)
  c:setopt(curl.OPT_NOSIGNAL, true)
  c:setopt(curl.OPT_HTTPAUTH, curl.AUTH_DIGEST)
  check.fails("c:setopt needs its object: call it as object:setopt(...)", function() c.setopt(1, 2) end)
  check.fails("c:perform needs its object: call it as object:perform()", function() c.perform() end)
end

-- Every option that the manual lists is there by name; each of these takes libcurl's default.
local function options()
  local c = curl.new()
  for _, option in ipairs({
    curl.OPT_AUTOREFERER, curl.OPT_COOKIESESSION, curl.OPT_CRLF, curl.OPT_DNS_USE_GLOBAL_CACHE, curl.OPT_FILETIME,
    curl.OPT_FRESH_CONNECT, curl.OPT_FTPAPPEND, curl.OPT_FTPLISTONLY, curl.OPT_FTP_CREATE_MISSING_DIRS,
    curl.OPT_FTP_USE_EPRT, curl.OPT_FTP_USE_EPSV, curl.OPT_HTTPPROXYTUNNEL, curl.OPT_SSLENGINE_DEFAULT,
    curl.OPT_SSL_VERIFYPEER, curl.OPT_TCP_NODELAY, curl.OPT_TRANSFERTEXT, curl.OPT_UNRESTRICTED_AUTH,
  }) do
    check.equal(c:setopt(option, false), true)
  end
  for _, option in ipairs({
    curl.OPT_BUFFERSIZE, curl.OPT_CLOSEPOLICY, curl.OPT_CONNECTTIMEOUT, curl.OPT_CONNECTTIMEOUT_MS,
    curl.OPT_DNS_CACHE_TIMEOUT, curl.OPT_FTPSSLAUTH, curl.OPT_FTP_RESPONSE_TIMEOUT, curl.OPT_FTP_SSL,
    curl.OPT_INFILESIZE_LARGE, curl.OPT_IPRESOLVE, curl.OPT_LOW_SPEED_LIMIT, curl.OPT_LOW_SPEED_TIME,
    curl.OPT_MAXCONNECTS, curl.OPT_MAXFILESIZE_LARGE, curl.OPT_NETRC, curl.OPT_POSTFIELDSIZE_LARGE, curl.OPT_PROXYAUTH,
    curl.OPT_PROXYPORT, curl.OPT_PROXYTYPE, curl.OPT_RESUME_FROM, curl.OPT_SSLVERSION, curl.OPT_SSL_VERIFYHOST,
    curl.OPT_TIMECONDITION, curl.OPT_TIMEOUT, curl.OPT_TIMEVALUE,
  }) do
    check.equal(c:setopt(option, 0), true)
  end
  for _, option in ipairs({
    curl.OPT_CAINFO, curl.OPT_CAPATH, curl.OPT_COOKIEFILE, curl.OPT_EGDSOCKET, curl.OPT_ENCODING, curl.OPT_FTPPORT,
    curl.OPT_FTP_ACCOUNT, curl.OPT_HTTP200ALIASES, curl.OPT_HTTPPOST, curl.OPT_INTERFACE, curl.OPT_IOCTLDATA,
    curl.OPT_IOCTLFUNCTION, curl.OPT_KRB4LEVEL, curl.OPT_NETRC_FILE, curl.OPT_POSTQUOTE, curl.OPT_PREQUOTE,
    curl.OPT_PROXYUSERPWD, curl.OPT_QUOTE, curl.OPT_RANDOM_FILE, curl.OPT_SEEKDATA, curl.OPT_SOURCE_POSTQUOTE,
    curl.OPT_SOURCE_PREQUOTE, curl.OPT_SOURCE_QUOTE, curl.OPT_SOURCE_URL, curl.OPT_SOURCE_USERPWD, curl.OPT_SSLCERT,
    curl.OPT_SSLCERTTYPE, curl.OPT_SSLENGINE, curl.OPT_SSLKEY, curl.OPT_SSLKEYPASSWD, curl.OPT_SSLKEYTYPE,
    curl.OPT_SSL_CIPHER_LIST, curl.OPT_TELNETOPTIONS, curl.OPT_WRITEINFO,
  }) do
    check.equal(c:setopt(option, nil), true)
  end
  for _, number in ipairs({
    curl.E_OK, curl.E_COULDNT_RESOLVE_PROXY, curl.E_COULDNT_RESOLVE_HOST, curl.E_SSL_CONNECT_ERROR, curl.E_GOT_NOTHING,
    curl.E_RECV_ERROR, curl.E_SSL_CERTPROBLEM, curl.E_SSL_CACERT, curl.E_BAD_CONTENT_ENCODING, curl.AUTH_NONE,
    curl.AUTH_BASIC, curl.AUTH_ANY, curl.AUTH_ANYSAFE, curl.HTTP_VERSION_NONE, curl.HTTP_VERSION_1_0,
    curl.HTTP_VERSION_1_1,
  }) do
    check.equal(type(number), "number")
  end
end

function mod:validate_ehlo(str, ac, vctx)
  examples()
  requests()
  uploads()
  callbacks()
  failures()
  refusals()
  options()
  print("ok curl")
end

msys.registerModule("curl", mod)
