"""What scripts can call. Importing this package fills the registry.

The law: one file per Momentum package, nothing in it but declarations with their bodies; a body that grows belongs into
an adapter or the session. Every file here is imported, in the order of their names; there is no list of them.
"""

import importlib
import pkgutil

for _found in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_found.name}")
