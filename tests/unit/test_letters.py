"""What is read for a message when it is sent, and that nothing a job does can stop the message."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scq import letters
from scq.config_values import Config
from scq.context import Context
from scq.errors import InvalidFileError
from scq.letters import COMPARED_BYTES, FILE_BYTES, LISTED, MAIL_BYTES, extra, script
from scq.model import Notification, Role, Whereabouts
from scq.render import MAIL_LIMIT, Renderer
from scq.showing import when
from scq.state import State
from tests.making import NOW, run
from tests.people import OWNER, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """People after a first look: what comes from now on is told."""
    made = World(tmp_path)
    made.owner.scq("check")
    return made


def code_of(world: World, uid: str) -> Path:
    """The folder with the code of a job."""
    return world.place(uid) / "code"


def context(world: World, **settings: Any) -> Context:
    world.owner.scq("check")
    return Context(Config(email=OWNER, root=str(world.root), **settings), str(world.owner.home), env={})


def queued(ctx: Context, uid: str, kind: str = "job.received", role: Role = "do") -> Notification:
    """The row that a look has put into the outbox."""
    rows = ctx.store.load().outbox.values()
    return next(row for row in rows if (row.job_id, row.kind, row.role) == (uid, kind, role))


def test_the_owner_gets_the_code_run_sh_first_with_everything_needed_to_decide(world: World) -> None:
    before = world.approved(note__txt="one\n", layout="a3")
    uid = world.submit("count", "curl x\n", a__py="import socket\n", note__txt="two\n", layout="a3")
    ctx = context(world)
    row = queued(ctx, uid)
    found = extra(ctx, row)
    assert list(found["job_code"]) == ["run.sh", "a.py", "note.txt"]
    assert found["job_code"]["run.sh"] == "#!/bin/bash\nset -e\ncurl x"
    assert found["job_files"] == ["     26 B  run.sh", "     14 B  a.py", "      4 B  note.txt"]
    assert {"label": "name", "value": "count"} in found["job_fields"]
    assert found["findings"][0] == "run.sh:3  network  curl uses the network"
    assert before in found["compared"]["title"]
    assert "-one\n+two" in found["compared"]["text"]
    assert found["unseen"] == []
    renderer = Renderer()
    message = renderer.message(row, sender=OWNER, extra=found)
    assert renderer.problems == []
    for word in ("--- run.sh ---", "scq approve", "curl uses the network", "+two", f"--digest {row.context['digest']}"):
        assert word in message.text
    assert message.text.index("--- run.sh ---") < message.text.index("scq approve") < message.text.index("--- note.txt ---")


def test_findings_that_the_configuration_denies_are_marked(world: World) -> None:
    uid = world.submit("count", "curl x\n", layout="a3")
    ctx = context(world, deny=("network",))
    assert extra(ctx, queued(ctx, uid))["findings"] == ["run.sh:3  network  curl uses the network  (denied by the configuration)"]


def test_the_submitter_gets_nothing_of_it(world: World) -> None:
    uid = world.submit(layout="a3")
    ctx = context(world)
    assert extra(ctx, queued(ctx, uid, role="ds")) == {}
    assert extra(ctx, replace(queued(ctx, uid), kind="job.approved")) == {}


@pytest.mark.parametrize("kind", ["job.failed", "outputs.withheld"])
def test_a_job_without_a_run_has_neither_errors_nor_results(world: World, kind: str) -> None:
    uid = world.submit(layout="a3")
    ctx = context(world)
    assert extra(ctx, replace(queued(ctx, uid), kind=kind)) == {}


def test_no_code_is_shown_of_content_that_changed_since(world: World) -> None:
    uid = world.submit(note__txt="one\n", layout="a3")
    ctx = context(world)
    row = queued(ctx, uid)
    (code_of(world, uid) / "note.txt").write_text("sly\n")
    found = extra(ctx, row)
    assert found == {"job_code": {}, "unseen": [f"Its content has changed since this message was written: scq review {uid[:8]}"]}
    message = Renderer().message(row, sender=OWNER, extra=found)
    assert "has changed since" in message.text
    assert "echo done" not in message.text + (message.html or "")


def test_a_job_that_vanished_or_cannot_be_read_still_gives_a_message(world: World) -> None:
    uid = world.submit(layout="a3")
    ctx = context(world)
    row = queued(ctx, uid)
    place = code_of(world, uid)
    os.symlink("/etc/passwd", place / "link")
    assert extra(ctx, row)["unseen"] == ["Its files cannot be shown: link: is a symbolic link"]
    shutil.rmtree(place)
    assert extra(ctx, row)["unseen"][0].startswith("Its files cannot be shown: ")
    assert extra(ctx, replace(row, job_id="0" * 32))["unseen"] == ["The job is no longer there, so its files cannot be shown."]
    assert extra(ctx, replace(row, job_id="0" * 32, kind="job.failed")) == {}


def test_a_damaged_state_is_a_sentence_not_an_error(world: World) -> None:
    uid = world.submit(layout="a3")
    ctx = context(world)
    row = queued(ctx, uid)
    for path in world.owner.home.glob("state.json*"):
        path.write_text("{")
    assert extra(ctx, row)["unseen"][0].startswith("Not everything can be shown: ")


def test_long_binary_and_excluded_files_are_named_but_not_shown(world: World) -> None:
    uid = world.submit("count", layout="a3", long__txt="x" * (FILE_BYTES + 10), huge__txt="y" * (letters.READ_BYTES + 1))
    place = code_of(world, uid)
    (place / "data.bin").write_bytes(b"\0\1")
    for folder in (".git", "private", "lib/node_modules"):
        (place / folder).mkdir(parents=True)
        (place / folder / "inside.txt").write_text("hidden words")
    ctx = context(world)
    found = extra(ctx, queued(ctx, uid))
    code, notes = found["job_code"], found["code_notes"]
    assert len(code["long.txt"]) == FILE_BYTES
    assert notes["long.txt"] == "only the first 51.2 kB of 51.2 kB; scq review shows the rest"
    assert code["huge.txt"] == code["data.bin"] == ""
    assert notes["huge.txt"].startswith("1.0 MB, too long to be shown here, sha256 ")
    assert notes["data.bin"].startswith("binary, 2 B, sha256 ")
    assert "hidden words" not in str(found)
    for name in (".git/inside.txt", "private/inside.txt", "lib/node_modules/inside.txt", "huge.txt", "data.bin"):
        assert any(row.endswith(f"  {name}") for row in found["job_files"])
    assert found["unseen"] == [f"Not every file is shown here: scq review {uid[:8]} shows all of them."]


def test_a_run_sh_that_is_too_long_is_cut_with_a_note(world: World) -> None:
    uid = world.submit("count", "# long\n" * 20_000, layout="a3")
    ctx = context(world)
    row = queued(ctx, uid)
    found = extra(ctx, row)
    assert len(found["job_code"]["run.sh"]) <= FILE_BYTES
    assert "scq review shows the rest" in found["code_notes"]["run.sh"]
    assert "--- run.sh (only the first 51.2 kB of 140.0 kB" in Renderer().message(row, sender=OWNER, extra=found).text


def test_code_and_mail_have_a_largest_size(world: World) -> None:
    world.approved("count", layout="a3")
    uid = world.submit("count", layout="a3", **{f"f{number:02}__txt": '"<\n' * 16_000 for number in range(30)})
    ctx = context(world)
    row = queued(ctx, uid)
    found = extra(ctx, row)
    shown = sum(len(text.encode()) for text in found["job_code"].values()) + len(found["compared"]["text"].encode())
    assert COMPARED_BYTES < shown <= MAIL_BYTES
    assert len(found["compared"]["text"].encode()) <= COMPARED_BYTES
    assert f"the beginning: scq diff {uid[:8]}" in found["compared"]["title"]
    assert any("Not every file is shown here" in note for note in found["unseen"])
    message = Renderer().message(row, sender=OWNER, extra=found)
    assert len((message.text + (message.html or "")).encode()) <= MAIL_LIMIT
    assert "--- run.sh ---" in message.text
    assert "scq review" in message.text


def test_lists_are_capped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "LISTED", 2)
    monkeypatch.setattr(letters, "CODE_FILES", 2)
    uid = world.submit("count", "curl a\ncurl b\ncurl c\n", layout="a3", a__txt="1", b__txt="2")
    ctx = context(world)
    found = extra(ctx, queued(ctx, uid))
    assert found["job_files"] == ["     40 B  run.sh", "      1 B  a.txt", "and 1 more"]
    assert found["findings"][2:] == ["and 1 more"]
    assert list(found["job_code"]) == ["run.sh", "a.txt"]
    assert LISTED == 200


def test_text_of_strangers_is_clean(world: World) -> None:
    uid = world.submit("count", "echo \x1b[2J \u202e x\n", layout="a3")
    (code_of(world, uid) / "sly\u202etxt.py").write_text("x = '\x1b[31m'\r\n")
    ctx = context(world)
    found = extra(ctx, queued(ctx, uid))
    assert "\u202e" not in str(found)
    assert "\x1b" not in "".join(found["job_code"].values())
    assert "sly\ufffdtxt.py" in found["job_code"]


def test_equal_content_is_said_to_be_equal(world: World) -> None:
    before, uid = world.approved(layout="a3"), world.submit(layout="a3")
    ctx = context(world)
    assert extra(ctx, queued(ctx, uid))["compared"] == {
        "title": f"Nothing differs from the last approved job ({before}).",
        "text": "",
    }


def test_a_finished_job_is_compared_with_too_and_one_that_cannot_be_read_is_said(world: World) -> None:
    before = world.ended("count", layout="a3")
    world.owner.scq("check", "--full")
    uid = world.submit("count", "echo new\n", layout="a3")
    ctx = context(world)
    row = queued(ctx, uid)
    assert before not in {record.id for record in ctx.store.load().jobs.values()}
    assert before in extra(ctx, row)["compared"]["title"]
    os.symlink("/etc/passwd", code_of(world, before) / "link")
    found = extra(ctx, row)
    assert found["compared"] is None
    assert found["unseen"] == [
        f"It could not be compared with what was approved before: {before[:8]} cannot be read: link: is a symbolic link"
    ]
    done = replace(row, job_id=before, kind="outputs.withheld")
    assert extra(ctx, done) == {"files": []}


def test_code_that_changes_between_two_looks_is_not_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = world.submit(note__txt="one\n", layout="a3")
    ctx = context(world)
    row = queued(ctx, uid)
    made = letters.manifest
    place = code_of(world, uid)

    def late(*arguments: Any) -> Any:
        found = made(*arguments)
        (place / "note.txt").write_text("sly\n")
        return found

    monkeypatch.setattr(letters, "manifest", late)
    found = extra(ctx, row)
    assert list(found["job_code"]) == ["run.sh"]
    assert "sly" not in str(found["job_code"])
    assert found["findings"] == []
    assert found["checked"] is False
    assert any("note.txt: changed while it was read" in note for note in found["unseen"])


def test_the_owner_reads_the_end_of_the_error_output(world: World) -> None:
    uid = world.ended("count", "echo secret trouble >&2\nexit 3\n", layout="a3")
    ctx = context(world)
    row = queued(ctx, uid, "job.failed")
    assert "secret trouble" in extra(ctx, row)["error_output"]
    assert extra(ctx, queued(ctx, uid, "job.failed", "ds")) == {}
    record = next(record for record in ctx.store.load().jobs.values() if record.id == uid)
    assert record.run is not None
    log = Path(ctx.runs_folder()) / record.run.directory / "stderr.txt"
    log.write_bytes(b"".join(b"line %06d\n" % number for number in range(20_000)))
    text = extra(ctx, row)["error_output"]
    assert len(text) < letters.ERROR_BYTES + 100
    assert text.startswith("[the beginning is left out: 188.8 kB]\nline 0")
    assert text.endswith("line 019999")
    log.unlink()
    assert extra(ctx, row) == {}
    os.mkfifo(log)
    assert extra(ctx, row)["unseen"][0].startswith("Not everything can be shown: ")
    assert "secret trouble" in Renderer().message(row, sender=OWNER, extra=extra(ctx, row)).text


def test_held_results_are_listed_with_their_sizes(world: World) -> None:
    uid = world.ended("count", 'echo 12345 > "$OUTPUT_DIR/a.csv"\n', layout="a3")
    ctx = context(world)
    row = replace(queued(ctx, uid, "job.completed", "ds"), role="do", kind="outputs.withheld")
    assert extra(ctx, row) == {"files": ["      6 B  a.csv"]}
    assert "      6 B  a.csv" in Renderer().message(row, sender=OWNER, extra=extra(ctx, row)).text


def test_no_file_hides_behind_another_whose_name_looks_the_same(world: World) -> None:
    uid = world.submit("count", layout="a3")
    for mark, text in (("\u202d", "evil()\n"), ("\u202e", "fine()\n")):
        (code_of(world, uid) / f"a{mark}.py").write_text(text)
    ctx = context(world)
    code = extra(ctx, queued(ctx, uid))["job_code"]
    assert list(code) == ["run.sh", "a\ufffd.py", "a\ufffd.py (2)"]
    assert {"evil()", "fine()"} <= set(code.values())


def test_many_files_that_cannot_be_read_leave_room_for_the_rest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*arguments: Any) -> bytes:
        raise InvalidFileError("x" * 300)

    uid = world.submit("count", layout="a3", **{f"f{number}__txt": "x" for number in range(40)})
    ctx = context(world)
    monkeypatch.setattr(letters, "_text", unreadable)
    found = extra(ctx, queued(ctx, uid))
    assert len(found["unseen"]) == letters.UNSEEN + 1
    assert "Not every file is shown here" in found["unseen"][-1]


def test_what_the_configuration_denies_is_not_hidden_behind_many_other_findings(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "LISTED", 2)
    uid = world.submit("count", layout="a3", a__py="import os\neval('1')\neval('2')\neval('3')\n", z__py="import socket\n")
    ctx = context(world, deny=("network",))
    found = extra(ctx, queued(ctx, uid))["findings"]
    assert found[0].startswith("z.py:1  network")
    assert found[0].endswith("(denied by the configuration)")


def test_a_script_that_was_exchanged_after_it_was_hashed_is_not_shown(world: World) -> None:
    """A chat shows only what the row holds, beside the command that approves the digest."""
    uid = world.submit("count", "echo evil\n", layout="a3")
    ctx = context(world)
    (record,) = (record for record in ctx.store.load().jobs.values() if record.id == uid)
    assert "echo evil" in script(ctx, record, 100)
    assert len(script(ctx, record, 4)) == 5
    path = code_of(world, uid) / "run.sh"
    evil = path.read_bytes()
    path.write_text("echo nice\n")
    assert "it was changed while it was read" in script(ctx, record, 100)
    path.write_bytes(evil + b"#" * letters.READ_BYTES)
    assert "too long" in script(ctx, record, 100)
    path.unlink()
    assert "run.sh" in script(ctx, record, 100)


def test_a_script_that_is_exchanged_only_while_it_is_read_is_not_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = world.submit("count", "echo evil\n", layout="a3")
    ctx = context(world)
    (record,) = (record for record in ctx.store.load().jobs.values() if record.id == uid)
    monkeypatch.setattr(letters, "read_file", lambda *arguments: b"echo nice\n")
    assert "nice" not in script(ctx, record, 100)


def test_error_output_that_cannot_be_read_stops_no_look(world: World) -> None:
    uid = world.approved("count", "exit 1\n", layout="a3")
    world.owner.scq("run-approved", code=None)
    (path,) = (world.owner.home / "runs").rglob("stderr.txt")
    path.unlink()
    path.mkdir()
    world.owner.scq("check")
    assert "not a regular file" in queued(context(world), uid, "job.failed").context["error_output"]


class Elsewhere:
    """A cluster that says where its runs are."""

    remote = True

    def __init__(self, place: Whereabouts | None) -> None:
        self.place = place

    def whereabouts(self, directories: Sequence[str]) -> Mapping[str, Whereabouts]:
        return {} if self.place is None else dict.fromkeys(directories, self.place)


@pytest.mark.parametrize(
    ("place", "owners", "submitters"),
    [
        (
            Whereabouts("running", "7", node="n\x1b1"),
            {"place": "runs on n\ufffd1 (job 7)", "waits": False, "node": "n\ufffd1"},
            {},
        ),
        (
            Whereabouts("waiting", "7", "main", position=2),
            {"place": "waits on the cluster: job 7, partition main, 2nd in line", "waits": True, "node": ""},
            {"place": "waits for a free machine", "waits": True},
        ),
        (
            Whereabouts("waiting", starts_at=NOW),
            {"place": f"waits on the cluster, expected to start at {when(NOW)}", "waits": True, "node": ""},
            {"place": f"waits for a free machine, expected to start at {when(NOW)}", "waits": True},
        ),
        (None, {}, {}),
    ],
)
def test_the_start_of_a_job_is_told_with_where_it_is_and_to_its_submitter_without_names(
    world: World, monkeypatch: pytest.MonkeyPatch, place: Whereabouts | None, owners: object, submitters: object
) -> None:
    uid = world.approved(layout="a3")
    ctx = context(world)
    monkeypatch.setitem(ctx._executors, "slurm", Elsewhere(place))
    row = replace(queued(ctx, uid), kind="job.started")
    assert extra(ctx, row) == {}, "it was not handed over"

    def handed(state: State) -> State:
        (key,) = state.jobs
        return replace(state, jobs={key: replace(state.jobs[key], run=run("claimed", executor="slurm"))})

    ctx.store.update(handed)
    assert extra(ctx, row) == owners
    assert extra(ctx, replace(row, role="ds")) == submitters
    assert extra(ctx, replace(row, job_id="0" * 32)) == {}
