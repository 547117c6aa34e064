"""Iterators: what a function declared with `iterator` gives a script to call, until it gives nil.

The law: declarations only.
"""

from __future__ import annotations

from typing import Any

from lumilter.calls import Items
from lumilter.registry import internal, lua_class

lua_class("iterator", Items)


@internal("next_item", blocking=True)
def next_item(items: Items) -> Any:
    """The next item; None at the end."""
    return items.step()
