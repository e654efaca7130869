"""Jobs that try to get out: each fails to do what it tries, and the job after it is unharmed. As root and as an ordinary user."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.people import OWNER, SCIENTIST, Person, code_folder, syftbox
from tests.sandbox.corpus import ATTACKS, Attack

ORDINARY = 65534
SECRET = "TOP-SECRET-4711"
CONFIG = """\
sandbox: {type: bwrap, scratch: SCRATCH}
network: none
max_concurrent_jobs: 1
job_timeout: 20s
limits: {cpu: 3s, memory: 300 MiB, processes: 100, open_files: 200, file_size: 100 MiB, disk: 200 MiB}
run: {output_bytes: 10 MiB, output_files: 50}
data:
  - {path: DATA/shown, at: /data/shown}
  - {path: DATA/hidden, at: /data/hidden, submitters: [somebody@else.example]}
"""
OUT = 'OUT="$PWD/outputs"\nmkdir -p "$OUT"\nset +e\n'
NEIGHBOUR = "mkdir -p outputs\ncat /data/shown/secret.csv > /dev/null\necho 42 > outputs/answer.txt\n"

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


class Scene:
    """A machine with secrets and servers, and an owner on it who runs other people's jobs."""

    def __init__(self, folder: Path, user: int | None) -> None:
        self.folder = folder
        self.user = user
        self.root = syftbox(folder, OWNER, SCIENTIST)
        data = folder / "data"
        for name in ("shown", "hidden"):
            (data / name).mkdir(parents=True)
            (data / name / "secret.csv").write_text(f"{SECRET}\n")
        self.config = CONFIG.replace("DATA", str(data)).replace("SCRATCH", str(folder / "scratch"))
        self.owner = Person(folder / "do", self.root, OWNER, self.config)
        self.scientist = Person(folder / "ds", self.root, SCIENTIST)
        (self.owner.home / "gmail_token.json").write_text(SECRET)
        other = self.owner.home / "runs/earlier"
        other.mkdir(parents=True)
        (other / "stdout.txt").write_text(SECRET)
        self.words = {"home": str(self.owner.home), "root": str(self.root), "other": str(other)}
        self.before = self.secrets()

    def secrets(self) -> dict[str, tuple[int, bytes]]:
        """Mode and content of everything a job may not change."""
        places = [self.folder / "data", self.owner.home / "runs/earlier", self.owner.home / "gmail_token.json"]
        files = [path for place in places for path in [place, *place.rglob("*")]]
        return {str(path): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"") for path in files}

    def submit(self, name: str, script: str, layout: str = "b2") -> str:
        source = code_folder(self.folder / "sent" / name, script)
        return str(self.scientist.json("submit", OWNER, str(source), "--name", name, "--layout", layout)["id"])

    def run(self) -> dict[str, dict[str, Any]]:
        """What `run-approved` says of each job, by id. Called by the user of this scene."""
        self._hand_over()
        said = self.folder / "said.json"
        as_user(self.user, lambda: said.write_text(json.dumps(self.owner.json("run-approved", code=None))), said)
        return {row["id"]: row for row in json.loads(said.read_text())["runs"]}

    def _hand_over(self) -> None:
        if self.user is not None:
            for path in [self.folder, *self.folder.rglob("*")]:
                os.chown(path, self.user, self.user, follow_symlinks=False)

    def results(self) -> list[Path]:
        """Every result file that scq keeps, of all jobs."""
        return [path for run in (self.owner.home / "runs").iterdir() for path in (run / "outputs").rglob("*")]


def as_user(user: int | None, act: Callable[[], object], said: Path) -> None:
    """Do something as another user, in a fork."""
    if user is None:
        act()
        return
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            act()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.fixture(params=["caller", "ordinary"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    if request.param == "ordinary" and os.geteuid() != 0:
        pytest.skip("the caller is an ordinary user")
    with tempfile.TemporaryDirectory(prefix="scq-escape-") as name:
        os.chmod(name, 0o755)
        if request.param == "ordinary":
            warm_up()
        yield Scene(Path(name), ORDINARY if request.param == "ordinary" else None)


_warm: list[bool] = []


def warm_up() -> None:
    """Load every module a run needs: an ordinary user may not be able to read the Python of the tests."""
    if _warm:
        return
    with tempfile.TemporaryDirectory(prefix="scq-warm-") as name:
        os.chmod(name, 0o755)
        scene = Scene(Path(name), None)
        scene.owner.scq("approve", scene.submit("warm", NEIGHBOUR))
        assert [row["status"] for row in scene.run().values()] == ["completed"]
    _warm.append(True)


@pytest.fixture
def outside() -> Iterator[dict[str, str]]:
    """Things of this machine that a job would like to reach: servers, a process, a variable."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="scq-outside-"))
        os.chmod(folder, 0o755)
        token = os.path.basename(folder)
        words = {"abstract": token, "socket": f"{folder}/socket", "daemon": f"daemon-{token}", "canary": f"canary-{token}"}
        for family, address in (
            (socket.AF_INET, ("127.0.0.1", 0)),
            (socket.AF_UNIX, f"\0{token}"),
            (socket.AF_UNIX, words["socket"]),
        ):
            server = stack.enter_context(socket.socket(family))
            server.bind(address)
            server.listen()
            if family == socket.AF_INET:
                words["port"] = str(server.getsockname()[1])
        os.chmod(words["socket"], 0o777)
        words["udp"] = str(_echo(stack))
        sleeper = subprocess.Popen(["sleep", "600"], env={**os.environ, "CANARY": words["canary"]})
        stack.callback(sleeper.wait)
        stack.callback(sleeper.kill)
        yield {**words, "pid": str(sleeper.pid)}
        assert sleeper.poll() is None, "the process outside was ended"


def _echo(stack: ExitStack) -> int:
    server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    server.bind(("127.0.0.1", 0))

    def answer() -> None:
        while (came := server.recvfrom(9))[0] != b"end":
            server.sendto(b"pong", came[1])

    thread = threading.Thread(target=answer)
    thread.start()
    port: int = server.getsockname()[1]

    def end() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"end", ("127.0.0.1", port))
        thread.join()

    stack.callback(end)
    return port


def filled(script: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        script = script.replace("{" + word + "}", value)
    return script


def named(word: str) -> list[str]:
    """Processes of this machine that carry a name."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found += [entry.name] if word.encode() in (entry / "cmdline").read_bytes() else []
            except OSError:  # it has ended meanwhile
                continue
    return found


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name.replace(" ", "-"))
def test_a_job_does_not_get_out_and_the_next_one_is_unharmed(attack: Attack, scene: Scene, outside: dict[str, str]) -> None:
    scene.owner.configure(attack.config + "".join(line for line in scene.config.splitlines(True) if not _given(line, attack)))
    uid = scene.submit("attack", OUT)
    place = scene.root / scene.owner.job(uid)["path"]
    script = place / "run.sh"
    script.write_text(filled(script.read_text() + OUT + attack.script, {**scene.words, **outside, "code": str(place)}))
    source = script.read_bytes()
    neighbour = scene.submit("neighbour", NEIGHBOUR)
    for job in (uid, neighbour):
        scene.owner.scq("review", job)
        scene.owner.scq("approve", job)
    runs = scene.run()
    assert runs[uid]["cause"] in attack.causes, runs[uid]
    assert [path for path in scene.results() if path.name == "escaped"] == []
    assert not [path for path in scene.results() if path.is_symlink() or not (path.is_file() or path.is_dir())]
    assert not [path for path in scene.results() if path.stat().st_mode & 0o6000]
    assert SECRET not in "".join(path.read_text(errors="replace") for path in scene.results() if path.is_file())
    assert (runs[neighbour]["status"], runs[neighbour]["exit_code"]) == ("completed", 0), runs[neighbour]
    assert [path.read_text() for path in scene.results() if path.name == "answer.txt"] == ["42\n"]
    assert scene.secrets() == scene.before
    assert script.read_bytes() == source
    assert named(outside["daemon"]) == []
    assert not list((scene.folder / "scratch").glob("scq-*")), "the private copies are gone"


def _given(line: str, attack: Attack) -> bool:
    return bool(attack.config) and line.startswith(attack.config.partition(":")[0] + ":")


@pytest.mark.parametrize(
    "attack", [attack for attack in ATTACKS if attack.outside], ids=lambda attack: attack.name.replace(" ", "-")
)
def test_the_same_attempt_succeeds_without_a_box(attack: Attack, tmp_path: Path, outside: dict[str, str]) -> None:
    scene = Scene(tmp_path, None)
    work = tmp_path / "work"
    work.mkdir()
    words = {**scene.words, **outside, "code": str(work)}
    (work / "run.sh").write_text("")
    script = filled(OUT + attack.script, words)
    ended = subprocess.run(["bash", "-c", script], cwd=work, capture_output=True, text=True, check=False, timeout=60)
    assert (work / "outputs/escaped").exists(), ended


def test_a_script_replaced_after_its_approval_does_not_run(scene: Scene) -> None:
    uid = scene.submit("swapped", NEIGHBOUR)
    scene.owner.scq("approve", uid)
    (scene.root / scene.owner.job(uid)["path"] / "run.sh").write_text("#!/bin/bash\nmkdir -p outputs\ntouch outputs/escaped\n")
    runs = scene.run()
    assert runs[uid]["cause"] == "integrity"
    assert [path for path in scene.results() if path.name == "escaped"] == []


@pytest.mark.parametrize(
    ("layout", "content", "status"),
    [
        ("b2", b"\x7fELF\x02\x01\x01" + b"\0" * 200, "failed"),
        ("b2", b"\xff\xfe\0\0no script\n", "failed"),
        ("b2", b"", "completed"),
        ("b2", b"#!/no/such/interpreter\necho hello\n", "completed"),  # this generation hands the script to bash
        ("a3", b"#!/no/such/interpreter\necho hello\n", "failed"),
    ],
)
def test_a_script_that_is_none_harms_nobody(layout: str, content: bytes, status: str, scene: Scene) -> None:
    uid = scene.submit("odd", "", layout)
    place = scene.root / scene.owner.job(uid)["path"]
    (place / "code" / "run.sh" if layout == "a3" else place / "run.sh").write_bytes(content)
    neighbour = scene.submit("neighbour", NEIGHBOUR)
    for job in (uid, neighbour):
        scene.owner.scq("approve", job)
    runs = scene.run()
    assert (runs[uid]["status"], runs[uid]["cause"]) == (status, "start" if layout == "a3" else "exit")
    assert runs[neighbour]["status"] == "completed"
