"""What an installation is: the layout that pymilter forces on us, and what a wheel holds."""

from __future__ import annotations

import configparser
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from lumilter import resources

ROOT = Path(__file__).parents[1]
SETUP = ROOT / "setup.cfg"


@pytest.fixture(scope="module")
def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(SETUP)
    return parser


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy so that nothing is left here."""
    source = tmp_path_factory.mktemp("source")
    for name in ("setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("milter", "lua"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=unwanted)
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", str(source)]
    built = subprocess.run([*command, "--wheel-dir", str(target)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = target.glob("*.whl")
    return zipfile.ZipFile(file)


def test_milter_is_a_source_root_and_not_a_package() -> None:
    # With one, `import milter` finds it instead of pymilter's extension, and `import Milter` breaks.
    assert not (ROOT / "milter/__init__.py").exists()
    assert [path.name for path in (ROOT / "milter").iterdir() if path.suffix != ".egg-info"] == ["lumilter"]


def test_tests_are_no_packages() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.parametrize("name", ["setup.cfg", "milter", "lua", "conf", "systemd", "tests", "README.md", "LICENSE"])
def test_the_required_layout(name: str) -> None:
    assert (ROOT / name).exists()


def test_pyproject_says_how_to_build_and_nothing_else() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert list(pyproject) == ["build-system"]


def test_pymilters_extension_wins_from_every_directory() -> None:
    check = "import milter, Milter; assert milter.setconn and milter.__file__.endswith('.so'), milter"
    for directory in (ROOT, ROOT / "milter", ROOT / "milter/lumilter", ROOT / "tests", Path("/")):
        subprocess.run([sys.executable, "-c", check], check=True, cwd=directory)


def test_the_lua_files_are_found() -> None:
    assert (resources.lua_dir() / "lumilter/sandbox.lua").is_file()
    assert (ROOT / "milter/lumilter/lua").readlink() == Path("../../lua")


def test_a_wheel_holds_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    package = ROOT / "milter/lumilter"
    expected = {f"lumilter/{file.relative_to(package)}" for file in package.rglob("*.py")}
    expected |= {f"lumilter/{file.relative_to(package)}" for file in package.rglob("*.csv")}
    expected |= {f"lumilter/lua/{file.relative_to(ROOT / 'lua')}" for file in (ROOT / "lua").rglob("*.lua")}
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_the_wheels_metadata(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = wheel.read(name).decode()
    assert "\nName: lumilter\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata
    assert re.search(r"^License(-Expression)?: GPL-2.0-or-later$", metadata, re.MULTILINE)
    for library in ("pymilter", "lupa", "dnspython", "dkimpy", "pyclamd"):
        assert re.search(rf"^Requires-Dist: {library} ?\(?>=", metadata, re.MULTILINE), library
    assert "lumilter = lumilter.cli:main" in wheel.read(name.replace("METADATA", "entry_points.txt")).decode()


def test_every_dependency_has_a_lower_bound_and_a_reason() -> None:
    lines = SETUP.read_text().partition("install_requires =\n")[2].partition("\n\n")[0].splitlines()
    assert lines
    for reason, dependency in zip(lines[::2], lines[1::2], strict=True):
        found = re.fullmatch(r"    [A-Za-z0-9-]+>=([0-9.]+)", dependency)
        assert found, dependency
        assert reason.startswith(f"    # {found[1]}: "), reason


def test_every_extra_has_lower_bounds(setup: configparser.ConfigParser) -> None:
    extras = dict(setup["options.extras_require"])
    own = "lumilter[" + ",".join(name for name in extras if name != "dev") + "]"
    for extra, text in extras.items():
        for dependency in filter(None, text.splitlines()):
            if (extra, dependency) == ("dev", own):  # all of the others
                continue
            assert re.fullmatch(r"[A-Za-z0-9-]+(\[\w+\])?>=[0-9.]+", dependency), f"{extra}: {dependency}"


def test_the_debian_package_carries_a_known_version_of_everything(setup: configparser.ConfigParser) -> None:
    """scripts/deb/constraints.txt names what lumilter needs with all its extras, what that needs, and nothing else."""
    text = (ROOT / "scripts/deb/constraints.txt").read_text()
    carried, _, built_with = text.partition("# What they and lumilter are built with.\n")
    pinned = set(re.findall(r"^([a-z0-9-]+)==[0-9a-z.]+$", carried, re.MULTILINE))
    assert pinned == needed("lumilter", {name for name in setup["options.extras_require"] if name != "dev"})
    assert set(re.findall(r"^([a-z0-9-]+)==", built_with, re.MULTILINE)) == {"setuptools", "wheel"}
    built = re.search(r"^extras=(.*)$", (ROOT / "scripts/build-deb").read_text(), re.MULTILINE)
    assert built
    assert set(built[1].split(",")) == {name for name in setup["options.extras_require"] if name != "dev"}


def needed(project: str, extras: set[str], known: set[tuple[str, str]] | None = None) -> set[str]:
    """The projects that an installed one needs, and what they need, as pip names them."""
    known = set() if known is None else known
    for text in importlib.metadata.requires(project) or ():
        requirement = Requirement(text)
        wanted = requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in extras or {""})
        one = re.sub(r"[-_.]+", "-", requirement.name).lower(), ",".join(sorted(requirement.extras))
        if wanted and one not in known:
            known.add(one)
            needed(requirement.name, requirement.extras, known)
    return {name for name, _ in known}
