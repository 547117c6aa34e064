"""Operating from scripts: console commands of their own, their arguments, and the configuration.

The law: declarations only. Source: manual, msys.registerControl, msys.config, struct command_construct.
"""

from __future__ import annotations

import getopt as posix
from typing import Any

from lumilter.calls import Here, LuaFunction, ZeroBased
from lumilter.errors import LookupFailed, LumilterError
from lumilter.host.controls import CommandConstruct
from lumilter.registry import api, field, lua_class

lua_class("command_construct", CommandConstruct)


@api("msys.registerControl", package="msys", phases="init", also="load")
def register_control(prefix: str, closure: LuaFunction, *, here: Here) -> None:
    """Let the console command `prefix` (`lumilter ctl prefix ...`) call the closure with a command_construct.

    What it prints is the command's output. It runs in one worker: the one whose timers fire.
    """
    here.host.controls.register(prefix, closure, here.module)


@field("command_construct.argc", package="msys.core")
def argc(cc: CommandConstruct) -> int:
    """How many words the command has, its own name included."""
    return len(cc.words)


@field("command_construct.argv", package="msys.core")
def argv(cc: CommandConstruct) -> ZeroBased:
    """The words of the command: argv[0] is its name. Beyond the last there is nil, where Momentum crashes."""
    return ZeroBased(cc.words)


@field("command_construct.command", package="msys.core")
def command(cc: CommandConstruct) -> str:
    """The command as one text."""
    return " ".join(cc.words)


@api("msys.getopt.parse", package="msys.getopt", extension=True)
def parse(
    cc: CommandConstruct | list[str], shortopts: str, longopts: list[str] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Options of a command as getopt_long(3) reads them: a table of them, and a list of the other words; nil and why.

    cc: a command_construct, or its argv. shortopts: "ab:" is -a, and -b with a value. longopts: {"all", "domain:"}.
    An option without a value is true. The manual points to Momentum's own msys/getopt.lua, which is not published.
    """
    words = (cc.words if isinstance(cc, CommandConstruct) else cc)[1:]
    longer = [name.removesuffix(":") + "=" * name.endswith(":") for name in longopts or ()]
    try:
        options, rest = posix.gnu_getopt(words, shortopts, longer)
    except posix.GetoptError as error:
        raise LookupFailed(error.msg) from None
    return {name.lstrip("-"): value or not _takes(name, shortopts, longer) or "" for name, value in options}, rest


def _takes(option: str, shortopts: str, longopts: list[str]) -> bool:
    """Whether an option has a value."""
    if option.startswith("--"):
        return f"{option[2:]}=" in longopts
    return f"{option[1:]}:" in shortopts


@api("msys.config", package="msys")
def config(action: str, *parameters: str, here: Here) -> tuple[Any, str]:
    """Read or change the configuration, as `lumilter ctl config` does: the value of an option, and the console's text.

    "get" (or "eval"), scopes and a name: msys.config("get", "lua", "deadline"), ("get", "pool", "IO", "concurrency").
    nil where there is no such option: Momentum's own are not here. "set", the same and a value: for every worker, and
    until the next reload; see docs/operating.md for what can be set.
    """
    settings = here.services.settings
    found: tuple[Any, str]
    if action in ("get", "eval"):
        found = settings.get(parameters)
    elif action == "set":
        found = settings.set(parameters)
    else:
        raise LumilterError(f'"{action}" is not an action here: expected "get", "eval" or "set"')
    return found
