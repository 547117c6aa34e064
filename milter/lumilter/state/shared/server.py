"""Where Redis is, and how it is reached.

The law: redis-py repeats nothing by itself, as it would send an addition twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Server:
    """Where Redis is. path: of a Unix socket, else host and port. Times are seconds. cluster: it is one node of one."""

    host: str = "127.0.0.1"
    port: int = 6379
    path: str = ""
    database: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    ca: str = ""
    certificate: str = ""
    key: str = ""
    cluster: bool = False
    timeout: float = 0.5
    prefix: str = "lumilter"

    def __str__(self) -> str:
        return f"Redis at {self.path or f'{self.host}:{self.port}'}"


def connected(server: Server, known: Iterable[Address] = ()) -> Any:
    """A client of redis-py. known: nodes of a cluster that were seen before, for when the server is down.

    Of a cluster it raises what redis-py does if no node answers; else nothing is sent yet.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options: dict[str, Any] = {
        "username": server.user or None,
        "password": server.password or None,
        "socket_timeout": server.timeout,
        "socket_connect_timeout": server.timeout,
        "retry": Retry(NoBackoff(), 0),
        "client_name": "lumilter",
        "protocol": 2,
    }
    if server.tls:
        options |= {
            "ssl": True,
            "ssl_check_hostname": True,
            "ssl_ca_certs": server.ca or None,
            "ssl_certfile": server.certificate or None,
            "ssl_keyfile": server.key or None,
        }
    if server.cluster:
        return _cluster(server, known, options)
    if server.path:
        return redis.Redis(unix_socket_path=server.path, db=server.database, **options)
    return redis.Redis(host=server.host, port=server.port, db=server.database, **options)


def _cluster(server: Server, known: Iterable[Address], options: dict[str, Any]) -> Any:
    import redis.cluster

    untyped: Any = redis.cluster
    nodes = dict.fromkeys([(server.host, server.port), *known])
    client = untyped.RedisCluster(startup_nodes=[untyped.ClusterNode(*each) for each in nodes], **options)
    client.cluster_error_retry_attempts = 0  # redis-py 5 looks at this; later ones at "retry"
    return client


def nodes(client: Any) -> list[Address]:
    """The nodes that a cluster's client knows; none of another client."""
    get_nodes = getattr(client, "get_nodes", list)
    return [(node.host, node.port) for node in get_nodes()]
