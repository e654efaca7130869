"""Source archive and wheel: built from a clean start, installed where nothing else is, and complete."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
MACHINE_ENVIRONMENT = dict(os.environ)  # as it was before a test replaced the home directory: pip needs its configuration


def call(*command: str | Path) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=MACHINE_ENVIRONMENT, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(source archive, wheel); the wheel is built from the archive, so whatever the archive lacks is missed here."""
    target = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--outdir", target, ROOT)
    return next(target.glob("*.tar.gz")), next(target.glob("*.whl"))


@pytest.fixture(scope="session")
def installed(archives: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment that holds the wheel and what it asks for, nothing of the tools of the workshop.

    What it asks for was installed once, beside this test, and is linked.
    """
    folder = tmp_path_factory.mktemp("clean") / "venv"
    call(sys.executable, "-m", "venv", "--without-pip", folder)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "--disable-pip-version-check", "--quiet"]
    call(*pip, "install", "--no-deps", archives[1])
    (site,) = folder.glob("lib/python*/site-packages")
    (wheel,) = metadata.distributions(path=[str(site)])
    for needed in needed_by(wheel):
        for top in {file.parts[0] for file in needed.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / top).exists():
                (site / top).symlink_to(str(needed.locate_file(top)))
    return folder / "bin"


def needed_by(wheel: metadata.Distribution) -> list[metadata.Distribution]:
    """What a distribution requires without extras, and what that requires, as it is installed here in a right version."""
    found: dict[tuple[str, str], metadata.Distribution] = {}
    waiting = [(wheel, "")]
    while waiting:
        asking, extra = waiting.pop()
        for wanted in map(Requirement, asking.requires or ()):
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
                continue
            there = metadata.distribution(wanted.name)
            assert wanted.specifier.contains(there.version, prereleases=True), f"{asking.name}: {wanted} ({there.version})"
            for inner in ("", *wanted.extras):
                if (there.name, inner) not in found:
                    found[there.name, inner] = there
                    waiting.append((there, inner))
    return list(found.values())


def shipped(folder: str) -> set[str]:
    """Every file of a shipped folder, as it is named inside the wheel."""
    files = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {f"scq/_data/{path.relative_to(ROOT).as_posix()}" for path in files}


def test_the_wheel_carries_templates_units_and_the_crontab_line(archives: tuple[Path, Path]) -> None:
    names = set(zipfile.ZipFile(archives[1]).namelist())
    wanted = shipped("templates") | shipped("systemd") | shipped("cron")
    assert len(wanted) > 5
    assert wanted <= names


def test_the_wheel_holds_the_package_and_nothing_of_the_workshop(archives: tuple[Path, Path]) -> None:
    names = set(zipfile.ZipFile(archives[1]).namelist())
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"scq"}
    assert "scq/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_source_archive_can_be_tested_and_read(archives: tuple[Path, Path]) -> None:
    with tarfile.open(archives[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "Makefile", "docs/architecture.md", "tests/conftest.py"} <= names
    assert not {name for name in names if name.startswith((".venv", ".cache", ".git/"))}


def test_the_installed_command_answers(installed: Path, tmp_path: Path) -> None:
    version = call(installed / "scq", "--version")
    assert version.split() == ["scq", call(installed / "python", "-c", "import scq; print(scq.__version__)").strip()]


def test_the_installed_command_works_on_an_empty_box(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "SyftBox" / "owner@example.org").mkdir(parents=True)
    own = ["--home", tmp_path / "home", "--root", tmp_path / "SyftBox", "--email", "owner@example.org"]
    assert '"ok":true' in call(installed / "scq", *own, "pending", "--json")


def test_the_environment_holds_what_the_wheel_asks_for_and_no_tool_of_the_workshop(installed: Path) -> None:
    modules = ("msgspec", "yaml", "googleapiclient", "pytest", "hypothesis", "mypy")
    asked = f"import importlib.util as u; print([n for n in {modules} if u.find_spec(n)])"
    assert call(installed / "python", "-c", asked).strip() == "['msgspec', 'yaml', 'googleapiclient']"


def test_importing_the_installed_package_needs_no_extra(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [installed / "python", "-c", "import scq as q; print(sorted(q.__all__))"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "submit_job" in done.stdout
