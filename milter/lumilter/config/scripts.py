"""Which scripts a configuration runs, and the files behind them.

The law: TOML's [[script]] tables first, then Momentum's stanzas, each in their order; after this every script's file
exists and no two have one name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from lumilter.config.bind import Source
from lumilter.config.momentum import Scriptlets, ThreadPool
from lumilter.config.schema import Config
from lumilter.config.sections.running import Pool
from lumilter.config.sections.scripts import Script
from lumilter.errors import ConfigError

_MOMENTUMS_OWN = re.compile(r"msys[./]")


def _is_file(path: str | Path) -> bool:
    """Whether there is a file that we may see. pathlib raises for a directory that is closed to us, or a long name."""
    try:
        return Path(path).is_file()
    except OSError:
        return False


def find_module(name: str, path: Iterable[str]) -> str | None:
    """The file of a module, named with dots or slashes ("mail.policy", "mail/policy"); None if there is none.

    path: templates with "?" for the module's name, as in [lua] path.
    """
    return next((file for file in _candidates(name, path) if _is_file(file)), None)


def with_scripts(config: Config, source: Source) -> Config:
    """The configuration with its scripts found. Raises ConfigError."""
    scripts: dict[str, Script] = {}
    for index, script in enumerate(config.scripts):
        line = source.lines.get(("script", index, "source"), 0)
        _add(scripts, script, (source.file, line), config.lua.path)
    notes: list[str] = []
    if config.momentum.config:
        file = Path(config.momentum.config)
        if not _is_file(file):
            raise source.error(("momentum", "config"), f"[momentum] config: there is no file {file}")
        # Momentum looks for sources in the directories of its configuration.
        config = replace(config, lua=replace(config.lua, path=_unique((*config.lua.path, str(file.parent / "?.lua")))))
        found = Scriptlets.read(file)
        notes = found.notes
        config = replace(config, pools=_pools(config.pools, found.pools))
        monitors = tuple(dict.fromkeys((*config.inbound_audit.monitors, *found.monitors)))
        config = replace(config, inbound_audit=replace(config.inbound_audit, monitors=monitors))
        own = {each.name for each in config.datasources}
        notes += [
            f"{file}: the [[datasource]] {each.name} takes the place of this file's"
            for each in found.datasources
            if each.name in own
        ]
        config = replace(
            config, datasources=(*config.datasources, *(each for each in found.datasources if each.name not in own))
        )
        for each in found.scripts:
            if _MOMENTUMS_OWN.match(each.source) and not find_module(each.source, config.lua.path):
                notes.append(f"{each.file}:{each.line}: {each.source} is Momentum's own and not needed here")
                continue
            _add(scripts, Script(each.name, each.source), (each.file, each.line), config.lua.path)
    return replace(config, scripts=tuple(scripts.values()), notes=tuple(notes))


def from_scripts(files: Iterable[str | Path]) -> Config:
    """The defaults with these script files; modules are looked for beside them first. Raises ConfigError."""
    scripts = {}
    for file in map(Path, files):
        if not _is_file(file):
            raise ConfigError("there is no such script", str(file))
        scripts[str(file)] = Script(name=file.stem, source=str(file), file=str(file.absolute()))
    config = Config(scripts=tuple(scripts.values()))
    beside = [str(Path(script.file).parent / "?.lua") for script in config.scripts]
    return replace(config, lua=replace(config.lua, path=_unique((*beside, *config.lua.path))))


def _add(scripts: dict[str, Script], script: Script, at: tuple[str, int], path: tuple[str, ...]) -> None:
    if script.name in scripts:
        raise ConfigError(f'there are two scripts "{script.name}", see {scripts[script.name].declared_at}', *at)
    if script.source.startswith("/") or script.source.endswith(".lua"):
        tried = [str(Path(at[0]).absolute().parent / script.source)]
    else:
        tried = _candidates(script.source, path)
    file = next((file for file in tried if _is_file(file)), None)
    if file is None:
        raise ConfigError(f'script "{script.name}": "{script.source}" was not found; tried {", ".join(tried)}', *at)
    scripts[script.name] = replace(script, file=file, declared_at=f"{at[0]}:{at[1]}")


def _candidates(name: str, path: Iterable[str]) -> list[str]:
    return [template.replace("?", name.replace(".", "/")) for template in path]


def _pools(own: tuple[Pool, ...], momentums: Iterable[ThreadPool]) -> tuple[Pool, ...]:
    """TOML's pools, then those of Momentum's stanzas that have other names; without a backlog these have no limit."""
    known = {pool.name.lower(): pool for pool in own}
    for each in momentums:
        given = {} if each.concurrency is None else {"concurrency": each.concurrency}
        known.setdefault(each.name.lower(), Pool(each.name, backlog=each.backlog or 0, **given))
    return tuple(known.values())


def _unique(path: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path))
