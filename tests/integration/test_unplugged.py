"""Each part unplugged in turn: the problem is named, the exit code is the documented one, and the other parts go on working."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.people import OWNER, World
from tests.servers.drive import DriveServer, Fault
from tests.servers.google import google_on_loopback
from tests.servers.http import Answer


class Plant:
    """An owner with an approved job and one that is new, whose calls are processes; `cycle` says what became of one."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.owner = self.world.owner
        self.folder = folder
        self.settings: dict[str, Any] = {"sandbox": "none"}
        self.wrapper: tuple[str, ...] = ()
        """The program through which calls are made."""

    def configure(self, **settings: Any) -> None:
        self.settings |= settings
        self.owner.configure(json.dumps(self.settings))

    def fill(self) -> tuple[str, str]:
        """(an approved job, a new one), after a first look."""
        self.owner.scq("cycle", code=None)
        return self.world.approved("allowed"), self.world.submit("news")

    def cycle(self, code: int) -> dict[str, Any]:
        document = self.owner.scq("cycle", "--json", code=code).json
        assert document["exit_code"] == code
        return document

    def call(self, *words: str, before: str = "", env: dict[str, str] | None = None) -> tuple[int, str, str]:
        """(exit code, stdout, stderr) of a process; `before`: shell words to be carried out first."""
        place = ["--home", str(self.owner.home), "--root", str(self.world.root), "--email", OWNER]
        call = [*self.wrapper, sys.executable, "-m", "scq", *place, *words]
        if before:
            call = ["/bin/sh", "-c", f'{before} && exec "$@"', "sh", *call]
        surroundings = {**os.environ, **(env or {})}
        ended = subprocess.run(
            call, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, env=surroundings, check=False
        )
        return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def steps(document: dict[str, Any]) -> dict[str, int]:
    return {step["name"]: step["exit_code"] for step in document["data"]["steps"]}


def told(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(row["kind"], row["state"]) for row in document["data"]["messages"]}


def named(document: dict[str, Any]) -> str:
    """Everything a cycle says is wrong."""
    return "\n".join([*(f"{p['where']}: {p['what']} {p['advice']}" for p in document["problems"]), *document["errors"]])


def ran(document: dict[str, Any]) -> list[str]:
    return [row["id"] for row in document["data"]["runs"] if row["status"] == "completed"]


# Google Drive


@pytest.fixture
def drive(plant: Plant) -> Iterator[DriveServer]:
    with DriveServer() as server:
        token = server.token_file(plant.owner.home / "token_do.json", OWNER, read_only=True)
        plant.configure(drive_token_path=str(token), drive={"endpoint": server.endpoint, "timeout": 2})
        yield server


def is_all_but_drive(document: dict[str, Any], allowed: str, new: str) -> None:
    """The folders were looked at, the job was run, people were told."""
    assert ran(document) == [allowed]
    assert [job["id"] for job in document["data"]["check"]["new_jobs"]] == [new]
    assert ("job.received", "sent") in told(document)
    assert {name: code for name, code in steps(document).items() if name != "check"} == {"run-approved": 0, "notify": 0}
    assert "drive" in named(document).lower()


@pytest.mark.parametrize("what", ["refuses every connection", "answers 503", "hangs"])
def test_a_drive_that_is_away(plant: Plant, drive: DriveServer, what: str) -> None:
    allowed, new = plant.fill()
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    if what == "answers 503":
        drive.faults.append(Fault(status=503, times=10_000))
    else:
        if what == "hangs":
            silent.listen(50)  # connections are made, and never answered
        plant.configure(drive={"endpoint": f"http://127.0.0.1:{silent.getsockname()[1]}/", "timeout": 2})
    is_all_but_drive(plant.cycle(75), allowed, new)
    silent.close()


def test_a_drive_that_refuses_the_sign_in(plant: Plant, drive: DriveServer) -> None:
    allowed, new = plant.fill()
    drive.faults.append(Fault(status=401, times=10_000))
    document = plant.cycle(77)
    is_all_but_drive(document, allowed, new)
    assert "scq auth" in named(document)


def test_a_drive_that_comes_back_is_looked_at_again(plant: Plant, drive: DriveServer) -> None:
    plant.fill()
    drive.faults.append(Fault(status=503, times=10_000))
    plant.cycle(75)
    drive.faults.clear()
    assert {source["name"]: source["ok"] for source in plant.cycle(0)["data"]["check"]["sources"]} == {
        "local": True,
        "drive": True,
    }


# Telling people


def test_a_mail_server_that_is_away(plant: Plant) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        plant.configure(channels={"relay": {"type": "smtp", "host": "127.0.0.1", "port": port, "tls": "none", "insecure": True}})
        allowed, new = plant.fill()
        document = plant.cycle(0)
    assert ran(document) == [allowed]
    assert new in {job["id"] for job in document["data"]["check"]["new_jobs"]}
    assert {state for _, state in told(document)} == {"deferred"}
    assert all(f"127.0.0.1:{port}" in row["outcome"] for row in document["data"]["messages"])


def test_a_gmail_that_refuses_the_sign_in(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = {"type": "file", "path": str(tmp_path / "box"), "format": "maildir"}
    with google_on_loopback(tmp_path, monkeypatch) as google:
        token = tmp_path / "gmail.json"
        google.token_file(token)
        plant.configure(gmail_token_path=str(token), channels={"post": {"type": "gmail"}, "box": box})
        plant.configure(routing={"levels": {"info": ["post", "box"]}})
        allowed, new = plant.fill()
        google.next_sends = [Answer(401, body={"error": {"code": 401, "message": "Invalid Credentials"}})] * 20
        document = plant.cycle(77)
    assert "post needs a sign-in" in named(document)
    assert ran(document) == [allowed]
    assert new in {job["id"] for job in document["data"]["check"]["new_jobs"]}
    assert len(list((tmp_path / "box" / "new").iterdir())) >= 3, "the other channel goes on"


# Sandbox, configuration, state


def test_no_bubblewrap_on_this_machine(plant: Plant, tmp_path: Path) -> None:
    allowed, new = plant.fill()
    plant.configure(sandbox="bwrap")
    (tmp_path / "bin").mkdir()
    code, out, _ = plant.call("cycle", "--json", env={"PATH": str(tmp_path / "bin")})
    document = json.loads(out)
    if shutil.which("bwrap", path="/usr/bin:/bin:/usr/local/bin") and code == 0:
        pytest.skip("bubblewrap is found without PATH here")
    assert code == 78
    assert "bwrap" in named(document)
    assert steps(document) == {"run-approved": 78, "check": 0, "notify": 0}
    assert ("job.received", "sent") in told(document)
    assert plant.owner.job(allowed)["status"] == "approved", "nothing runs without the sandbox"
    assert plant.owner.job(new)["status"] == "pending"


@pytest.mark.parametrize("text", ["sandbox: [\n", "sandbox: nine\n", "version: 2\nsandbox: none\n"])
def test_a_broken_configuration(plant: Plant, text: str) -> None:
    plant.fill()
    state = (plant.owner.home / "state.json").read_bytes()
    plant.owner.configure(text)
    answer = plant.owner.scq("cycle", code=78)
    assert "config.yaml" in answer.err
    assert (plant.owner.home / "state.json").read_bytes() == state
    plant.configure()
    assert plant.cycle(0)["data"]["runs"]


@pytest.mark.parametrize("damage", [b"", b'{"schema": 3, "revis'])
def test_a_damaged_state(plant: Plant, damage: bytes) -> None:
    allowed, new = plant.fill()
    plant.owner.scq("cycle", "--no-run")
    (plant.owner.home / "state.json").write_bytes(damage)
    document = plant.cycle(0)
    assert "was damaged" in named(document)
    assert ran(document) == [allowed]
    assert damage in {path.read_bytes() for path in plant.owner.home.glob("state.json.corrupt-*")}
    assert plant.owner.job(new)["status"] == "pending"
    assert "was damaged" not in named(plant.cycle(0))


# Disk and rights


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_under_the_state(plant: Plant, tmp_path: Path) -> None:
    allowed, new = plant.fill()
    saved = tmp_path / "saved"
    shutil.copytree(plant.owner.home, saved)
    script = (
        f"mount -t tmpfs -o size=2m tmpfs {plant.owner.home} && cp -a {saved}/. {plant.owner.home}/ && "
        f"(head -c 8m /dev/zero > {plant.owner.home}/filler 2>/dev/null || true) && {{ "
    )
    ended = in_own_mounts(plant, script, f"rm {plant.owner.home}/filler")
    (code, out, err), (again, out_again, _) = ended
    assert code == 1, (out, err)
    assert "No space left on device" in out + err
    assert "Make room" in out + err
    assert "Traceback" not in err
    assert again == 0, out_again
    documents = [json.loads(out), json.loads(out_again)]
    assert [uid for document in documents if document["data"] for uid in ran(document)] == [allowed]
    sent = [(row["job"], row["kind"], row["recipient"]) for document in documents for row in rows_sent(document)]
    assert sorted(sent) == sorted(set(sent)), "nothing is said twice"
    assert (new, "job.received", OWNER) in sent


def rows_sent(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in document["data"].get("messages", ()) if row["state"] == "sent"]


def in_own_mounts(plant: Plant, prepare: str, mend: str) -> tuple[tuple[int, str, str], tuple[int, str, str]]:
    """Two cycles below a mount that ends with them: one as prepared, one after `mend`."""
    place = f"--home {plant.owner.home} --root {plant.world.root} --email {OWNER} cycle --json"
    out = plant.folder / "said"
    out.mkdir()
    calls = [
        f"{sys.executable} -m scq {place} > {out}/{number}.out 2> {out}/{number}.err; echo $? > {out}/{number}.code"
        for number in (1, 2)
    ]
    script = f"{prepare}{calls[0]}; {mend}; {calls[1]}; }}"
    ended = subprocess.run(["unshare", "-m", "/bin/sh", "-c", script], capture_output=True, text=True, timeout=120, check=False)
    if not (out / "2.code").exists():
        pytest.skip(f"no file system can be mounted here: {ended.stderr}")
    first, second = (
        (int((out / f"{n}.code").read_text()), (out / f"{n}.out").read_text(), (out / f"{n}.err").read_text()) for n in (1, 2)
    )
    return first, second


def test_a_disk_that_takes_only_small_files(plant: Plant) -> None:
    """A limit on the size of files is met like a full disk, also without the rights to mount one."""
    plant.fill()
    before = (plant.owner.home / "state.json").read_bytes()
    code, out, err = plant.call("cycle", "--json", before="trap '' XFSZ; ulimit -f 4")
    assert code == 1, (out, err)
    assert "File too large" in out + err
    assert (plant.owner.home / "state.json").read_bytes() == before
    assert plant.cycle(0)["data"]["runs"]


def allow(folder: Path, mode: int) -> None:
    """Set what its owner and others may do with the folders at and below a folder."""
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(mode)


@pytest.fixture
def rights(plant: Plant) -> Iterator[None]:
    """Rights hold for the calls of this test, also where the tests are root's, and are given back at its end."""
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root cannot give up its rights here")
        plant.wrapper = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")
    yield
    allow(plant.folder, 0o755)


@pytest.mark.usefixtures("rights")
def test_a_syftbox_folder_that_cannot_be_written(plant: Plant) -> None:
    """Looking and telling go on; what could not be written there is made up for later, and no job runs twice."""
    allowed, new = plant.fill()
    allow(plant.world.root, 0o555)
    code, out, err = plant.call("cycle", "--json")
    document = json.loads(out)
    assert code == 1, (out, err)
    assert str(plant.world.root) in named(document)
    assert "ermission denied" in named(document)
    assert new in {job["id"] for job in document["data"]["check"]["new_jobs"]}
    assert (steps(document)["check"], steps(document)["notify"]) == (0, 0)
    assert ("job.received", "sent") in told(document)
    allow(plant.world.root, 0o755)
    code, out, err = plant.call("cycle", "--json")
    assert code == 0, (out, err)
    shown = json.loads(plant.call("show", allowed, "--json")[1])["data"]
    assert shown["status"] == "completed"
    rows = [json.loads(line)["row"]["what"] for line in (plant.owner.home / "audit.jsonl").read_text().splitlines()]
    assert rows.count("end") == 1


@pytest.mark.usefixtures("rights")
def test_a_home_that_cannot_be_written(plant: Plant) -> None:
    """Without memory nothing may be run or told: it would be done again and again. The call says so, and reading goes on."""
    allowed, _ = plant.fill()
    allow(plant.owner.home, 0o555)
    code, out, err = plant.call("cycle", "--json")
    assert code == 1, (out, err)
    assert "ermission denied" in out + err
    assert str(plant.owner.home) in out + err
    assert "scq doctor" in out + err
    code, out, err = plant.call("list", "--json")
    assert code == 0, err
    assert {job["id"]: job["status"] for job in json.loads(out)["data"]["jobs"]}[allowed] == "approved"


def test_a_syftbox_folder_that_is_away(plant: Plant) -> None:
    allowed, _ = plant.fill()
    away = plant.folder / "away"
    plant.world.root.rename(away)
    document = plant.cycle(75)
    assert str(plant.world.root) in named(document)
    assert steps(document)["notify"] == 0
    assert document["data"]["runs"] == []
    away.rename(plant.world.root)
    assert ran(plant.cycle(0)) == [allowed]
