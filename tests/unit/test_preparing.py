"""What a run is given on top, from what its submission asks for, with a box that only plays."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scq import preparing
from scq.config_values import Config
from scq.context import Context
from scq.errors import BusyError, DependencyError
from scq.model import NO_LIMITS, Limits
from scq.ports import Invocation, Mount
from scq.preparing import OFFLINE, Prepared, choose_pythons, offline, open_to_all, prepare, tidy
from scq.requirements import Asked, Declared
from scq.sandbox.none import NoSandbox
from tests.making import ME, sighting

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SIX = "mkdir wheels && printf x > wheels/six-1.17.0-py2.py3-none-any.whl"
HASH_OF_X = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
UNREACHABLE = "echo 'WARNING: Retrying (Retry(total=0, status=None)) after connection broken by X: /simple/six/'; exit 1"
PROJECT = '[project]\nname = "x"\nversion = "0"\ndependencies = ["six"]\n'
SYNC = 'mkdir -p "$UV_CACHE_DIR" .venv/lib/python3.11/site-packages/six-1.0.dist-info && echo fetched > "$UV_CACHE_DIR/file"'


class Playing(NoSandbox):
    """A box that runs the next text in place of the command it is asked for."""

    name = "playing"

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.place: Path | None = None
        self.limits = NO_LIMITS

    def scratch(self, directory: str) -> str:
        return directory if self.place is None else str(self.place)

    def wrap(
        self,
        command: Sequence[str],
        *,
        work: str,
        cwd: str,
        env: Mapping[str, str],
        mounts: Sequence[Mount] = (),
        network: bool = False,
        limits: Limits = NO_LIMITS,
    ) -> Invocation:
        self.limits = limits
        inside = {name: env[name] for name in ("UV_CACHE_DIR",) if name in env}
        return Invocation(("/bin/sh", "-c", self.texts.pop(0)), inside, os.path.join(work, cwd))


class Stage:
    """An owner's home, one run folder, and a Python in the box."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = folder / "home"
        self.run = self.home / "runs" / "one"
        self.code = self.run / "work"
        self.code.mkdir(parents=True)
        self.now = NOW
        self.box = Playing()
        self.config = Config(email=ME, root="/root", job_path="/usr/bin")
        monkeypatch.setattr(preparing, "pythons", lambda path, interpreters: {"3.11": "/usr/bin/python3"})
        monkeypatch.setattr(preparing, "find_uv", lambda path: "/opt/uv/bin/uv")

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.code / name.replace("__", ".").replace("_S_", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def prepare(self, *texts: str, dependencies: tuple[str, ...] = ()) -> Prepared:
        self.box.texts = list(texts)
        ctx = Context(self.config, str(self.home), env={"PATH": "/usr/bin"}, now=lambda: self.now)
        seen = sighting(dependencies=dependencies)
        return prepare(ctx, self.box, sighting=seen, code=str(self.code), folder=str(self.run))

    def failure(self, *texts: str) -> str:
        with pytest.raises(DependencyError) as caught:
            self.prepare(*texts)
        assert caught.value.advice
        return str(caught.value)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


def test_a_job_that_asks_for_nothing_is_only_told_that_there_is_no_network(stage: Stage) -> None:
    stage.write(run__sh="python3 main.py\n")
    assert stage.prepare() == offline() == Prepared(env=OFFLINE)
    assert os.listdir(stage.run) == ["work"]


def test_without_a_box_nothing_is_fetched(stage: Stage) -> None:
    stage.box.name = "none"
    stage.write(run__sh="pip install six\n")
    prepared = stage.prepare()
    assert (prepared.env, prepared.mounts) == ({}, ())
    assert prepared.notes


def test_packages_are_fetched_laid_out_and_written_down(stage: Stage) -> None:
    stage.write(run__sh="pip install six\n")
    prepared = stage.prepare(SIX)
    assert prepared.mounts == (Mount(str(stage.run / "wheels"), "/wheels"),)
    assert prepared.env == {**OFFLINE, "PIP_FIND_LINKS": "/wheels", "UV_FIND_LINKS": "/wheels", "PATH": "/usr/bin"}
    assert os.listdir(stage.run / "wheels") == ["six-1.17.0-py2.py3-none-any.whl"]
    kept = json.loads((stage.run / "packages.json").read_text())
    assert (kept["packages"][0]["name"], kept["packages"][0]["sha256"]) == ("six", HASH_OF_X)
    assert sorted(os.listdir(stage.run)) == ["packages.json", "wheels", "work"]


def test_dependencies_of_the_metadata_are_fetched(stage: Stage) -> None:
    stage.write(run__sh="echo\n")
    assert [package.name for package in stage.prepare(SIX, dependencies=("six",)).packages] == ["six"]


def test_a_second_job_with_the_same_wishes_asks_nobody(stage: Stage) -> None:
    stage.write(run__sh="pip install six idna\n")
    first = stage.prepare(SIX)
    stage.write(run__sh="pip install idna six\n")
    second = stage.prepare()
    assert second.packages == first.packages
    assert "already here" in second.notes[0]


def test_after_a_week_the_index_is_asked_again(stage: Stage) -> None:
    stage.write(run__sh="pip install six\n")
    stage.prepare(SIX)
    stage.now += timedelta(days=8)
    assert [package.version for package in stage.prepare(SIX.replace("1.17", "1.18")).packages] == ["1.18.0"]


def test_an_index_that_does_not_answer_is_no_harm_where_the_packages_are_known(stage: Stage) -> None:
    stage.write(run__sh="pip install six\n")
    first = stage.prepare(SIX)
    stage.now += timedelta(days=8)
    second = stage.prepare(UNREACHABLE)
    assert second.packages == first.packages
    assert "cannot be reached" in second.notes[0]


def test_an_index_that_does_not_answer_is_asked_again_by_a_later_call(stage: Stage) -> None:
    stage.write(run__sh="pip install six\n")
    with pytest.raises(BusyError, match="cannot be reached"):
        stage.failure(UNREACHABLE)


def test_requirements_with_hashes_never_grow_old(stage: Stage) -> None:
    stage.write(run__sh="pip install -r r.txt\n", r__txt=f"six==1.17.0 --hash=sha256:{HASH_OF_X}")
    first = stage.prepare(SIX)
    stage.now += timedelta(days=800)
    assert stage.prepare().packages == first.packages


def test_a_package_with_another_hash_than_the_named_one_is_refused(stage: Stage) -> None:
    stage.write(run__sh="pip install -r r.txt\n", r__txt=f"six==1.17.0 --hash=sha256:{'0' * 64}")
    assert stage.failure(SIX).startswith("r.txt line 1: six-1.17.0-py2.py3-none-any.whl does not have the hash")


def test_what_was_found_without_a_hash_or_with_another_one_is_not_used_for_a_pinned_wish(stage: Stage) -> None:
    stage.write(run__sh="pip install six==1.17.0\n")
    stage.prepare(SIX.replace("printf x", "printf y"))
    stage.write(run__sh="pip install -r r.txt\n", r__txt=f"six==1.17.0 --hash=sha256:{'0' * 64}")
    assert "does not have the hash" in stage.failure(SIX)
    stage.write(r__txt=f"six==1.17.0 --hash=sha256:{HASH_OF_X}")
    assert stage.prepare(SIX).packages[0].sha256 == HASH_OF_X


def test_what_had_the_wrong_hash_is_asked_for_again(stage: Stage) -> None:
    stage.write(run__sh="pip install -r r.txt\n", r__txt=f"six==1.17.0 --hash=sha256:{HASH_OF_X}")
    assert "does not have the hash" in stage.failure(SIX.replace("printf x", "printf y"))
    assert stage.prepare(SIX).packages[0].sha256 == HASH_OF_X


def test_a_cache_that_lies_behind_a_link_is_refused(stage: Stage, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / ".uv-cache").mkdir(parents=True)
    stage.code = stage.run / "work" / "inner"
    stage.code.mkdir()
    stage.write(run__sh="uv sync\n", pyproject__toml=PROJECT)
    assert "replaced a folder" in stage.failure(f"ln -s {outside} ../inner")
    assert os.listdir(outside) == [".uv-cache"]


def test_the_box_for_fetching_is_told_the_limits_of_jobs(stage: Stage) -> None:
    stage.config = Config(email=ME, job_path="/usr/bin", limit_memory=1 << 30, limit_processes=77)
    stage.write(run__sh="pip install six\n")
    stage.prepare(SIX)
    assert (stage.box.limits.memory, stage.box.limits.processes) == (1 << 30, 77)


def test_a_folder_without_rights_does_not_keep_tidying_from_its_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shut = tmp_path / "prepare" / "shut"
    shut.mkdir(parents=True, mode=0o000)
    real = shutil.rmtree

    def as_somebody_else(path: str) -> None:
        if shut.exists() and shut.stat().st_mode & 0o700 != 0o700:
            raise PermissionError(13, "Permission denied", path)
        real(path)

    monkeypatch.setattr(shutil, "rmtree", as_somebody_else)
    tidy(str(tmp_path))
    assert os.listdir(tmp_path) == []


def test_a_missing_package_is_named_with_the_line_that_asks_for_it(stage: Stage) -> None:
    stage.write(run__sh="pip install six\npip install 'No_Such>=2'\n")
    said = "echo 'ERROR: No matching distribution found for no-such>=2'; exit 1"
    assert stage.failure(said, "exit 1") == "run.sh line 2: no-such>=2: there is no such package in the public index"
    assert sorted(os.listdir(stage.run)) == ["work"]


def test_a_python_that_the_box_does_not_have_is_refused_before_anything_is_fetched(stage: Stage) -> None:
    stage.write(run__sh="\nuv venv --python 3.12\nuv pip install six\n")
    assert stage.failure() == "run.sh line 2: Python 3.12 is asked for, and the box has 3.11"


def test_a_box_without_a_python_is_refused() -> None:
    with pytest.raises(DependencyError, match="no Python"):
        choose_pythons(Declared(), {})


def test_a_range_of_pythons_is_met_by_one_that_is_chosen_anyway() -> None:
    box = {"3.11": "a", "3.12": "b"}
    both = Declared(pythons=(Asked(">=3.11", "pyproject.toml"), Asked("3.12", "run.sh line 1")))
    assert choose_pythons(both, box) == ("3.12",)
    assert choose_pythons(Declared(), box) == ("3.11",)


def test_uv_is_shown_to_a_job_that_calls_it(stage: Stage) -> None:
    stage.write(run__sh="uv venv\n")
    prepared = stage.prepare()
    assert prepared.mounts == (Mount("/opt/uv/bin/uv", "/scq/bin/uv"),)
    assert prepared.env["PATH"] == "/scq/bin:/usr/bin"
    assert prepared.env["UV_CACHE_DIR"] == str(stage.code / ".uv-cache")


def test_a_job_that_calls_uv_where_there_is_none_is_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "find_uv", lambda path: "")
    stage.write(run__sh="uv venv\n")
    assert stage.failure() == "run.sh line 1: the job calls uv, which is not installed here"


def test_the_folders_of_interpreters_are_on_the_search_path(stage: Stage) -> None:
    stage.config = Config(email=ME, job_path="/usr/bin", sandbox_interpreters=("/opt/python",))
    stage.write(run__sh="pip install six\n")
    assert stage.prepare(SIX).env["PATH"] == "/usr/bin:/opt/python"


def test_what_uv_fetched_for_a_project_becomes_the_jobs_own_cache(stage: Stage) -> None:
    stage.write(run__sh="cd code && uv sync\n", code_S_pyproject__toml=PROJECT)
    prepared = stage.prepare(SYNC)
    assert [(package.name, package.version) for package in prepared.packages] == [("six", "1.0")]
    assert Path(prepared.env["UV_CACHE_DIR"]) == stage.code / ".uv-cache"
    assert (stage.code / ".uv-cache" / "file").read_text() == "fetched\n"


def test_a_submission_that_uses_the_name_of_the_cache_keeps_its_own(stage: Stage) -> None:
    stage.write(run__sh="uv sync\n", pyproject__toml=PROJECT)
    (stage.code / ".uv-cache").mkdir()
    assert stage.prepare(SYNC).env["UV_CACHE_DIR"] == str(stage.code / ".uv-cache-")
    assert os.listdir(stage.code / ".uv-cache") == []


def test_two_projects_share_one_cache(stage: Stage) -> None:
    stage.write(run__sh="(cd a && uv sync)\n(cd b && uv sync)\n", a_S_pyproject__toml=PROJECT, b_S_pyproject__toml=PROJECT)
    stage.prepare(SYNC, SYNC.replace("/file", "/other"))
    assert sorted(os.listdir(stage.code / ".uv-cache")) == ["file", "other"]


def test_a_project_that_cannot_be_made_names_the_line(stage: Stage) -> None:
    stage.write(run__sh="uv sync\n", pyproject__toml=PROJECT)
    assert stage.failure("echo 'error: no way'; exit 1").startswith("run.sh line 1: uv cannot make")


def test_a_lock_that_leads_elsewhere_is_refused(stage: Stage) -> None:
    lock = '[[package]]\nname = "a"\nsource = { git = "https://h" }\n'
    stage.write(run__sh="uv sync\n", pyproject__toml=PROJECT, uv__lock=lock)
    assert stage.failure().startswith("uv.lock: a comes from elsewhere")


def test_anything_but_wheels_that_comes_out_of_the_box_is_refused(stage: Stage) -> None:
    stage.write(run__sh="pip install six\n")
    assert "cannot be used" in stage.failure("mkdir wheels && ln -s /etc/passwd wheels/six-1.17.0-py2.py3-none-any.whl")
    assert "is not a wheel" in stage.failure("mkdir wheels && echo > wheels/six.tar.gz")


def test_a_script_that_is_not_text_is_refused_by_name(stage: Stage) -> None:
    (stage.code / "run.sh").write_bytes(b"\xff\xfe")
    assert stage.failure() == "run.sh: is not UTF-8 text"


def test_tools_that_the_user_of_the_box_cannot_reach_are_copied(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    private = stage.home / "private"
    private.mkdir(mode=0o700)
    (private / "uv").write_text("program")
    stage.box.place = scratch = stage.home / "scratch"
    monkeypatch.setattr(preparing, "find_uv", lambda path: str(private / "uv"))
    stage.write(run__sh="uv venv\n")
    copy = Path(stage.prepare().mounts[0].source)
    assert copy.read_text() == "program"
    assert copy.is_relative_to(scratch)
    assert copy.stat().st_mode & 0o777 == 0o755
    tidy(str(scratch))
    assert os.listdir(scratch) == []


def test_what_is_open_to_all_is_told_from_what_is_not(tmp_path: Path) -> None:
    assert open_to_all("/usr/bin")
    (tmp_path / "shut").mkdir(mode=0o700)
    (tmp_path / "shut" / "file").write_text("x")
    assert not open_to_all(str(tmp_path / "shut" / "file"))
