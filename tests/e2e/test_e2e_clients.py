"""Clients through a real Postfix: who is refused before the first message, and what scripts know of one that logged in.

The law: a client's address and login are given to Postfix by XCLIENT; its encryption is real.
"""

from __future__ import annotations

import smtplib
import ssl
import subprocess

import pytest

from support.site import PostfixSite, Serve
from support.smtp_client import MESSAGE, SmtpClient


def test_a_refused_client_hears_why(site: PostfixSite, serve: Serve) -> None:
    serve("""
    function mod:validate_connect(ac, vctx)
      local peer = tostring(ac.remote_addr)
      if peer:find("192.0.2.66", 1, true) == 1 then vctx:set_code(554, "5.7.1 " .. peer .. " is listed") end
      if peer:find("192.0.2.67", 1, true) == 1 then vctx:set_code(451, "4.7.1 too busy") end
      if peer:find("192.0.2.68", 1, true) == 1 then vctx:set_code(421, "4.7.0 go away") end
    end
""")
    with SmtpClient(site.port) as client:
        client.ask("XCLIENT ADDR=192.0.2.66 PORT=1025 NAME=[UNAVAILABLE]")
        assert client.deliver("bob@example.com") == "554 5.7.1 192.0.2.66:1025 is listed"
    with SmtpClient(site.port) as client:
        client.ask("XCLIENT ADDR=192.0.2.67 NAME=[UNAVAILABLE]")
        assert client.deliver("bob@example.com").startswith("4")
    with SmtpClient(site.port) as client:
        client.ask("XCLIENT ADDR=192.0.2.68 NAME=[UNAVAILABLE]")
        assert client.deliver("bob@example.com").startswith("4") or client.answer() == ""
    with SmtpClient(site.port) as client:
        assert client.deliver("bob@example.com").startswith("250 ")
    assert len(site.arrived()) == 1


@pytest.mark.parametrize(
    ("call", "banner", "answer"),
    [
        ('vctx:set_code(554, "5.7.1 listed")', "554 ", "554 5.7.1 listed"),
        ('vctx:set_code(450, "4.7.1 busy")', "220 ", "450 4.7.1 busy"),
    ],
)
def test_the_configuration_says_who_is_refused_at_connect(
    call: str, banner: str, answer: str, site: PostfixSite, serve: Serve
) -> None:
    policy = f"""
    function mod:validate_connect(ac, vctx)
      if vctx:get(msys.core.VCTX_CONN, "where") == "loopback" then {call} end
    end
"""
    serve(policy, '[[context]]\nnetwork = "127.0.0.0/8"\nset = { where = "loopback" }\n')
    with SmtpClient(site.port) as client:
        assert client.banner.startswith(banner)
        assert client.deliver("bob@example.com") == answer


def test_a_client_that_is_to_go_at_helo_delivers_nothing(site: PostfixSite, serve: Serve) -> None:
    serve("""
    function mod:validate_ehlo(str, ac, vctx)
      if tostring(str) == "bad.example" then vctx:disconnect(550, "5.7.1 no") end
    end
""")
    with SmtpClient(site.port) as client:
        client.ask("EHLO bad.example")  # Postfix keeps the refusal for the next command
        assert client.deliver("bob@example.com", helo="bad.example") == "550 5.7.1 no"
        assert client.ask("RCPT TO:<bob@example.com>")[:1] == "5"
        assert client.ask("DATA")[:1] == "5"
    assert site.arrived() == []


def test_tls_and_login_become_context_variables(site: PostfixSite, serve: Serve) -> None:
    key = site.socket.parent / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=mx.test -keyout - -out -"
    key.write_bytes(subprocess.run(command.split(), check=True, capture_output=True).stdout)
    key.chmod(0o600)
    serve("""
    function mod:validate_ehlo(str) self.helos = (self.helos or 0) + 1 end
    function mod:validate_data(msg, ac, vctx)
      local get = function(key) return key .. "=" .. vctx:get(msys.core.VCTX_CONN, key) end
      local cipher = vctx:get(msys.core.VCTX_CONN, "tls_cipher")
      msg:header("X-Tls", get("tls") .. " " .. get("tls_version") .. (cipher == "" and "" or " cipher"))
      msg:header("X-Auth", get("auth_user") .. " " .. get("auth_status") .. " " .. get("can_relay"))
      msg:header("X-Helos", tostring(self.helos))
    end
""")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", site.ports["tls"], "client.example") as tls:
        tls.starttls(context=context)
        tls.sendmail("a@example.org", ["tls@example.com"], MESSAGE)
    with SmtpClient(site.ports["auth"]) as login:
        login.ask("XCLIENT ADDR=192.0.2.1 NAME=client.example LOGIN=ann")
        assert login.deliver("auth@example.com").startswith("250 ")
    arrived = {message.recipients[0]: message for message in site.arrived()}
    assert arrived["tls@example.com"].values(b"X-Tls") == [b"tls=true tls_version=TLSv1.3 cipher"]
    assert arrived["tls@example.com"].values(b"X-Auth") == [b"auth_user= auth_status= can_relay="]
    assert arrived["tls@example.com"].values(b"X-Helos") == [b"2"]
    assert arrived["auth@example.com"].values(b"X-Auth") == [b"auth_user=ann auth_status=pass can_relay=true"]
