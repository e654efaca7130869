"""run.sh: a copy of the repository as a SyftBox app. Once really, from nothing; what can go wrong with stand-ins."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE

import pytest

from tests.people import OWNER, World

PROJECT = Path(__file__).resolve().parents[2]
NEEDED = ("run.sh", "pyproject.toml", "README.md", "LICENSE", "scq", "templates", "systemd", "cron")

SCQ = """#!/bin/sh
echo "scq $*" >>"$NOTES"
[ "$1" = cycle ] && exit "$(cat "$NOTES.code" 2>/dev/null || echo 0)"
exit 0
"""
# Stand-ins: what they are called with is noted, and an environment is three files.
UV = """#!/bin/sh
echo "uv $1" >>"$NOTES"
[ ! -e "$NOTES.hang" ] || { sleep 60 & echo $! >"$NOTES.pid"; trap 'kill $!; exit 143' TERM; wait $!; }
[ ! -e "$NOTES.broken" ] || exit 1
case "$1" in
  venv) for last; do :; done; mkdir -p "$last/bin"; : >"$last/pyvenv.cfg"; ln -s /bin/true "$last/bin/python" ;;
  pip) cp "$NOTES.scq" "$(dirname "$5")/scq" ;;
esac
"""
PYTHON = """#!/bin/sh
case "$*" in
  -c*) exit "$OLD" ;;
  *"-m venv"*) echo "python -m venv" >>"$NOTES"; mkdir -p "$3/bin"; : >"$3/pyvenv.cfg"; cp "$0" "$3/bin/python" ;;
  *"-m pip install"*) echo "python -m pip" >>"$NOTES"; cp "$NOTES.scq" "$(dirname "$0")/scq" ;;
esac
"""


def until(true: Callable[[], object]) -> None:
    """Wait until a function answers yes."""
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def processes(word: str) -> list[str]:
    """Command lines of the processes that name something."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if word in line:
            found.append(line)
    return found


class App:
    """A copy of run.sh, and programs that stand in for those that prepare an environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "app"
        self.folder.mkdir()
        for name in ("run.sh", "pyproject.toml"):
            shutil.copy(PROJECT / name, self.folder / name)
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in (
            "bash",
            "sh",
            "cat",
            "mkdir",
            "mv",
            "rm",
            "cksum",
            "cut",
            "dirname",
            "find",
            "ls",
            "sleep",
            "wc",
            "cp",
            "ln",
            "grep",
            "readlink",
            "tail",
        ):
            (self.bin / name).symlink_to(str(shutil.which(name, path="/usr/bin:/bin")))
        self.program("uv", UV)
        self.program("python3", PYTHON)
        self.notes = folder / "notes"
        self.venv = folder / "venv"
        self.lock = Path(f"{self.venv}.lock")
        self.env = {
            "PATH": str(self.bin),
            "HOME": str(folder),
            "NOTES": str(self.notes),
            "SCQ_APP_VENV": str(self.venv),
            "OLD": "0",
        }
        self.tell("scq", SCQ).chmod(0o755)

    def program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def tell(self, name: str, text: str = "") -> Path:
        path = Path(f"{self.notes}.{name}")
        path.write_text(text)
        return path

    def noted(self) -> list[str]:
        """What was called since it was asked last."""
        words = self.notes.read_text().splitlines() if self.notes.exists() else []
        self.notes.unlink(missing_ok=True)
        return words

    def run(self, code: int = 0) -> str:
        """One call; what it said on standard error."""
        done = subprocess.run([self.folder / "run.sh"], env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stderr


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


ROUND = ["scq automate", "scq cycle"]


def test_a_copy_of_the_repository_really_makes_itself_ready_and_looks_after_the_queue(tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip("uv is not installed beside the tests")
    copy = tmp_path / "apps" / "scq"
    copy.mkdir(parents=True)
    for name in NEEDED:
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(PROJECT / name, copy / name)
    world = World(tmp_path)
    world.submit("count")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uv").symlink_to(uv)
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    account = pwd.getpwuid(os.getuid()).pw_dir
    own = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "SYFT", "XDG", "PYTHON"))}
    own |= {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "XDG_DATA_HOME": str(tmp_path / "data"), "SCQ_HOME": str(world.owner.home)}
    own |= {"UV_CACHE_DIR": f"{account}/.cache/uv", "SCQ_ROOT": str(world.root), "SCQ_EMAIL": OWNER}
    started = [subprocess.Popen(["sh", copy / "run.sh"], env=own, stdout=PIPE, stderr=PIPE, text=True) for _ in range(2)]
    said = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert "NEW JOB" in said[0][0] + said[1][0]
    assert not (copy / ".venv").exists()
    # Ready: what prepares is not called any more.
    (tmp_path / "bin" / "uv").unlink()
    (tmp_path / "bin" / "uv").write_text(f"#!/bin/sh\n: >'{tmp_path}/again'\nexit 1\n")
    (tmp_path / "bin" / "uv").chmod(0o755)
    done = world.owner.home / "locks" / "cycle.done"
    before = done.stat().st_mtime_ns if done.exists() else 0
    with subprocess.Popen([copy / "run.sh"], env={**own, "SCQ_EVERY": "2"}) as process:
        until(lambda: done.exists() and done.stat().st_mtime_ns != before)
        second = done.stat().st_mtime_ns
        until(lambda: done.stat().st_mtime_ns != second)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
    assert "count" in "".join(path.read_text() for path in (world.owner.home / "mailbox").rglob("*") if path.is_file())
    assert not (tmp_path / "again").exists()
    assert processes(str(tmp_path / "data")) == []


def test_an_environment_is_made_once(app: App) -> None:
    app.run()
    assert app.noted() == ["uv venv", "uv pip", *ROUND]
    app.run()
    assert app.noted() == ROUND
    assert not app.lock.exists()


def test_without_uv_python_makes_it(app: App) -> None:
    (app.bin / "uv").unlink()
    app.run()
    assert app.noted() == ["python -m venv", "python -m pip", *ROUND]


def test_other_dependencies_are_installed_into_the_same_environment(app: App) -> None:
    app.run()
    app.noted()
    with open(app.folder / "pyproject.toml", "a") as file:
        file.write("# more\n")
    app.run()
    assert app.noted() == ["uv pip", *ROUND]


def test_what_was_left_half_made_is_made_anew(app: App) -> None:
    app.tell("broken")
    assert "cannot make an environment" in app.run(78)
    Path(f"{app.notes}.broken").unlink()
    app.noted()
    (app.venv / "bin").mkdir(parents=True)
    app.run()
    assert app.noted() == ["uv venv", "uv pip", *ROUND]
    app.run()
    assert app.noted() == ROUND


def test_packages_that_cannot_be_had_are_tried_again_by_the_next_call(app: App) -> None:
    app.run()
    ready = app.venv / "scq-ready"
    ready.write_text("of an older copy\n" + ready.read_text().splitlines()[1] + "\n")
    app.tell("broken")
    assert "could not be installed" in app.run(78)
    Path(f"{app.notes}.broken").unlink()
    app.noted()
    app.run()
    assert app.noted() == ["uv pip", *ROUND]


def test_an_environment_whose_python_is_gone_is_made_anew(app: App) -> None:
    app.run()
    app.noted()
    (app.venv / "bin" / "python").unlink()
    app.run()
    assert app.noted() == ["uv venv", "uv pip", *ROUND]


def test_a_python_that_became_another_version_gets_an_environment_of_its_own(app: App) -> None:
    app.run()
    app.noted()
    python = app.venv / "bin" / "python"
    python.unlink()
    python.symlink_to("/bin/false")
    app.run()
    assert app.noted() == ["uv venv", "uv pip", *ROUND]
    app.run()
    assert app.noted() == ROUND


def test_where_cd_would_go_elsewhere_it_finds_its_own_folder(app: App, tmp_path: Path) -> None:
    (tmp_path / "other" / "app").mkdir(parents=True)
    app.env["CDPATH"] = str(tmp_path / "other")
    done = subprocess.run(["bash", "app/run.sh"], env=app.env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert app.noted() == ["uv venv", "uv pip", *ROUND]


def test_a_folder_of_somebody_else_is_left_alone(app: App) -> None:
    app.venv.mkdir()
    (app.venv / "pyvenv.cfg").touch()
    assert "was not made by this script" in app.run(78)
    assert [path.name for path in app.venv.iterdir()] == ["pyvenv.cfg"]
    assert not app.lock.exists()


def test_the_lock_of_a_call_that_was_killed_is_taken_over(app: App) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    app.lock.mkdir()
    (app.lock / "pid").write_text(f"{ended.pid}\n")
    app.run()
    assert app.noted()[-2:] == ROUND
    assert not app.lock.exists()


def test_a_lock_whose_number_is_another_program_by_now_is_taken_over(app: App) -> None:
    app.lock.mkdir()
    with subprocess.Popen(["/bin/sleep", "60"]) as other:
        (app.lock / "pid").write_text(f"{other.pid}\n")
        app.run()
        other.kill()
    assert app.noted()[-2:] == ROUND
    assert not app.lock.exists()


def test_the_second_call_waits_for_the_first(app: App) -> None:
    app.lock.mkdir()
    first = subprocess.Popen(["sh", "-c", "read word", "run.sh"], stdin=PIPE)
    (app.lock / "pid").write_text(f"{first.pid}\n")
    (app.bin / "sleep").unlink()
    app.program("sleep", f"#!/bin/sh\necho waits >>'{app.notes}'\nexec /bin/sleep 0.05\n")
    with subprocess.Popen([app.folder / "run.sh"], env=app.env) as process:
        until(lambda: app.notes.exists() and app.notes.read_text().startswith("waits"))
        shutil.rmtree(app.lock)
        assert process.wait() == 0
    first.communicate()
    assert [word for word in app.noted() if word != "waits"] == ["uv venv", "uv pip", *ROUND]


def test_ending_it_while_it_prepares_leaves_nothing_behind(app: App) -> None:
    app.tell("hang")
    pid = Path(f"{app.notes}.pid")
    with subprocess.Popen([app.folder / "run.sh"], env=app.env) as process:
        until(lambda: pid.exists() and pid.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
    assert not app.lock.exists()
    until(lambda: not Path("/proc", pid.read_text().strip(), "exe").exists())


def test_a_machine_without_a_new_enough_python_is_told_what_to_install(app: App) -> None:
    app.env["OLD"] = "1"
    said = app.run(78)
    assert "no Python 3.11 or newer was found" in said
    assert "apt install python3" in said


def test_a_python_can_be_named(app: App) -> None:
    app.program("mine", PYTHON)
    (app.bin / "python3").unlink()
    app.env["SCQ_PYTHON"] = str(app.bin / "mine")
    app.run()
    assert app.noted()[-2:] == ROUND


@pytest.mark.parametrize(("code", "seen"), [("75", 0), ("5", 5)])
def test_try_later_is_no_failure_of_the_app(app: App, code: str, seen: int) -> None:
    app.tell("code", code)
    app.run(seen)
    assert app.noted()[-2:] == ROUND


def test_without_a_home_it_says_so(app: App) -> None:
    del app.env["HOME"], app.env["SCQ_APP_VENV"]
    assert "HOME is not set" in app.run(78)


def test_the_environment_lies_with_the_data_of_the_account(app: App, tmp_path: Path) -> None:
    del app.env["SCQ_APP_VENV"]
    app.run()
    (made,) = (path for path in (tmp_path / ".local" / "share" / "scq").iterdir())
    assert (made / "scq-ready").exists()
