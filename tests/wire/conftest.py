"""Both wires in a process of their own, over a unix and an inet socket.

A test that uses `start` or `wire` runs over each of them, unless it is marked for one: @pytest.mark.parametrize("wire",
["python"]).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.milter_client import MilterClient
from support.ports import free_port
from support.wire_server import Address, Plan, WireServer


@pytest.fixture
def unix_address(tmp_path: Path) -> Address:
    return Address("unix", path=str(tmp_path / "milter.sock"))


@pytest.fixture(params=["unix", "inet"])
def address(request: pytest.FixtureRequest, unix_address: Address) -> Address:
    return unix_address if request.param == "unix" else Address("inet", port=free_port())


@pytest.fixture(params=["libmilter", "python"])
def wire(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def start(unix_address: Address, wire: str) -> Iterator[Callable[..., WireServer]]:
    """start(Plan(...), address=a unix socket): a running wire; stopped after the test."""
    with ExitStack() as stack:

        def run(plan: Plan | None = None, address: Address = unix_address) -> WireServer:
            return stack.enter_context(WireServer(address, replace(plan or Plan(), wire=wire)))

        yield run


@pytest.fixture
def client() -> Iterator[Callable[..., MilterClient]]:
    """client(server, **offer): a negotiated connection; closed after the test."""
    with ExitStack() as stack:

        def connect(server: WireServer, **offer: int) -> MilterClient:
            one = stack.enter_context(MilterClient(server.address.target, **offer))
            one.negotiate()
            return one

        yield connect
