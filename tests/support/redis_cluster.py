"""A Redis Cluster of one's own: three nodes on the loopback address, and as many replicas of the first as wanted.

The law: as support.redis_server; nodes are made, killed and started one by one. They do not call each other dead just
because the machine is slow: who takes a node's place is said, not found out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from lumilter.state.shared import Server
from support.ports import free_port
from support.redis_server import REDIS, RedisServer

_SLOTS = 16384
_NODES = 3


class RedisCluster:
    """A context manager. nodes: those that have slots, in the order of their slots; then the replicas."""

    def __init__(self, directory: Path, replicas: int = 0, program: str = REDIS) -> None:
        self._stack = ExitStack()
        self.nodes = [
            RedisServer(
                directory / f"node{number}", "--cluster-enabled", "yes", "--cluster-port", str(free_port()),
                "--cluster-node-timeout", "60000", "--cluster-allow-replica-migration", "no", program=program,
            )
            for number in range(_NODES + replicas)
        ]  # fmt: skip

    def __enter__(self) -> RedisCluster:
        for node in self.nodes:
            self._stack.enter_context(node)
        first, *others = self.nodes
        for number in range(_NODES):
            begin, end = (_SLOTS * edge // _NODES for edge in (number, number + 1))
            self._tell(self.nodes[number], "ADDSLOTSRANGE", begin, end - 1)
            self._tell(self.nodes[number], "SET-CONFIG-EPOCH", number + 1)
        for node in others:
            bus = next(b for a, b in zip(node.options, node.options[1:], strict=False) if a == "--cluster-port")
            self._tell(first, "MEET", "127.0.0.1", node.port, bus)
        self._until(lambda: all(len(self._shape(node)) == len(self.nodes) for node in self.nodes))
        for node in self.nodes[_NODES:]:
            self._tell(node, "REPLICATE", self._tell(first, "MYID").decode())
        self.settled()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.close()

    def server(self, **changes: Any) -> Server:
        """How to reach it."""
        return self.nodes[0].server(cluster=True, **changes)

    def empty(self) -> None:
        """Forget everything."""
        for node in self.nodes[:_NODES]:
            node.empty()

    def keys(self) -> list[set[bytes]]:
        """What each of those nodes has."""
        found = []
        for node in self.nodes[:_NODES]:
            with node.client() as client:
                found.append(set(client.keys()))
        return found

    def settled(self, *nodes: RedisServer) -> None:
        """Wait until these nodes, or all, agree that every slot is served, and every replica has its copy."""
        some = nodes or tuple(self.nodes)
        self._until(lambda: all(b"cluster_state:ok" in _raw(self._tell(node, "INFO")) for node in some))
        self._until(lambda: all(self._linked(node) for node in some))

    def owner(self, slot: int) -> int:
        """The number of the node that had a slot at first."""
        return next(number for number in range(_NODES) if slot < _SLOTS * (number + 1) // _NODES)

    def move(self, slot: int, to: int, most: int | None = None) -> None:
        """Have another node serve a slot, with all that is in it; most: so many of its keys, and then wait."""
        source, target = self.nodes[self.owner(slot)], self.nodes[to]
        ids = [self._tell(node, "MYID").decode() for node in (source, target)]
        self._tell(target, "SETSLOT", slot, "IMPORTING", ids[0])
        self._tell(source, "SETSLOT", slot, "MIGRATING", ids[1])
        with source.client() as client:
            for key in sorted(self._tell(source, "GETKEYSINSLOT", slot, 1000))[:most]:
                client.migrate("127.0.0.1", target.port, key, 0, 5000)
        if most is None:
            for node in (target, source):
                self._tell(node, "SETSLOT", slot, "NODE", ids[1])

    def take_over(self, replica: RedisServer) -> None:
        """Have a replica take the place of its node, which may be down."""
        self._tell(replica, "FAILOVER", "TAKEOVER")

    def _tell(self, node: RedisServer, *words: str | int) -> Any:
        with node.client() as client:
            return client.execute_command("CLUSTER", *words)

    def _shape(self, node: RedisServer) -> Any:
        with node.client() as client:
            return client.cluster("NODES")

    def _linked(self, node: RedisServer) -> bool:
        with node.client() as client:
            told = client.info("replication")
        return told["role"] == "master" or told["master_link_status"] == "up"

    def _until(self, condition: Callable[[], bool]) -> None:
        limit = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < limit, [self._shape(node) for node in self.nodes]
            time.sleep(0.05)


def _raw(answer: object) -> bytes:
    return answer if isinstance(answer, bytes) else repr(answer).encode()


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """One for the session, whose nodes live as long."""
    with RedisCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster
