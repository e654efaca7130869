"""What leaves for whom, and in which order: without Drive. The whole way is in tests/integration."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from scq import returning
from scq.config_values import Config, Drive
from scq.context import Context
from scq.layouts.inbox_welcome import welcome
from scq.model import Answer, JobRef, ReleasedFile, Run, Sighting
from scq.returning import Batch, Leaving, batched, later, outboxes, send_back, uid_of
from scq.state import DriveMemory, Record, RemoteFolder, State
from tests.drive_world import ALICE, CAROL, OWNER

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
REF = JobRef("inbox-review", OWNER, ALICE, "v1/study")
REVIEW = f"app_data/job/review/{ALICE}/v1/study"
CLASSIC = "syft_outbox_inbox_{0}_to_{1}"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def released(**contents: bytes) -> tuple[ReleasedFile, ...]:
    return tuple(ReleasedFile(name.replace("__", "."), len(content), sha(content)) for name, content in contents.items())


def folder(kind: Any, version: str = "0.10.0", peer: str = ALICE, name: str = "") -> RemoteFolder:
    return RemoteFolder(name or f"syft_datasite#{version}#{OWNER}#{kind}#{peer}", kind, peer, version)


def record(**fields: Any) -> Record:
    path = f"{OWNER}/app_data/job/inbox/{ALICE}/v1/study"
    sighting = Sighting(REF, "c1", "study", OWNER, ALICE, path, "completed")
    return Record("0123456789abcdef", sighting, "completed", AT, **fields)


def ended(*files: ReleasedFile, logs: bool = False, verdict: Any = "released") -> Record:
    run = Run(1, "sha256:0", "run", "settled", AT)
    answer = Answer(verdict, OWNER, AT, files=files)
    return record(run=run, answer=answer, outputs=verdict, logs="released" if logs else "withheld")


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    root = tmp_path / "SyftBox"
    (root / OWNER / REVIEW / "outputs").mkdir(parents=True)
    (root / OWNER / REVIEW / "state.yaml").write_text("status: done\n")
    welcome(str(root), OWNER, ALICE)
    drive = Drive(use="always", fetch=True, endpoint="http://127.0.0.1:9/")
    config = Config(email=OWNER, root=str(root), drive_token_path=str(tmp_path / "none.json"), drive=drive)
    return Context(config, str(tmp_path / "home"), env={"HOME": str(tmp_path)})


def remember(ctx: Context, known: Record, **memory: Any) -> State:
    usual = {"account": OWNER, "folders": {"box": folder("outbox")}, "states": {ALICE: "accepted"}}
    drive = DriveMemory(**(usual | memory))
    return ctx.store.update(lambda state: replace(state, jobs={str(REF): known}, drive=drive))


def leaving(ctx: Context, known: Record, **memory: Any) -> tuple[list[str], list[str]]:
    """(what of a job leaves, in order, below its folder; what is wrong)."""
    batches, problems, _ = returning._found(ctx, remember(ctx, known, **memory))
    return [file.path.removeprefix(f"{REVIEW}/") for batch in batches for file in batch.leaving], [one.what for one in problems]


# which outbox


def test_the_outbox_is_that_of_the_newest_client_the_peer_has_used() -> None:
    folders = {
        "oldest": folder("outbox", "", name=CLASSIC.format(OWNER, ALICE)),
        "unversioned": folder("outbox", "", name=f"syft_datasite#{OWNER}#outbox#{ALICE}"),
        "nine": folder("outbox", "0.9.0"),
        "ten": folder("outbox", "0.10.0"),
    }
    states = {ALICE: "accepted"}
    names = list(folders)
    for count in range(1, len(names) + 1):
        known = DriveMemory(folders={name: folders[name] for name in names[:count]}, states=states)
        assert outboxes(known) == {ALICE: names[count - 1]}
    with_inbox = DriveMemory(folders=folders | {"inbox": folder("inbox", "0.9.0")}, states=states)
    assert outboxes(with_inbox) == {ALICE: "nine"}, "where he sends, he looks for the answer"


def test_only_accepted_peers_have_an_outbox() -> None:
    folders = {"alices": folder("outbox"), "carols": folder("outbox", peer=CAROL), "odd": folder("outbox", "0.1.x")}
    assert outboxes(DriveMemory(folders=folders, states={CAROL: "rejected"})) == {}
    assert outboxes(DriveMemory(folders=folders, states={ALICE: "accepted"})) == {ALICE: "alices"}


# what leaves


def test_of_a_job_without_an_answer_only_its_state_leaves(ctx: Context) -> None:
    (Path(ctx.config.root, OWNER, REVIEW) / "outputs/secret.csv").write_text("1")
    assert leaving(ctx, record()) == (["state.yaml"], [])
    assert leaving(ctx, ended(*released(secret__csv=b"1"), verdict="withheld")) == (["state.yaml"], [])


def test_results_come_before_the_state_that_tells_of_them(ctx: Context) -> None:
    (Path(ctx.config.root, OWNER, REVIEW) / "returncode.txt").write_text("0")
    files = released(answer__csv=b"42", stdout__txt=b"hello", stderr__txt=b"")
    wanted = ["outputs/answer.csv", "stdout.txt", "stderr.txt", "returncode.txt", "state.yaml"]
    assert leaving(ctx, ended(*files, logs=True)) == (wanted, [])


def test_what_the_submitter_has_already_is_not_sent_again(ctx: Context) -> None:
    sent = {str(REF): {f"{REVIEW}/outputs/answer.csv": sha(b"42"), f"{REVIEW}/state.yaml": sha(b"status: running\n")}}
    known = ended(*released(answer__csv=b"42"))
    assert leaving(ctx, known, sent=sent) == (["state.yaml"], [])
    batches, _, _ = returning._found(ctx, ctx.store.load())
    assert batches[0].leaving[0].before == sha(b"status: running\n")


@pytest.mark.parametrize("fields", [{"intents": ("share",)}, {"missing_since": AT}])
def test_a_job_whose_folders_do_not_show_what_was_decided_waits(ctx: Context, fields: dict[str, Any]) -> None:
    assert leaving(ctx, replace(record(), **fields)) == ([], [])


@pytest.mark.parametrize(
    "changes", [{"where": "drive"}, {"owner": CAROL}, {"submitter": CAROL}, {"ref": JobRef("x", OWNER, ALICE, "y")}]
)
def test_jobs_that_are_not_here_not_ours_or_of_nobody_on_drive_are_left_alone(ctx: Context, changes: dict[str, Any]) -> None:
    known = record()
    assert leaving(ctx, replace(known, sighting=replace(known.sighting, **changes))) == ([], [])


def test_a_state_that_is_a_link_or_too_large_does_not_leave(ctx: Context, tmp_path: Path) -> None:
    state = Path(ctx.config.root, OWNER, REVIEW, "state.yaml")
    state.write_bytes(b"x" * ((1 << 20) + 1))
    assert leaving(ctx, record())[0] == []
    state.unlink()
    (tmp_path / "secret").write_text("secret")
    state.symlink_to(tmp_path / "secret")
    paths, problems = leaving(ctx, record())
    assert paths == []
    assert problems[0].startswith("cannot be sent back")
    state.unlink()
    assert leaving(ctx, record()) == ([], [])


def test_a_folder_of_answers_that_is_a_link_is_not_followed(ctx: Context, tmp_path: Path) -> None:
    review = Path(ctx.config.root, OWNER, REVIEW)
    review.rename(tmp_path / "elsewhere")
    review.symlink_to(tmp_path / "elsewhere")
    paths, problems = leaving(ctx, record())
    assert paths == []
    assert "symbolic link" in problems[0]


def test_a_file_too_large_for_drive_is_told_and_the_rest_leaves(ctx: Context) -> None:
    files = (ReleasedFile("huge.csv", returning.LARGEST + 1, "0" * 64), *released(answer__csv=b"42"))
    paths, problems = leaving(ctx, ended(*files))
    assert paths == ["outputs/answer.csv", "state.yaml"]
    assert problems == [f"is too large to be sent over Google Drive ({returning.LARGEST + 1} bytes)"]


def test_permission_files_among_the_results_are_never_sent_and_names_are_shown_clean(ctx: Context) -> None:
    files = (*released(syft__pub__yaml=b"x"), ReleasedFile("a\nb\x1b[31m.csv", returning.LARGEST + 1, "0" * 64))
    remember(ctx, ended(*files))
    batches, problems, _ = returning._found(ctx, ctx.store.load())
    assert [one.path.rpartition("/")[2] for batch in batches for one in batch.leaving] == ["state.yaml"]
    assert [problem.where.isprintable() for problem in problems] == [True]


def test_what_was_sent_of_a_job_that_is_gone_is_forgotten(ctx: Context) -> None:
    sent = {"inbox-review/gone": {"x": "0"}, str(REF): {f"{REVIEW}/state.yaml": sha(b"status: done\n")}}
    remember(ctx, record(), sent=sent)
    assert send_back(ctx) == ()
    assert set(ctx.store.load().drive.sent) == {str(REF)}


def test_without_a_sign_in_it_is_told_and_remembered_that_something_waits(ctx: Context) -> None:
    remember(ctx, record())
    (problem,) = send_back(ctx)
    assert "answers wait to be sent" in problem.what
    assert ctx.store.load().drive.sent == {str(REF): {}}


def test_where_fetching_is_off_or_no_peer_is_known_nothing_is_done(ctx: Context) -> None:
    remember(ctx, record(), folders={})
    assert send_back(ctx) == ()
    remember(ctx, record())
    ctx.config = replace(ctx.config, drive=replace(ctx.config.drive, fetch=False))
    assert send_back(ctx) == ()
    ctx.config = replace(ctx.config, drive=replace(ctx.config.drive, fetch=True, use="never"))
    assert send_back(ctx) == ()


# messages


def file(path: str, size: int = 1, **fields: Any) -> Leaving:
    return Leaving(str(REF), "job", path, f"{OWNER}/{path}", size, **({"sha256": "0" * 64} | fields))


def test_a_message_holds_so_many_bytes_and_a_larger_file_goes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returning, "BATCH", 10)
    files = [file("a", 4), file("b", 6), file("c", 1), file("d", 50), file("e", 1)]
    assert [[one.path for one in batch.leaving] for batch in batched("box", files)] == [["a", "b"], ["c"], ["d"], ["e"]]
    assert list(batched("box", [])) == []
    assert list(batched("box", files[:1])) == [Batch("box", (files[0],))]


def test_the_uuid_of_a_message_tells_what_is_in_it_and_what_was_there_before() -> None:
    usual = file("a")
    others = [
        file("b"),
        replace(usual, sha256="1" * 64),
        replace(usual, before="2" * 64),
        replace(usual, job="another of the same name"),
        replace(usual, key="other"),
    ]
    uids = [uid_of("box", [usual]), uid_of("other", [usual]), *(uid_of("box", [one]) for one in others)]
    assert len(set(uids)) == len(uids)
    assert uid_of("box", [file("a")]) == uids[0]
    assert UUID(uids[0]).version == 5


def test_the_time_of_a_message_is_behind_that_of_the_last_one() -> None:
    assert later(100.0, "") == 100.0
    assert later(100.0, "syfteventsmessagev3_50.5_x.tar.gz") == 100.0
    assert later(100.0, "syfteventsmessagev3_200.5_x.tar.gz") == 200.501
