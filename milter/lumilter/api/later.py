"""What has to wait for a shared store becomes a Job, everything else is there already.

The law: nothing but that.
"""

from __future__ import annotations

from typing import TypeVar

from lumilter.calls import Here, Job
from lumilter.state.places import Later

T = TypeVar("T")


def waited(result: Later[T] | T, here: Here) -> T | Job:
    """The result, or the wait for it. The script goes on in the turn after the one in which the wait has ended."""
    if not isinstance(result, Later):
        return result
    later: Later[T] = result
    return Job(lambda deadline: later.run(), "state", lambda value: later.finish(value, here.turn + 1))
