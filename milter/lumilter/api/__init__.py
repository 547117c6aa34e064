"""What scripts can call. Importing this package fills the registry: every module in it is imported.

The law: one file per Momentum package, nothing in it but declarations with their bodies; a body that grows belongs into
an adapter or the session.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
