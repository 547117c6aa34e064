"""Many commands in one round trip, to one server or to the nodes of a cluster.

The law: what may have been done is not sent again. Of what a node refused, because it does not have the key's slot
(MOVED, ASK), that is known. redis-py's own pipeline for clusters makes no difference between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Command = Sequence[Any]
"""Its words; the fourth is its first key: EVALSHA, the script, how many keys, the keys."""
_KEY = 3


def sent(client: Any, commands: Sequence[Command]) -> list[Any]:
    """The answer to each; an exception in its place is the server's refusal or, by `is_away`, that it got none."""
    from redis.cluster import RedisCluster

    if isinstance(client, RedisCluster):
        return _to_nodes(client, commands)
    return _together(client, commands)


def is_away(answer: object) -> bool:
    """Whether an answer says that the server, or who has taken its place, has to be looked for."""
    from redis.exceptions import ClusterDownError, ReadOnlyError, ResponseError

    # A server that only reads was one that writes, and gave its place to another.
    refused = isinstance(answer, ResponseError) and not isinstance(answer, ReadOnlyError | ClusterDownError)
    return isinstance(answer, Exception) and not refused


def _together(client: Any, commands: Sequence[Command]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    try:
        answers: list[Any] = pipeline.execute(raise_on_error=False)
    except Exception as error:  # redis-py raises of its own and the socket's
        return [error] * len(commands)
    return answers


def _to_nodes(client: Any, commands: Sequence[Command]) -> list[Any]:
    """One node after the other; when one is away, those that would come next are left out."""
    from redis.exceptions import AskError

    answers: list[Any] = [None] * len(commands)
    places: dict[str, tuple[Any, list[int]]] = {}
    for at, command in enumerate(commands):
        try:
            node = client.get_node_from_key(command[_KEY])
            places.setdefault(node.name, (node, []))[1].append(at)
        except Exception as error:  # nobody has the slot
            answers[at] = error
    lost: Any = None
    for node, some in places.values():
        connection = client.get_redis_connection(node)
        got = [lost] * len(some) if lost else _together(connection, [commands[at] for at in some])
        lost = next(filter(is_away, got), None)
        for at, answer in zip(some, got, strict=True):
            answers[at] = answer
    for at, answer in enumerate(answers):
        if isinstance(answer, AskError):  # MovedError is one
            answers[at] = lost or _where_it_is(client, commands[at], answer)
            lost = lost or next(filter(is_away, [answers[at]]), None)
    return answers


def _where_it_is(client: Any, command: Command, refusal: Any) -> Any:
    """The answer of the node that has the key now, or to which it is on its way.

    Of the latter, redis-py would ask both ends in turn, and sleep in between, where neither has all of the keys.
    """
    from redis.exceptions import MovedError

    try:
        target = None if isinstance(refusal, MovedError) else client.get_node(refusal.host, refusal.port)
        if target is None:
            return client.execute_command(*command)
        return _together(client.get_redis_connection(target), [("ASKING",), command])[1]
    except Exception as error:
        return error
