"""The Debian package: what is in it, and its life in a minimal Debian 12, from installation to purge.

The law: the package is built by scripts/build-deb and installed by apt, which finds what it depends on; nothing of this
checkout is inside. Both are made once for a run and shared by its processes.
"""

from __future__ import annotations

import fcntl
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lumilter import __version__

pytestmark = pytest.mark.xdist_group("packaging")  # one process: the package and its Debian are made once

ROOT = Path(__file__).parents[2]
SITE = "usr/lib/lumilter/lib/python3.11/site-packages"
LEFT = "find / -xdev -path /proc -prune -o -name '*lumilter*' -print"
LIBRARIES = """
import milter, lupa.luajit21, dns, dkim, idna, pyclamd, prometheus_client, spf, authres, lumilter.adapters.pcre_ffi
import sqlalchemy, httpx, lxml.etree, lmdb, redis, ldap3, pymysql, pyodbc, psycopg
assert psycopg.pq.__impl__ == "binary"
"""
CLIENT = """
import os, sys
from support.milter_client import MilterClient
root, gid = sys.argv[1], int(sys.argv[2])
os.chroot(root); os.chdir("/"); os.setgroups([]); os.setgid(gid); os.setuid(12345)
try:
    with MilterClient("/run/lumilter/milter.sock") as mta:
        mta.negotiate(); mta.connect(); mta.helo()
        print(mta.message().kind)
except OSError as error:
    print(error.strerror)
"""

# What an administrator does, in a machine that systemd runs.
BOOTED = r"""#!/bin/sh
say() { echo "$@" >> /result/said; }
state() { systemctl is-active lumilter; }
negotiates() { # as GROUP
    setpriv --reuid 12345 --regid "$1" --clear-groups python3 -c '
import socket, struct
with socket.socket(socket.AF_UNIX) as mta:
    mta.settimeout(20)
    try:
        mta.connect("/run/lumilter/milter.sock")
        mta.sendall(struct.pack("!IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF))
        print("negotiated" if mta.recv(5)[4:] == b"O" else "no")
    except OSError as error:
        print(error.strerror)'
}
say "enabled $(systemctl is-enabled lumilter)"
say "start $(systemctl start lumilter; echo $?) $(state)"
[ "$(state)" = active ] || { journalctl -u lumilter > /result/journal; say "end early"; systemctl poweroff; exit; }
say "postfix $(negotiates postfix)"
say "nogroup $(negotiates nogroup)"
pid=$(systemctl show -p MainPID --value lumilter)
say "seccomp $(sed -n 's/^Seccomp:\t//p' /proc/$pid/status)"
say "groups $(sed -n 's/^Groups:\t//p' /proc/$pid/status | wc -w)"
say "health $(runuser -u lumilter -- lumilter ctl health)"
say "reload $(systemctl reload lumilter; echo $?)"
echo 'this is no ( Lua' >> /etc/lumilter/policy.lua
say "broken $(systemctl reload lumilter; echo $?) $(state)"
sed -i '$d' /etc/lumilter/policy.lua
say "repaired $(systemctl reload lumilter; echo $?) $(state)"
kill -KILL $pid; sleep 4
say "killed $(state) $(systemctl show -p NRestarts --value lumilter) restart"
systemctl stop lumilter
say "stopped $(systemctl show -p Result --value lumilter)"
systemctl start lumilter.socket
say "socket $(state) $(stat -c '%a %U %G' /run/lumilter/milter.sock)"
say "postfix $(negotiates postfix) $(state)"
say "health $(runuser -u lumilter -- lumilter ctl health)"
say "reload $(systemctl reload lumilter; echo $?)"
say "restart $(systemctl restart lumilter; echo $?) $(negotiates postfix)"
systemctl stop lumilter.socket lumilter
sed -i '/^socket = /a socket_group = "postfix"' /etc/lumilter/lumilter.toml
say "group $(systemctl start lumilter; echo $?) $(stat -c '%a %U %G' /run/lumilter/milter.sock)"
echo '[policy' >> /etc/lumilter/lumilter.toml
systemctl restart lumilter; sleep 4
say "invalid $(systemctl show -p Result,NRestarts,ExecMainStatus --value lumilter | sort | xargs)"
journalctl -u lumilter > /result/journal
say end
"""


def run(*command: object, **more: object) -> str:
    """Standard output and error together of a command that has to succeed."""
    done = subprocess.run(list(map(str, command)), stdout=-1, stderr=subprocess.STDOUT, text=True, check=False, **more)
    assert done.returncode == 0, done.stdout
    return done.stdout


@contextmanager
def once(factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """A directory for the whole run; the first process to come makes what is in it while the others wait."""
    base = factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place


@pytest.fixture(scope="module")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built from this checkout."""
    with once(tmp_path_factory, "deb") as place:
        if not list(place.glob("*.deb")):
            run(ROOT / "scripts/build-deb", place)
        (file,) = place.glob("*.deb")
        return file


@pytest.fixture(scope="module")
def debian(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minimal Debian 12 in which apt has installed the package."""
    if os.geteuid() or not shutil.which("mmdebstrap"):
        pytest.skip("a Debian of its own takes root and the package mmdebstrap")
    try:
        urllib.request.urlopen(f"{mirror()}dists/bookworm/InRelease", timeout=30).close()
    except OSError as error:
        pytest.skip(f"{mirror()}: {error}")
    with once(tmp_path_factory, "debian") as place:
        root = place / "root"
        if not (place / "done").exists():
            install = (
                f'cp {deb} "$1"/tmp/ && chroot "$1" apt-get -qq -y --no-install-recommends install /tmp/{deb.name}'
            )
            command = ["mmdebstrap", "--quiet", "--variant=apt", f"--customize-hook={install}", "bookworm", root]
            run(*command, mirror(), env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
            (place / "done").touch()
        return root


@pytest.fixture
def root(debian: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it, for one test."""
    copy = tmp_path / "root"
    run("cp", "-a", "--reflink=auto", debian, copy)
    yield copy
    shutil.rmtree(copy)  # pytest would keep a quarter of a gigabyte


def mirror() -> str:
    """Where this machine gets Debian 12 from."""
    asked = ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"]
    known = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    found = re.search(r"^bookworm (\S+/debian/)$", known, re.MULTILINE)
    return found[1] if found else "http://deb.debian.org/debian/"


def inside(root: Path, *command: str, user: str = "root") -> list[str]:
    """A command line for inside of it, with /proc."""
    mount = 'mount -t proc proc "$0/proc" && user=$1 && shift && exec chroot --userspec="$user:$user" "$0" "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, str(root), user, *command]


def gid(root: Path, group: str) -> int:
    (found,) = re.findall(rf"^{group}:[^:]*:(\d+):", (root / "etc/group").read_text(), re.MULTILINE)
    return int(found)


def test_what_it_says_of_itself(deb: Path) -> None:
    fields = run("dpkg-deb", "--show", "--showformat", "${Version}|${Depends}|${Section}", deb).split("|")
    assert fields[0] == __version__
    assert {"python3 (>= 3.11)", "python3 (<< 3.12)", "libmilter1.0.1", "libodbc2"} <= set(fields[1].split(", "))
    assert "libpcre2-8-0" in fields[1]
    assert deb.name == f"lumilter_{__version__}_{run('dpkg', '--print-architecture').strip()}.deb"


def test_what_is_in_it(deb: Path) -> None:
    files = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], stdout=-1, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(files)) as tar:
        members = {member.name.removeprefix("./"): member for member in tar}
    units = ("service", "socket")
    assert {
        *("etc/lumilter/lumilter.toml", "etc/lumilter/policy.lua", "usr/bin/lumilter", f"{SITE}/lumilter/cli/serve.py"),
        *(f"lib/systemd/system/lumilter.{unit}" for unit in units),
        *("usr/lib/sysusers.d/lumilter.conf", "usr/lib/tmpfiles.d/lumilter.conf"),
        *("usr/share/man/man8/lumilter.8.gz", "usr/share/man/man5/lumilter.toml.5.gz"),
        *("usr/share/doc/lumilter/copyright", "usr/share/doc/lumilter/changelog.gz"),
        *(f"{SITE}/lumilter/lua/{file.relative_to(ROOT / 'lua')}" for file in (ROOT / "lua").rglob("*.lua")),
    } <= set(members)
    assert members["usr/bin/lumilter"].linkname == "../lib/lumilter/bin/lumilter"
    assert not [name for name in members if name.endswith((".pyc", "direct_url.json", "/RECORD"))]
    assert {(member.uid, member.gid) for member in members.values()} == {(0, 0)}
    assert {member.mode & 0o7022 for member in members.values() if not member.issym()} == {0}
    assert len({member.mtime for member in members.values()}) == 1
    conffiles = run("dpkg-deb", "--info", deb, "conffiles").split()
    assert conffiles == sorted(f"/{name}" for name in members if name.startswith("etc/") and members[name].isfile())


def test_lintian_has_nothing_to_say(deb: Path) -> None:
    if not shutil.which("lintian"):
        pytest.skip("the package lintian is not installed")
    assert run("lintian", "--allow-root", "--fail-on", "error,warning", deb) == ""


def test_from_installation_to_purge(root: Path, tmp_path: Path) -> None:
    status = run(*inside(root, "dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}", "lumilter"))
    assert status == "ii "
    assert oct((root / "etc/lumilter").stat().st_mode) == "0o40750"
    assert (root / "etc/lumilter").stat().st_gid == gid(root, "lumilter")
    assert list((root / SITE).rglob("*.pyc"))
    run(*inside(root, "/usr/lib/lumilter/bin/python3", "-I", "-c", LIBRARIES))
    run(*inside(root, "systemd-tmpfiles", "--create", "lumilter.conf"))  # as at boot
    assert run(*inside(root, "lumilter", "check", "-c", "/etc/lumilter/lumilter.toml")).endswith(" 0 warnings\n")

    log = tmp_path / "log"
    with log.open("wb") as out:
        daemon = subprocess.Popen(inside(root, "lumilter", "serve", user="lumilter"), stderr=out)
    try:
        deadline = time.monotonic() + 30
        while "serving on" not in log.read_text():
            assert time.monotonic() < deadline and daemon.poll() is None, log.read_text()
            time.sleep(0.05)
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'milter'}:{ROOT / 'tests'}"}
        client = [sys.executable, "-c", CLIENT, root]
        assert run(*client, gid(root, "postfix"), env=environment) in ("accept\n", "continue\n")
        assert run(*client, gid(root, "nogroup"), env=environment) == "Permission denied\n"
        assert run(*inside(root, "lumilter", "ctl", "health", user="lumilter")) == "ok\n"
    finally:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(60) == 0, log.read_text()

    run(*inside(root, "dpkg", "--remove", "lumilter"))
    assert (root / "etc/lumilter/lumilter.toml").exists()
    run(*inside(root, "dpkg", "--purge", "lumilter"))
    left = set(run(*inside(root, "sh", "-c", LEFT)).split())
    assert left == {f"/tmp/{name.name}" for name in (root / "tmp").glob("*.deb")}
    assert "lumilter:" in (root / "etc/passwd").read_text()  # postrm says why


def test_under_systemd(root: Path, tmp_path: Path) -> None:
    """The unit files as they are, all of their sandbox included, in a container of systemd's."""
    if not shutil.which("systemd-nspawn"):
        pytest.skip("the package systemd-container is not installed")
    result = tmp_path / "result"
    result.mkdir()
    (result / "script").write_text(BOOTED)
    (result / "script").chmod(0o755)
    boot = ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--resolv-conf=off"]
    boot += [f"--bind={result}:/result", f"--directory={root}", "systemd.run=/result/script"]
    done = subprocess.run(boot, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=200)
    if not (result / "said").exists():
        pytest.skip(f"no container starts here: {done.stderr[-300:] or done.stdout[-300:]}")
    journal = (result / "journal").read_text() if (result / "journal").exists() else done.stdout
    assert (result / "said").read_text().splitlines() == [
        "enabled enabled",
        "start 0 active",
        "postfix negotiated",
        "nogroup Permission denied",
        "seccomp 2",
        "groups 1",
        "health ok",
        "reload 0",
        "broken 1 active",
        "repaired 0 active",
        "killed active 1 restart",
        "stopped success",
        "socket inactive 660 lumilter postfix",
        "postfix negotiated active",
        "health ok",
        "reload 0",
        "restart 0 negotiated",
        "group 0 660 lumilter postfix",
        "invalid 0 78 exit-code",
        "end",
    ], journal
    assert "lumilter ctl: policy.lua:" in journal
