"""The console commands of Momentum's inbound_audit module, and its `counter`.

The law: a command is a list of words and answers with lines; what is wrong with it is a CommandError. It may wait for
the shared store, so it is for a thread that may wait.

Source: manual, module inbound_audit, console command counter.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lumilter.errors import LumilterError
from lumilter.state.contract import Series, SeriesStore
from lumilter.state.journal import file_name, key_text
from lumilter.state.keys import Network, network, packed, shortened, shown
from lumilter.state.places import COUNTERS
from lumilter.state.state import State

INBOUND_AUDIT = """\
show ip <ip[/mask]>
    All that is counted of an address or a network
show all
    All that is counted of every address, as lines of CSV
count_cidr <ip[/mask]> <series> <parameters> <period_start> <period_end>
    A series' sum for a network
add <series> <parameters> <ip> <increment>
subtract <series> <parameters> <ip> <decrement>
    Change what a series counts of an address
delete_ip <ip> <series> <parameters>
    Take an address out of a series
load <series> [<filename>]
    Add lines of "key,count" to a series' running window
help
Parameters are "interval,windows" as the series was defined; connections, receptions and rejections are series too."""

COUNTER = """\
list
add <path> <delta>
increment <path>
reset <path>
unlink <path>
help"""


class CommandError(LumilterError):
    """A command that can't be done: str() is what is wrong with it."""


def inbound_audit(state: State, words: Sequence[str]) -> list[str]:
    """Lines of an answer. Raises LumilterError."""
    match list(words):
        case ["show", "ip", address]:
            return _show(state, _network(address))
        case ["show", "all"]:
            return _show_all(state)
        case ["count_cidr", cidr, name, parameters, first, last]:
            series, store = _series(state, name, parameters, packed(cidr.partition("/")[0]))
            found = _item(series, cidr)
            return [str(store.count(series, found.address, found.bits, _number(first), _number(last)))]
        case ["add" | "subtract" as verb, name, parameters, address, amount]:
            series, store = _series(state, name, parameters, packed(address))
            store.add(series, _item(series, address).address, _number(amount) * (1 if verb == "add" else -1))
            return ["done"]
        case ["delete_ip", address, name, parameters]:
            series, store = _series(state, name, parameters, packed(address))
            store.remove(series, _item(series, address).address)
            return ["done"]
        case ["load", name, *file] if len(file) < 2:
            return _load(state, name, Path(file[0]) if file else Path(state.places.rules.log_dir) / file_name(name))
        case [] | ["help"]:
            return INBOUND_AUDIT.splitlines()
    raise CommandError(f"no such command, or not so many words: {' '.join(words)}\n{INBOUND_AUDIT}")


def counter(state: State, words: Sequence[str]) -> list[str]:
    """Lines of an answer. Raises LumilterError."""
    places = state.places
    store = (places.shared if COUNTERS in places.rules.shared and places.shared else places.machine).counters
    match list(words):
        case ["list"]:
            lines = ["VALUE       RESET_TIME       SEMANTICS COUNTER"]
            for each in store.all():
                when = time.strftime("%Y-%m-%d@%H:%M:%S", time.localtime(each.since))
                kind = "relaxed" if each.relaxed else "strict"
                lines.append(f"{each.value:<8} {when:<19}  {kind:<8} {each.path.decode('utf-8', 'surrogateescape')}")
            return [*lines, f"{len(lines) - 1} counters listed."]
        case ["add", path, delta]:
            return [str(store.add(_path(path), _number(delta)))]
        case ["increment", path]:
            return [str(store.add(_path(path), 1))]
        case ["reset", path]:
            store.reset(_path(path))
            return ["done"]
        case ["unlink", path]:
            if not store.unlink(_path(path)):
                raise CommandError(f"there is no counter {path}")
            return ["done"]
        case [] | ["help"]:
            return COUNTER.splitlines()
    raise CommandError(f"no such command, or not so many words: {' '.join(words)}\n{COUNTER}")


def _show(state: State, found: Network) -> list[str]:
    store = state.places.machine.series
    lines = []
    for event, _, series in state.presence.monitors(found.address):
        for ago in range(series.windows):
            count = store.count(series, found.address, found.bits, ago, ago)
            lines.append(f"{event.capitalize()} {series.interval}/{ago}: {count}")
    return lines


def _show_all(state: State) -> list[str]:
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    for zero in (bytes(4), bytes(16)):
        for event, _, series in state.presence.monitors(zero):
            for item, counts in state.places.machine.series.items(series, zero, 0):
                if any(counts):
                    lines.writerow([shown(item), event, series.interval, *counts])
    return out.getvalue().splitlines()


def _load(state: State, name: str, file: Path) -> list[str]:
    defined = state.windows.defined.get(name)
    if defined is None:
        raise CommandError(f'there is no series "{name}"')
    store = _store(state, defined.shared)
    loaded = 0
    try:
        with file.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
            for key, count in csv.reader(lines):
                store.add(defined.series, _item(defined.series, key).address, _number(count))
                loaded += 1
    except (OSError, ValueError, csv.Error) as error:
        raise CommandError(f"line {loaded + 1} of {file}: {error}") from None
    return [f"{loaded} loaded"]


def _series(state: State, name: str, parameters: str, address: bytes | None) -> tuple[Series, SeriesStore]:
    known: dict[tuple[str, str], tuple[Series, bool]] = {}
    for event, _, series in state.presence.monitors(address or bytes(4)):
        known[event, f"{series.interval},{series.windows - 1}"] = series, False
    for defined in state.windows.defined.values():
        series = defined.series
        known[series.name, f"{series.interval},{series.windows}"] = series, defined.shared
    found = known.get((name, "".join(parameters.split())))
    if found is None:
        names = "; ".join(f"{name} {parameters}" for name, parameters in sorted(known)) or "none"
        raise CommandError(f'there is no series "{name}" of "{parameters}"; there are: {names}')
    return found[0], _store(state, found[1])


def _store(state: State, shared: bool) -> SeriesStore:
    return (state.places.shared if shared and state.places.shared else state.places.machine).series


def _item(series: Series, text: str) -> Network:
    if series.kind == "string":
        return Network(_key(text), 0)
    found = _network(text)
    if len(found.address) != {"cidr": 4, "cidr_ipv6": 16}[series.kind]:
        raise CommandError(f'the series "{series.name}" does not count {key_text(series, found.address)}')
    return found


def _network(text: str) -> Network:
    return network(text, None)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise CommandError(f'"{text}" is no whole number') from None


def _path(text: str) -> bytes:
    if not text.startswith("/"):
        raise CommandError(f'"{text}" is no path of a counter: it begins with a slash')
    return _key(text)


def _key(text: str) -> bytes:
    try:
        return shortened(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise CommandError(f"{text!r} is no text") from None


Command = Callable[[State, Sequence[str]], list[str]]
COMMANDS: dict[str, Command] = {"inbound_audit": inbound_audit, "counter": counter}
"""By the first word of a line."""
