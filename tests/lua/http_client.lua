-- msys.http.client: requests, their answers, and what is refused. Every host is the test's own server.

require("msys.core")
require("msys.http.client")
require("json")
local check = require("check")

local mod = {}
local client = msys.http.client.new()

local function echo(method, data)
  check.equal(client:do_request(method, "http://example.com/echo?a=1", data), true)
  local answer = json.decode(client:get_body())
  local headers = {}
  for _, pair in answer.headers do
    headers[pair[1]:lower()] = pair[2]
  end
  return answer, headers
end

local function requests()
  for _, method in ipairs({ "GET", "POST", "PUT", "DELETE" }) do
    check.equal(echo(method, "some data").method, method)
    check.equal(echo(method:lower(), "\0\255").body, "\0\195\191")
  end
  check.equal(echo("GET").url, "http://example.com/echo?a=1")
  local _, headers = echo("POST", "a=b")
  check.equal(headers["content-type"], "application/x-www-form-urlencoded")
  check.equal(headers["host"], "example.com")
  check.fails("client:do_request: 'BREW' is none of GET, POST, PUT, DELETE", function() client:do_request("BREW", "http://x/") end)
end

local function headers()
  client:set_header("Content-Type: text/xml; charset=utf-8")
  client:set_header("X-One: 1")
  client:set_header("x-one:  2 ")
  local _, sent = echo("POST", "<doc/>")
  check.equal(sent["content-type"], "text/xml; charset=utf-8")
  check.equal(sent["x-one"], "2")
  client:set_header()
  _, sent = echo("POST", "<doc/>")
  check.equal(sent["x-one"], nil)
  for _, wrong in ipairs({ "no colon", ": x", "a b: x", "X\r\nY: x", "" }) do
    check.equal(pcall(client.set_header, client, wrong), false)
  end
  check.fails("client:set_header: the value of the header X has a line break or another control character in it", function() client:set_header("X: a\r\nBcc: b") end)
end

local function answers()
  local code, status = msys.http.client.new():get_status()
  check.equal(code, 0)
  check.equal(status, "no request was made")
  check.equal(msys.type(client), "http_client")

  client:do_request("GET", "http://example.com/status/404")
  code, status = client:get_status()
  check.equal(code .. " " .. status, "404 Not Found")
  local raw = client:get_headers()
  check.equal(raw[1]:sub(1, 8), "Server: ")
  local found = client:parse_headers(raw)
  check.equal(found["Content-Type"], "text/plain")
  found = client:parse_headers({ "A: 1\r\n", "nothing", "A: 2", "B:x:y" })
  check.equal(found.A, "1, 2")
  check.equal(found.B, "x:y")

  client:do_request("GET", "http://example.com/redirect/3")
  check.equal(client:get_body(), "arrived")
end

local function failures()
  client:do_request("GET", "http://example.com/path")
  local wrong = {
    ["ftp://example.com/"] = "ftp: is no scheme that is asked, only http: and https: are",
    ["file:///etc/passwd"] = "file: is no scheme that is asked, only http: and https: are",
    ["/path"] = "nothing: is no scheme that is asked, only http: and https: are",
    ["http:///path"] = "the URL names no host",
    ["http://a/\r\nX: y"] = "the URL has a space, a backslash or a control character in it",
    ["http://a:b/"] = "the URL can't be read: Port could not be cast to integer value as 'b'",
    ["http://example.com/loop"] = "example.com: more than 5 redirects",
  }
  for url, why in pairs(wrong) do
    local ok, problem = client:do_request("GET", url)
    check.equal(ok, nil)
    check.equal(problem, why)
    local code, status = client:get_status()
    check.equal(code, 0)
    check.equal(status, why)
    check.equal(client:get_body(), nil)
    check.equal(#client:get_headers(), 0)
  end
  client:set_timeout(0.1)
  local ok, problem = client:do_request("GET", "http://example.com/slow/2")
  check.equal(ok, nil)
  check.equal(problem, "example.com: no answer in time")
  client:set_timeout()
  check.equal(client:do_request("GET", "http://example.com/slow/0.2"), true)
  check.fails("client:set_timeout: -1 is no number of seconds above 0", function() client:set_timeout(-1) end)
end

-- As on the manual's pages.
local function post(url, postdata)
  client:set_header("Content-Type: text/xml; charset=utf-8");
  client:do_request("POST", url, postdata);
  local code, status = client:get_status();
  local headers = client:parse_headers(client:get_headers());
  return code, status, headers
end

function mod:validate_ehlo(str, ac, vctx)
  requests()
  headers()
  answers()
  failures()
  local code, status, found = post("http://example.com/path", "<doc/>")
  check.equal(code, 200)
  check.equal(status, "OK")
  check.equal(found["Content-Type"], "text/plain")
  client:set_header()
  print("ok http_client")
end

msys.registerModule("http_client", mod)
