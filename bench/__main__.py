"""`python -m bench [--write] [NAME...]`: run the measurements of this directory and print a table.

The law: a measurement is a module with `measure()`, which yields (what, value, unit). With --write, its `write()`, if
it has one, then keeps the figures in this directory. Figures are for comparing two states of the code, or several
programs, on one quiet machine; nothing passes or fails by them.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path


def main(names: Sequence[str], keep: bool) -> None:
    """names: of modules here; none is all of them."""
    for name in names or sorted(file.stem for file in Path(__file__).parent.glob("[a-z]*.py")):
        module = importlib.import_module(f"bench.{name}")
        print(name)
        for what, value, unit in module.measure():
            print(f"  {what:<56} {value:>12,.1f} {unit}")
        if keep and hasattr(module, "write"):
            module.write()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the figures of those that have a place for them")
    parser.add_argument("name", nargs="*", help="a measurement; none is all of them")
    options = parser.parse_args()
    main(options.name, options.write)
