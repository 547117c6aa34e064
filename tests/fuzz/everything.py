"""The one list of targets, by name, which pytest and `python -m fuzz` share.

The law: a target is found because it is in a module of `targets`; nobody has to add it here.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from fuzz import hostile, hostile_signatures
from fuzz.growth import Growth
from fuzz.target import Target

_MODULES = [
    importlib.import_module(f"fuzz.targets.{found.name}")
    for found in pkgutil.iter_modules([str(Path(__file__).parent / "targets")])
]
TARGETS: dict[str, Target] = {
    each.name: each for module in _MODULES for each in vars(module).values() if isinstance(each, Target)
}
GROWTHS: dict[str, Growth] = {each.name: each for each in (*hostile.GROWTHS, *hostile_signatures.GROWTHS)}
