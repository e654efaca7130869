"""Packages of jobs from the real index: fetched in a real box without data, installed in a real box without a network."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scq.config_values import Config
from scq.context import Context
from scq.descriptors import opened
from scq.errors import DependencyError
from scq.preparing import Prepared, prepare
from scq.sandbox.bwrap import BwrapSandbox
from scq.sandbox.scratch import remove_run
from tests.making import ME, sighting

NOW = datetime(2026, 11, 21, tzinfo=UTC)
NOBODY_LISTENS = "http://127.0.0.1:9"
HEAD = "#!/bin/bash\nset -euo pipefail\n"
UNMODIFIED = HEAD + (
    "export UV_SYSTEM_PYTHON=false\ncd code\nuv venv --python 3\nsource .venv/bin/activate\n"
    'uv pip install "six" "iniconfig>=2"\npython main.py\n'
)
MAIN = "import importlib.metadata as m\nprint('six', m.version('six'))\nopen('/wheels/x', 'w')\n"


@pytest.fixture(scope="module", autouse=True)
def registry(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip everything where the index of this machine does not answer, or where there is no box."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    fetch = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--retries=0",
        "-d",
        str(tmp_path_factory.mktemp("try")),
        "six",
    ]
    if subprocess.run(fetch, capture_output=True, timeout=60, check=False).returncode != 0:
        pytest.skip("the package index cannot be reached")


class Owner:
    """A home with a store of wheels, and runs in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.now = NOW
        self.config = Config(email=ME, root="/root")
        self.box = BwrapSandbox()
        self.folders: list[str] = []

    def prepare(self, files: dict[str, str], **env: str) -> tuple[Prepared, str]:
        """What a run of these files is given, and its work folder."""
        folder = str(self.home / "runs" / f"run-{len(self.folders)}")
        os.makedirs(folder, mode=0o700)
        self.folders.append(folder)
        work = os.path.join(self.box.scratch(folder), "work")
        for name, text in files.items():
            path = Path(work, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        ctx = Context(self.config, str(self.home), env=dict(os.environ) | env, now=lambda: self.now)
        return prepare(ctx, self.box, sighting=sighting(), code=work, folder=folder), work

    def run(self, prepared: Prepared, work: str) -> subprocess.CompletedProcess[str]:
        """The job itself, as it would be started: no network."""
        env = {"HOME": work, "PATH": self.config.job_path} | prepared.env
        invocation = self.box.wrap(["bash", "./run.sh"], work=work, cwd=".", env=env, mounts=prepared.mounts)
        user = invocation.uid
        with opened(invocation) as (argv, descriptors):
            return subprocess.run(
                argv,
                env=dict(invocation.env),
                cwd=invocation.cwd,
                pass_fds=descriptors,
                user=user,
                group=None if user is None else pwd.getpwuid(user).pw_gid,
                extra_groups=None if user is None else [],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )

    def failure(self, script: str, **files: str) -> str:
        with pytest.raises(DependencyError) as caught:
            self.prepare({"run.sh": HEAD + script, **{name.replace("__", "."): text for name, text in files.items()}})
        assert caught.value.advice
        return str(caught.value)


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    tmp_path.chmod(0o755)
    owner = Owner(tmp_path / "home")
    yield owner
    for folder in owner.folders:
        remove_run(folder)


def test_an_unmodified_script_gets_its_packages_cold_warm_and_offline(owner: Owner) -> None:
    files = {"run.sh": UNMODIFIED, "code/main.py": MAIN}
    cold, work = owner.prepare(files)
    said = owner.run(cold, work)
    six = next(package for package in cold.packages if package.name == "six")
    assert f"six {six.version}\n" in said.stdout, said
    assert "Read-only file system: '/wheels/x'" in said.stderr
    assert {package.name for package in cold.packages} == {"six", "iniconfig"}
    assert json.loads(Path(owner.folders[0], "packages.json").read_text())["packages"][0]["sha256"]

    warm, _ = owner.prepare(files, HTTPS_PROXY=NOBODY_LISTENS, https_proxy=NOBODY_LISTENS)
    assert warm.packages == cold.packages
    assert "already here" in warm.notes[0]

    owner.now += timedelta(days=8)
    offline, work = owner.prepare(files, HTTPS_PROXY=NOBODY_LISTENS, https_proxy=NOBODY_LISTENS)
    assert offline.packages == cold.packages
    assert "cannot be reached" in offline.notes[0]
    assert f"six {six.version}\n" in owner.run(offline, work).stdout


def test_pip_installs_a_requirements_file_without_a_network(owner: Owner) -> None:
    script = HEAD + "pip install --target lib -r requirements.txt\nPYTHONPATH=lib python3 -c 'import six; print(six.__file__)'\n"
    script = script.replace("pip install", "python3 -m venv v\nv/bin/python -m pip install")
    prepared, work = owner.prepare({"run.sh": script, "requirements.txt": "six>=1.16  # a line\n"})
    said = owner.run(prepared, work)
    assert said.stdout.endswith("/job/lib/six.py\n"), said


def test_a_project_is_synchronised_without_a_network_and_a_package_of_other_systems_does_not_matter(owner: Owner) -> None:
    project = '[project]\nname = "x"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["tqdm"]\n'
    script = (
        HEAD + "cd code\nuv venv --python 3\nsource .venv/bin/activate\nuv sync\npython -c 'import tqdm; print(tqdm.__name__)'\n"
    )
    prepared, work = owner.prepare({"run.sh": script, "code/pyproject.toml": project})
    said = owner.run(prepared, work)
    assert said.stdout == "tqdm\n", said
    (tqdm,) = prepared.packages
    assert (tqdm.name, len(tqdm.sha256)) == ("tqdm", 64)


def test_what_the_index_does_not_have_is_named(owner: Owner) -> None:
    said = owner.failure("pip install six\npip install 'scq-there-is-no-such-package>=1'\n")
    assert said == "run.sh line 4: scq-there-is-no-such-package>=1: there is no such package in the public index"


def test_a_package_that_would_have_to_be_built_is_refused(owner: Owner) -> None:
    said = owner.failure("pip install docopt\n")
    assert said.startswith("run.sh line 3: docopt: the public index has no wheel of it that fits Python 3.")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("pip install -- --index-url=http://127.0.0.1:9/simple", "looks like an option"),
        ("pip install -r requirements.txt", "requirements.txt line 1: --index-url takes packages from elsewhere"),
        ("uv pip install six --index-url http://127.0.0.1:9/simple", "run.sh line 3: --index-url takes packages from elsewhere"),
        ("pip install ../../../six", "is a path or an address"),
        ("uv venv --python 3.4", "Python 3.4 is asked for"),
    ],
)
def test_what_would_lead_elsewhere_is_refused_before_anything_is_fetched(owner: Owner, line: str, what: str) -> None:
    assert what in owner.failure(line + "\n", requirements__txt="--index-url http://127.0.0.1:9/simple\nsix\n")
    assert not (owner.home / "wheels").exists()
