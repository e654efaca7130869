"""What of a message may be written into the datasite, and how: without Drive. The whole way is in tests/integration."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scq import fetching
from scq.config_values import Config, Drive
from scq.context import Context
from scq.drive.items import File
from scq.drive.messages import Proposal, read
from scq.drive.poll import Poll
from scq.errors import IntegrityError
from scq.fetching import RefusedError, Work, examined, fetch, foreign_events, to_fetch
from scq.layouts.inbox_welcome import welcome
from scq.layouts.incoming import write
from scq.model import SourceReport
from scq.state import DriveMemory, RemoteFolder, RemoteMessage
from tests.drive_world import ALICE, CAROL, OWNER, change, folder, job, message, pack

STUDY = folder("study")
DAVE = "dave@inst.example"


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    root = tmp_path / "SyftBox"
    root.mkdir()
    welcome(str(root), OWNER, ALICE)
    drive = Drive(use="always", fetch=True, endpoint="http://127.0.0.1:9/")
    config = Config(email=OWNER, root=str(root), drive_token_path=str(tmp_path / "none.json"), drive=drive)
    return Context(config, str(tmp_path / "home"), env={"HOME": str(tmp_path)})


def proposal(*changes: dict[str, Any]) -> Proposal:
    return read(pack(message(list(changes))), 1 << 24)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def bring(ctx: Context, *changes: dict[str, Any]) -> tuple[str, ...]:
    """Examine and write a message of Alice; what was not allowed of it."""
    work = examined(ctx, proposal(*changes), ALICE)
    put(ctx, work)
    return work.denied


def put(ctx: Context, work: Work) -> None:
    """Write what was examined, as a fetch does it."""
    contents = {path: edit.content for path, edit in work.edits.items()}
    write(ctx.config.root, OWNER, contents, [found.folder for found in work.jobs])


def files(ctx: Context) -> dict[str, str]:
    """What lies in Alice's folder, by path below it."""
    base = Path(ctx.config.root, OWNER, "app_data/job/inbox", ALICE)
    found = (path for path in base.rglob("*") if path.is_file() and path.name != "syft.pub.yaml")
    return {str(path.relative_to(base)): path.read_text() for path in found}


def refusal(ctx: Context, *changes: dict[str, Any]) -> str:
    before = sorted(Path(ctx.config.root).rglob("*"))
    with pytest.raises(RefusedError) as caught:
        examined(ctx, proposal(*changes), ALICE)
    assert sorted(Path(ctx.config.root).rglob("*")) == before, "nothing was written"
    return str(caught.value)


# which messages, and in which order


def memory(**messages: RemoteMessage) -> DriveMemory:
    return DriveMemory(
        account=OWNER,
        folders={
            "alices": RemoteFolder(f"syft_datasite#0.10.0#{OWNER}#inbox#{ALICE}", "inbox", ALICE, "0.10.0"),
            "carols": RemoteFolder(f"syft_datasite#0.10.0#{OWNER}#inbox#{CAROL}", "inbox", CAROL, "0.10.0"),
            "refused": RemoteFolder(f"syft_datasite#0.10.0#{OWNER}#inbox#{DAVE}", "inbox", DAVE, "0.10.0"),
        },
        messages=messages,
        states={ALICE: "accepted", CAROL: "rejected", DAVE: "accepted"},
        answers={DAVE: "rejected"},
    )


def named(seconds: str, **fields: Any) -> RemoteMessage:
    usual = {"folder": "alices", "verdict": "jobs"}
    return RemoteMessage(name=f"msgv2_{seconds}_3c7db404-a886-4ac9-81f7-2bb2fea3249a.tar.gz", **(usual | fields))


def test_messages_are_fetched_by_the_number_in_their_name_and_not_by_its_text() -> None:
    known = memory(b=named("1795248828.5"), a=named("1795248828.45"), c=named("999999999.0", verdict="other"))
    assert to_fetch(known) == ("c", "a", "b")


@pytest.mark.parametrize(
    "fields",
    [
        {"folder": "carols"},
        {"folder": "gone"},
        {"refused": True},
        {"folder": "refused"},
        *({"verdict": word} for word in ("sealed", "damaged", "unread")),
    ],
)
def test_what_is_not_from_an_accepted_peer_or_cannot_be_read_or_was_refused_is_not_fetched(fields: dict[str, Any]) -> None:
    assert to_fetch(memory(a=named("1795248828.5", **fields))) == ()


def test_a_message_with_a_strange_name_is_not_fetched() -> None:
    assert to_fetch(memory(a=RemoteMessage("alices", "msgv2_later.tar.gz", verdict="jobs"))) == ()


def test_events_of_other_clients_are_told_from_our_own() -> None:
    ours = "syfteventsmessagev3_1795248828.5_07b8915e-8846-5ef6-81f6-cc4ab26c3783.tar.gz"
    theirs = "syfteventsmessagev3_1795248828.5_3c7db404-a886-4ac9-81f7-2bb2fea3249a.tar.gz"
    odd = "syfteventsmessagev3_5ef6.tar.gz"
    assert foreign_events([ours, theirs, odd, "notes.txt"]) == (theirs, odd)


# what may be written


def test_a_job_is_written_whole_with_plain_modes(ctx: Context) -> None:
    assert bring(ctx, *job(), change(f"{STUDY}/code/empty.txt", "")) == ()
    assert set(files(ctx)) == {"v1/study/run.sh", "v1/study/config.yaml", "v1/study/code/main.py", "v1/study/code/empty.txt"}
    assert os.stat(Path(ctx.config.root, OWNER, STUDY, "run.sh")).st_mode & 0o777 == 0o644


def test_the_same_message_again_changes_nothing(ctx: Context) -> None:
    bring(ctx, *job())
    place = Path(ctx.config.root, OWNER, STUDY, "run.sh")
    before = place.stat()
    assert bring(ctx, *job()) == ()
    after = place.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_half_written_job_is_completed(ctx: Context) -> None:
    bring(ctx, *job())
    Path(ctx.config.root, OWNER, STUDY, "run.sh").unlink()
    assert bring(ctx, *job()) == ()
    assert "v1/study/run.sh" in files(ctx)


def test_files_are_changed_and_deleted_only_as_their_sender_knew_them(ctx: Context) -> None:
    bring(ctx, *job())
    path, first = f"{STUDY}/code/main.py", "print(1)\n"
    assert "has changed" in refusal(ctx, change(path, "print(2)\n", old_hash=digest("something else")))
    assert "is there already with other content" in refusal(ctx, change(path, "print(2)\n"))
    assert "is not there" in refusal(ctx, change(f"{STUDY}/none.py", "x", old_hash=digest(first)))
    assert "has changed" in refusal(ctx, change(path, None, old_hash=digest("something else")))
    assert bring(ctx, change(path, "print(2)\n", old_hash=digest(first))) == ()
    assert files(ctx)["v1/study/code/main.py"] == "print(2)\n"
    assert bring(ctx, change(path, None, old_hash=digest("print(2)\n"))) == ()
    assert bring(ctx, change(path, None, old_hash=digest("print(2)\n"))) == (), "deleting again is fine"
    assert "v1/study/code/main.py" not in files(ctx)


def test_generated_folders_are_left_out_without_a_word(ctx: Context) -> None:
    waste = [change(f"{STUDY}/code/{name}/x", "x") for name in (".venv", ".git", "__pycache__", "node_modules", ".DS_Store")]
    assert bring(ctx, *job(), *waste) == ()
    assert len(files(ctx)) == 3


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/etc/passwd", "climbs out of the datasite"),
        ("../other@x.example/notes.txt", "climbs out of the datasite"),
        (f"{STUDY}/../../../../../private/key", "climbs out of the datasite"),
        ("..\\windows.txt", "climbs out of the datasite"),
        (f"{STUDY}/a\nb.py", "holds characters that do not belong in a path"),
        (f"{STUDY}//run.sh", "is not a plain path"),
        (f"{STUDY}/{'x' * 256}", "is too long"),
        ("private/crypto_keys.json", "is in a folder that nobody else changes"),
        ("public/syft_datasets/census/data.csv", "is in a folder that nobody else changes"),
        ("public/notes.txt", f"may not be written by {ALICE}"),
        ("syft.pub.yaml", f"may not be written by {ALICE}"),
        (f"app_data/job/inbox/{ALICE}/syft.pub.yaml", f"may not be written by {ALICE}"),
        (f"{STUDY}/syftperm.yaml", f"may not be written by {ALICE}"),
        (f"app_data/job/review/{ALICE}/v1/study/state.yaml", f"may not be written by {ALICE}"),
        (f"{folder('study', sender=CAROL)}/run.sh", f"may not be written by {ALICE}"),
    ],
)
def test_a_path_that_is_not_the_senders_is_left_out_and_named(ctx: Context, path: str, why: str) -> None:
    (left_out,) = bring(ctx, *job(), change(path, "x"))
    assert left_out.endswith(why)
    assert left_out.isprintable()
    assert len(files(ctx)) == 3
    assert why in refusal(ctx, change(path, "x"))


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ({"new_hash": digest("other")}, "has content that does not fit its hash"),
        ({"new_hash": "none"}, "has a hash that is none"),
        ({"content_type": "binary", "content": "*"}, "is said to be base64 and is not"),
        ({"content": None}, "has no content"),
        ({"is_deleted": "perhaps"}, "does not say whether it is deleted"),
        ({"path_in_datasite": 7}, "1 of 4 changes cannot be read"),
    ],
)
@pytest.mark.parametrize("path", [f"{STUDY}/code/more.py", f"{STUDY}/code/__pycache__/more.pyc", "private/more.py"])
def test_a_message_of_which_anything_is_damaged_is_refused_as_a_whole(
    ctx: Context, path: str, damage: dict[str, Any], why: str
) -> None:
    said = refusal(ctx, *job(), change(path, "pass\n") | damage)
    assert said.startswith("it is damaged: ")
    assert said.endswith(why)


def test_of_many_paths_that_were_left_out_only_some_are_named(ctx: Context) -> None:
    left_out = bring(ctx, *job(), *(change(f"private/{number}", "x") for number in range(9)))
    assert len(left_out) == 6
    assert left_out[-1] == "and 4 more paths were left out"


def test_nothing_is_written_through_a_link(ctx: Context, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    inbox = Path(ctx.config.root, OWNER, "app_data/job/inbox", ALICE)
    (inbox / "v1").symlink_to(outside)
    assert "may not be written" in refusal(ctx, *job())
    (inbox / "v1").unlink()
    bring(ctx, *job())
    (inbox / "v1/study/link").symlink_to(outside / "kept.txt")
    assert "link" in refusal(ctx, change(f"{STUDY}/link", "x", old_hash=digest("kept")))
    (inbox / "v1/study/folder").mkdir()
    assert "folder" in refusal(ctx, change(f"{STUDY}/folder", "x"))
    assert (outside / "kept.txt").read_text() == "kept"


def test_a_link_that_appears_while_it_is_written_stops_it(ctx: Context, tmp_path: Path) -> None:
    work = examined(ctx, proposal(change(f"{STUDY}/deep/new.txt", "x")), ALICE)
    inbox = Path(ctx.config.root, OWNER, "app_data/job/inbox", ALICE)
    (inbox / "v1/study").mkdir(parents=True)
    (inbox / "v1/study/deep").symlink_to(tmp_path)
    with pytest.raises((IntegrityError, RefusedError)):
        put(ctx, work)
    assert not (tmp_path / "new.txt").exists()


def test_a_path_cannot_be_a_file_and_a_folder(ctx: Context) -> None:
    assert "would lie in a file" in refusal(ctx, change(f"{STUDY}/code", "x"), change(f"{STUDY}/code/main.py", "x"))


def test_more_than_a_submission_may_have_is_refused(ctx: Context) -> None:
    ctx.config = replace(ctx.config, submission_files=2)
    assert "3 files" in refusal(ctx, *job())
    ctx.config = replace(ctx.config, submission_files=10, submission_bytes=5)
    assert "more than a submission may have" in refusal(ctx, *job())


def test_a_peer_who_was_accepted_elsewhere_gets_his_folders_here(ctx: Context) -> None:
    changes = [change(f"{folder('theirs', sender=CAROL)}/run.sh", "x"), change(f"{STUDY}/run.sh", "x")]
    work = examined(ctx, proposal(*changes), CAROL)
    assert list(work.edits) == [f"{folder('theirs', sender=CAROL)}/run.sh"]


def test_an_owner_who_took_the_right_to_write_back_is_obeyed(ctx: Context) -> None:
    Path(ctx.config.root, OWNER, "app_data/job/inbox", ALICE, "syft.pub.yaml").unlink()
    assert f"may not be written by {ALICE}" in refusal(ctx, *job())


def test_several_jobs_and_a_job_of_an_older_layout_come_in_one_message(ctx: Context) -> None:
    work = examined(ctx, proposal(*job("one"), *job("two", "v0"), *job("three", "flat")), ALICE)
    put(ctx, work)
    assert [found.name for found in work.jobs] == ["one", "two"]
    assert {path.split("/")[-2] for path in files(ctx) if path.endswith("config.yaml")} == {"one", "two"}
    assert len(work.denied) == 3, "nobody but the owner writes directly below the queue"


def test_leftovers_of_a_killed_call_are_cleared_away(ctx: Context) -> None:
    queue = Path(ctx.config.root, OWNER, "app_data/job")
    (queue / ".fetched.999999.tmp/code").mkdir(parents=True)
    bring(ctx, *job())
    assert sorted(path.name for path in queue.iterdir()) == ["inbox", "review"]


# without Drive


def look(known: DriveMemory, *, ok: bool = True, foreign: tuple[str, ...] = ()) -> Poll:
    return Poll(known, (), frozenset(), foreign, (), SourceReport("drive", ok, ok), full=False)


def test_a_look_that_failed_is_handed_back(ctx: Context) -> None:
    failed = look(memory(a=named("1795248828.5")), ok=False)
    assert fetch(ctx, failed) == (failed, ())


def test_without_a_sign_in_nothing_is_fetched_and_that_is_told(ctx: Context) -> None:
    seen = look(memory(a=named("1795248828.5")))
    same, problems = fetch(ctx, seen)
    assert same == seen
    assert [problem.what.startswith("nothing was fetched: ") for problem in problems] == [True]


def test_what_is_remembered_of_another_account_is_not_mixed_with_this_one(ctx: Context) -> None:
    ctx.store.update(lambda state: replace(state, drive=DriveMemory(account=CAROL, token="9", states={ALICE: "rejected"})))
    work = examined(ctx, proposal(*job()), ALICE)
    known = memory(a=named("1795248828.5"))
    after = fetching._remembered(ctx, ctx.store.load(), known, File("a", known.messages["a"].name), ALICE, work, "sha256:0")
    assert (after.drive.account, after.drive.token, after.drive.states) == (OWNER, "", {})
    assert after.drive.messages["a"].fetched
    assert after.drive.sent == {f"inbox-review/{OWNER}/{ALICE}/v1/study": {}}
    assert after.audit[0].at <= datetime.now(UTC)
