"""What every test gets: a home of its own, and no way to touch a real one."""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType
from typing import Any

import coverage.collector
import jinja2
import pytest
import typer.main
from coverage import Coverage
from hypothesis import HealthCheck, settings

from scq import secrets

MEMORY = "/dev/shm"
ROOM = 4 << 30
"""Bytes that have to be free in memory before the folders of the tests are put there."""
HERE = Path(__file__).resolve().parent
LONG = ("slurm/", "integration/test_cycles_overlap.py", "notebook/", "crash/")
"""What takes longest is begun first, so that at the end no worker is busy alone."""


def pytest_configure() -> None:
    in_memory()
    # A busy machine is no finding.
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")
    if Coverage.current() is not None:
        forks_save_only_their_own()


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Compile each file of tests in one worker only, and keep it for the next time: that is half of what collecting costs."""
    unkept, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    try:
        for name in own_share(session.config):
            with suppress(Exception, pytest.skip.Exception):  # collecting tells what is wrong with it
                importlib.import_module(name)
        return (yield)
    finally:
        sys.dont_write_bytecode = unkept


def own_share(config: pytest.Config) -> list[str]:
    """Names of the modules this worker compiles for all, as each of the others does with as many; none without workers."""
    worker: dict[str, Any] = getattr(config, "workerinput", {})
    if not worker or not all(Path(argument).is_dir() for argument in config.args):
        return []
    left_out = [Path(path).resolve() for path in config.getoption("ignore") or []]
    files = sorted({file.resolve() for argument in config.args for file in Path(argument).rglob("test_*.py")})
    wanted = [file for file in files if not any(file.is_relative_to(path) for path in left_out)]
    share = wanted[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]
    return [".".join(file.relative_to(HERE.parent).with_suffix("").parts) for file in share]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.path.relative_to(HERE).as_posix().startswith(LONG))


def forks_save_only_their_own() -> None:
    """Keep a fork from saving, beside what it ran itself, a copy of all that its parent had run until then.

    The patch of coverage for `os._exit` does both, which takes a second where the parent has run for minutes.
    """
    measuring: list[Coverage] = []

    def remember() -> None:
        now = Coverage.current()
        if now is not None and now not in measuring:
            measuring.append(now)

    def forget() -> None:
        for one in measuring:
            setattr(one, "save", lambda: None)  # noqa: B010 - a method is replaced

    os.register_at_fork(before=remember, after_in_child=forget)
    # Each fork would also write down, for nobody, from where it was called, and read the source of all that.
    setattr(coverage.collector, "short_stack", lambda *choices, **more: "")  # noqa: B010


def in_memory() -> None:
    """Put the folders of the tests into memory where there is room: they make and remove files by the hundred thousand."""
    try:
        found = os.statvfs(MEMORY)
    except OSError:
        return
    if found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & os.ST_NOEXEC and os.access(MEMORY, os.W_OK):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """No test cuts the power, so none learns anything from a real fsync. Processes of their own wait all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def no_real_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point the home directory and every variable scq reads at an empty folder, so that no test can touch a real one."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("SCQ_HOME", "SCQ_ROOT", "SCQ_EMAIL", "SCQ_CONFIG", "SYFTBOX_FOLDER", "SYFTBOX_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("SYFTBOX_CLIENT_CONFIG_PATH", "SYFT_DEFAULT_JOB_TIMEOUT_SECONDS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(secrets, "_READ", set())  # a call knows the secrets it read itself, not those of the tests before
    return home


@pytest.fixture(scope="session", autouse=True)
def libraries_that_remember() -> Iterator[None]:
    """What libraries work out anew for every call of scq, and always alike, they work out once here.

    A process of scq does each of these things once; a process of the tests would do them thousands of times.
    """
    compiled: dict[tuple[Any, ...], CodeType] = {}
    compile_template: Any = jinja2.Environment.compile

    def compile_once(environment: jinja2.Environment, source: str, *names: Any, **options: Any) -> Any:
        if type(source) is not str:
            return compile_template(environment, source, *names, **options)
        escaped = environment.autoescape if isinstance(environment.autoescape, bool) else names
        key = (type(environment), environment.undefined, escaped, source, names, *sorted(options.items()))
        if key not in compiled:
            compiled[key] = compile_template(environment, source, *names, **options)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_params_from_function", functools.cache(typer.main.get_params_from_function))
        patch.setattr(jinja2.Environment, "compile", compile_once)
        # Texts of help for every method of Drive, which nothing reads.
        patch.setattr("googleapiclient.schema.Schemas.prettyPrintSchema", lambda schemas, schema: "")
        yield


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let children hear an interrupt, also where the tests themselves run in the background and ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
