"""adapters.dns_lookup: a resolver that is not there before it is asked, and then is a resolver like any other."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lumilter.adapters.cache import Stats
from lumilter.adapters.dns_lookup import LateResolver
from lumilter.errors import ConfigError
from support.daemon import ENVIRONMENT
from support.dns_server import DnsServer


def test_it_answers_and_keeps_answers() -> None:
    with DnsServer({("known.test", "A"): ["known.test. 60 IN A 192.0.2.1"]}) as server:
        resolver = LateResolver([server.address])
        assert resolver.stats() == Stats(0, 0, 0)
        assert resolver.flush() == 0
        for _ in range(2):
            assert resolver.lookup("known.test", deadline=time.monotonic() + 30) == [(None, "192.0.2.1")]
        assert resolver.stats() == Stats(1, 1, 1)
        assert resolver.flush() == 1
        assert resolver.stats() == Stats(1, 1, 0)


def test_many_that_ask_first_get_one_resolver() -> None:
    with DnsServer({("known.test", "A"): ["known.test. 60 IN A 192.0.2.1"]}) as server, ThreadPoolExecutor(16) as pool:
        resolver = LateResolver([server.address])
        asked = [pool.submit(resolver.lookup, "known.test", deadline=time.monotonic() + 30) for _ in range(64)]
        assert {tuple(each.result()) for each in asked} == {((None, "192.0.2.1"),)}
        stats = resolver.stats()
        assert stats.hits + stats.misses == 64


@pytest.mark.parametrize("server", ["a name", "ns.test", "192.0.2.1:0", "192.0.2.1:x"])
def test_a_server_that_is_none_is_refused_at_once(server: str) -> None:
    with pytest.raises(ConfigError):
        LateResolver([server])


def test_it_loads_nothing_before_that() -> None:
    check = "import sys, lumilter.daemon.worker; assert 'dns' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], env=ENVIRONMENT, check=True)
