"""`python -m bench [NAME...]`: run the measurements of this directory and print a table.

The law: a measurement is a module with `measure()`, which yields (what, value, unit). Figures are for comparing two
states of the code on one quiet machine; nothing passes or fails by them.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main(names: list[str]) -> None:
    for name in names or sorted(file.stem for file in Path(__file__).parent.glob("[a-z]*.py")):
        print(name)
        for what, value, unit in importlib.import_module(f"bench.{name}").measure():
            print(f"  {what:<44} {value:>12,.1f} {unit}")


if __name__ == "__main__":
    main(sys.argv[1:])
