"""Submitted code that is no plain code: links, pipes, sockets, unreadable or endless files. Refused with the reason."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.hostile import GENERATIONS, SCRIPT, SECRET, Apart, Bound, Box, Careful, needs_rights, problems_of


def socket_at(path: Path) -> None:
    """The path of a socket is at most 107 bytes long, so it is bound from its folder."""
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


SPECIAL: dict[str, tuple[str, Callable[[Path, Path], object]]] = {
    "link to a secret": ("a symbolic link", lambda path, secret: path.symlink_to(secret)),
    "relative link out": ("a symbolic link", lambda path, secret: path.symlink_to("../" * 12 + str(secret)[1:])),
    "link inside": ("a symbolic link", lambda path, secret: path.symlink_to("run.sh")),
    "link to a folder": ("a symbolic link", lambda path, secret: path.symlink_to(secret.parent)),
    "link to itself": ("a symbolic link", lambda path, secret: path.symlink_to(path.name)),
    "link to nothing": ("a symbolic link", lambda path, secret: path.symlink_to("nowhere")),
    "FIFO": ("a FIFO", lambda path, secret: os.mkfifo(path)),
    "socket": ("a socket", lambda path, secret: socket_at(path)),
    "control characters": ("control characters", lambda path, secret: path.with_name("a\x1b[2Jb\n").write_text("x")),
    "not UTF-8": ("not UTF-8", lambda path, secret: Path(os.fsdecode(os.fsencode(path) + b"\xff")).write_text("x")),
    "5 GB": ("bytes in total", lambda path, secret: sparse(path, 5 << 30)),
    "too deep": ("deeper than", lambda path, secret: os.makedirs(path.joinpath(*"d" * 40))),
}


def sparse(path: Path, size: int) -> None:
    path.touch()
    os.truncate(path, size)


def refused_and_passed_over(box: Box, uids: dict[str, str], reasons: dict[str, str], good: str) -> None:
    """Every bad job is named with its reason and never approved; the good one is answered."""
    box.owner.scq("check")
    listed = box.listed()
    unnamed = {kind: problems_of(listed[uid]) for kind, uid in uids.items() if reasons[kind] not in problems_of(listed[uid])}
    assert unnamed == {}
    near = Careful(box.owner.home, box.root, box.owner.email)
    for uid in uids.values():
        near.scq("review", uid)
        near.scq("show", uid)
    answer = box.owner.scq("approve", *uids.values(), code=2)
    assert answer.err.count("cannot be run") == len(uids)
    box.answers(good)
    box.owner.scq("reject", *uids.values(), "-r", "no plain files")
    assert {box.listed()[uid]["status"] for uid in uids.values()} == {"rejected"}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_code_that_is_no_plain_file_is_refused_with_its_name(generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path, Apart)
    uids = {kind: box.submit(generation, f"bad{number}") for number, kind in enumerate(SPECIAL)}
    good = box.submit(generation, "healthy")
    for kind, (_, make) in SPECIAL.items():
        make(box.code(uids[kind]) / "extra", box.secret)
    refused_and_passed_over(box, uids, {kind: reason for kind, (reason, _) in SPECIAL.items()}, good)
    box.kept_its_secret()


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("kind", ["link to a secret", "FIFO", "socket", "link to nothing"])
def test_a_script_that_is_no_plain_file_is_refused(kind: str, generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path, Apart if kind == "FIFO" else Careful)
    bad, good = box.submit(generation, "bad"), box.submit(generation, "healthy")
    script = (box.place(bad) / "run.sh") if generation != "a3" else (box.code(bad) / "run.sh")
    script.unlink()
    SPECIAL[kind][1](script, box.secret)
    refused_and_passed_over(box, {kind: bad}, {kind: "run.sh"}, good)
    box.kept_its_secret()


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("kind", ["link to a folder", "FIFO", "socket", "link to nothing"])
def test_a_code_folder_that_is_none_is_refused(kind: str, generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path, Apart if kind == "FIFO" else Careful)
    bad, good = box.submit(generation, "bad"), box.submit(generation, "healthy")
    folder = box.code(bad) if generation != "b2" else box.place(bad) / "extra"
    if folder.is_dir():
        folder.rename(tmp_path / "aside")
    SPECIAL[kind][1](folder, box.secret)
    refused_and_passed_over(box, {kind: bad}, {kind: folder.name}, good)
    box.kept_its_secret()


@pytest.mark.parametrize("generation", ["c0"])
def test_far_too_many_files_are_refused_without_opening_them(generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path)

    bad, good = box.submit(generation, "bad"), box.submit(generation, "healthy")
    folder = box.code(bad) / "many"
    folder.mkdir()
    for number in range(10_100):
        os.close(os.open(folder / f"f{number}", os.O_CREAT | os.O_WRONLY))
    refused_and_passed_over(box, {"many": bad}, {"many": "more than 10000 files"}, good)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_hard_link_is_copied_and_what_it_points_to_is_never_written(generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path)
    target = tmp_path / "theirs.txt"
    target.write_text("as it was")
    job = box.submit(generation, "linked", "echo changed > extra\n" + SCRIPT)
    good = box.submit(generation, "healthy")
    code = box.code(job)
    os.link(target, code / "extra")
    os.link(target, code / "second")
    box.answers(good)
    box.answers(job)
    assert target.read_text() == "as it was"


@pytest.mark.parametrize("generation", GENERATIONS)
def test_hard_links_in_place_of_files_scq_writes_are_replaced_not_written_through(generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path)
    target = tmp_path / "theirs.txt"
    target.write_text("as it was")
    job, good = box.submit(generation, "linked"), box.submit(generation, "healthy")
    box.owner.scq("approve", job)
    answer = Path(str(box.place(job)).replace("/inbox/", "/review/"))
    answer.mkdir(parents=True, exist_ok=True)
    logs = ("execution.log",) if generation == "a3" else ("stdout.txt", "stderr.txt", "returncode.txt")
    for name in (*logs, "syft.pub.yaml"):
        (answer / name).unlink(missing_ok=True)
        os.link(target, answer / name)
    outputs = answer / ("output" if generation == "a3" else "outputs")
    outputs.mkdir(exist_ok=True)
    os.link(target, outputs / "answer.txt")
    runs = box.owner.json("run-approved", code=None)["runs"]
    assert [run["status"] for run in runs] == ["completed"]
    box.answers(good)
    assert target.read_text() == "as it was"


@needs_rights
@pytest.mark.parametrize("generation", GENERATIONS)
def test_what_the_owner_may_not_read_is_named_and_never_approved(generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path, Bound)
    uids = {what: box.submit(generation, what) for what in ("file", "folder", "metadata", "script")}
    good = box.submit(generation, "healthy")
    modes = {}
    for what, uid in uids.items():
        code, place = box.code(uid), box.place(uid)
        (code / "sub").mkdir()
        (code / "sub" / "file.txt").write_text(SECRET)
        metadata = place / ("metadata.json" if generation == "a3" else "config.yaml")
        script = code / "run.sh" if (code / "run.sh").exists() else place / "run.sh"
        path = {"file": code / "note.txt", "folder": code / "sub", "metadata": metadata, "script": script}[what]
        modes[path] = path.stat().st_mode
        path.chmod(0)
    checked = box.owner.scq("check", code=None)
    listed = box.listed()
    for uid, path in zip(uids.values(), modes, strict=True):
        assert path.name in checked.err + problems_of(listed[uid])
    assert box.owner.json("approve", *uids.values(), code=None)["jobs"] == []
    box.answers(good)
    for path, mode in modes.items():
        path.chmod(mode)
    box.owner.scq("check", "--full")
    box.answers(uids["file"])


@pytest.mark.parametrize("name", ["outputs", ".venv", "logs"])
def test_files_that_do_not_belong_to_a_submission_hide_none_that_do(name: str, tmp_path: Path) -> None:
    box = Box(tmp_path)
    job = box.submit("b2", "hiding", "bash zz/part.sh\n" + SCRIPT)
    place = box.place(job)
    (place / "zz").mkdir()
    (place / "zz" / "part.sh").write_text("echo part\n")
    (place / name).mkdir()
    for number in range(22_000):
        os.close(os.open(place / name / f"f{number}", os.O_CREAT | os.O_WRONLY))
    assert "zz/part.sh" in [file["path"] for file in box.owner.json("review", job)["files"]]
    box.answers(job)


def test_permission_files_of_every_folder_hide_no_code(tmp_path: Path) -> None:
    box = Box(tmp_path)
    job, good = box.submit("c0", "hiding"), box.submit("c0", "healthy")
    code = box.code(job)
    for number in range(10_600):
        (code / f"d{number}").mkdir()
        (code / f"d{number}" / "syft.pub.yaml").touch()
    (code / "zz").mkdir()
    (code / "zz" / "part.sh").write_text("echo part\n")
    answer = box.owner.scq("review", job, "--json", code=None)
    assert "zz/part.sh" in answer.out or "more than 10000 files" in answer.out
    box.answers(good)
