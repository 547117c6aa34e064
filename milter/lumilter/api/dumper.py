"""msys.dumper: any value as text.

The law: declarations only.
"""

from __future__ import annotations

from lumilter.calls import LuaValue
from lumilter.registry import api


@api("msys.dumper.Dumper", package="msys.dumper", lua="dumper")
def dumper(res: LuaValue) -> None:
    """A readable text of any value: a table has a line for each field, in a fixed order; cycles are named."""
