"""What a fuzzer is here: inputs, a check, and the law that the check holds them to.

The law: a target's docstring is the statement that must hold; a check raises where it does not. Nothing here knows what
is fuzzed; the list of all targets is `targets.TARGETS`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

Check = Callable[..., None]


@contextmanager
def nothing() -> Iterator[None]:
    """What most targets need."""
    yield None


@dataclass(frozen=True)
class Target:
    """inputs: one strategy for each of the check's arguments. examples: how many CI tries.

    using: what the check is given before the inputs, made once for all examples; nothing gives nothing.
    """

    name: str
    inputs: tuple[st.SearchStrategy[Any], ...]
    check: Check
    examples: int
    using: Callable[[], AbstractContextManager[Any]]

    @property
    def law(self) -> str:
        return inspect.cleandoc(self.check.__doc__ or "")

    def run(self, examples: int, start: int | None = None) -> None:
        """Try that many examples. start: the seed; None takes the same examples every time."""
        with self.using() as thing:
            before = () if self.using is nothing else (thing,)

            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                derandomize=start is None,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            )
            @given(st.tuples(*self.inputs))
            def example(values: tuple[Any, ...]) -> None:
                self.check(*before, *values)

            if start is not None:
                example = seed(start)(example)
            example()


def target(
    *inputs: st.SearchStrategy[Any],
    examples: int = 200,
    using: Callable[[], AbstractContextManager[Any]] = nothing,
) -> Callable[[Check], Target]:
    """Make a target of a check: `module.function` is its name, its docstring the law."""

    def make(check: Check) -> Target:
        name = f"{check.__module__.rpartition('.')[2]}.{check.__name__}"
        return Target(name.replace("_", "-"), inputs, check, examples, using)

    return make
