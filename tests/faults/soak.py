"""A long run, by hand: `python tests/faults/soak.py [MESSAGES]`. Memory, descriptors and objects have to stay flat.

The law: a real daemon with two workers, a policy that uses what policies use, a name server, miltload for the messages;
every 10 s a line. Exit status 1 where a reply was wrong or something grew after the first quarter.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "milter"), str(ROOT / "tests")]

from support.daemon import COMMAND, ENVIRONMENT, Daemon, write  # noqa: E402
from support.dns_server import DnsServer  # noqa: E402

POLICY = """
function mod:validate_connect(ac, vctx)
  vctx:set(msys.core.VCTX_CONN, "seen", tostring(ac.remote_addr))
end
function mod:validate_mailfrom(str, ac, vctx)
  local found = msys.dnsLookup("known.test", "txt")
  if found and found[1] == "reject" then vctx:set_code(550, "5.7.1 no") end
end
function mod:validate_rcptto(msg, str, ac, vctx)
  if msys.pcre.match(tostring(str), "^(?<local>[^@]+)@") then vctx:set(msys.core.VCTX_MESS, "local", "yes") end
end
function mod:validate_data(msg, ac, vctx)
  local subject = msg:header("Subject")[1] or ""
  if subject:find("^refuse") then vctx:set_code(554, "5.7.1 refused") return msys.core.VALIDATE_DONE end
  self.count = (self.count or 0) + 1
  msg:header("X-Policy", string.format("%s %d", vctx:get(msys.core.VCTX_CONN, "seen"), self.count))
end
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  msg:context_set(msys.core.ECMESS_CTX_MESS, "size", tostring(msg:get_message_size()))
end
"""
FLAT = {"rss": 3e6, "python_blocks": 3000, "lua_memory": 2e6}
"""How much more than after the first quarter is still flat."""


def main(messages: int) -> int:
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as name,
        DnsServer({("known.test", "TXT"): ['known.test. 60 IN TXT "ok"']}) as dns,
    ):
        directory = Path(name)
        program = directory / "miltload"
        subprocess.run(["gcc", "-O2", "-std=gnu11", "-o", program, *sorted((ROOT / "bench").glob("*.c"))], check=True)
        extra = f'workers = 2\n[dns]\nservers = ["{dns.address}"]\n'
        config = write(directory / "etc", directory / "m.sock", [POLICY], extra)
        with Daemon(config, directory / "log") as daemon:
            return soak(daemon, config, [program, f"unix:{directory}/m.sock"], messages)


def soak(daemon: Daemon, config: Path, target: list[object], messages: int) -> int:
    program, socket = target
    kinds = (
        ("-s", "hello there", "-x", "continue"),
        ("-s", "refuse this", "-x", "reject"),
        ("-k", 20, "-x", "continue"),
    )
    loads, base, begun = [], {}, time.monotonic()
    for number, options in enumerate(kinds):
        share = str(messages - 2 * (messages // 3) if number == 0 else messages // 3)
        command = [program, "-c", "4", "-n", share, *map(str, options), socket]
        loads.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    wrong = False
    while any(load.poll() is None for load in loads):
        time.sleep(10)
        status = state(config)
        done = status["totals"]["messages"]
        now = {key: max(worker[key] for worker in status["workers"]) for key in FLAT}
        now["descriptors"] = max(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in daemon.workers)
        print(
            f"{time.monotonic() - begun:6.0f} s {done:8.0f} messages", *(f"{k}={v}" for k, v in now.items()), flush=True
        )
        if not base and done > messages / 4:
            base = now
        grown = [key for key, more in FLAT.items() if base and now[key] > base[key] + more]
        if grown:
            print("grown:", *grown)
            wrong = True
    for load in loads:
        counts = json.loads(load.communicate()[0])
        print(
            {key: counts[key] for key in ("messages", "messages_per_second", "verdicts", "wrong", "errors", "resets")}
        )
        wrong |= load.returncode != 0
    return int(wrong)


def state(config: Path) -> dict[str, object]:
    ctl = [*COMMAND[:3], "ctl", "-c", str(config), "status", "--json"]
    return json.loads(subprocess.run(ctl, env=ENVIRONMENT, capture_output=True, check=True).stdout)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000))
