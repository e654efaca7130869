"""Which jobs a message holds, what belongs to them, and under whose name they are shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scq.drive import jobs, messages
from scq.drive.items import File
from scq.drive.jobs import RemoteJob
from scq.drive.names import folder_of, message_of
from scq.errors import InvalidFileError
from scq.formats import parse_time
from scq.layouts import inbox_paths
from scq.layouts.job_markers import JobMarkers
from scq.model import JobRef, Sighting
from tests import golden
from tests.drive_world import ALICE, CAROL, FOLDERS, OWNER, SUBMITTED_AT, change, config, file_name, folder, job, message, pack

LIMIT = 128 << 20
FILE = File("m1", file_name(), owners=(ALICE,), created_at=datetime(2026, 1, 1, tzinfo=UTC))


def found_in(changes: list[Any], owned_by: str = ALICE, **fields: Any) -> tuple[RemoteJob, ...]:
    return jobs.find(messages.read(pack(message(changes, **fields)), LIMIT), owned_by, OWNER)


def only(changes: list[Any], **fields: Any) -> RemoteJob:
    (found,) = found_in(changes, **fields)
    return found


def seen(found: RemoteJob, file: File = FILE) -> Sighting:
    return jobs.sighting(found, owner=OWNER, sender=ALICE, message=file)


@pytest.mark.parametrize(
    ("layout", "word", "family", "key"),
    [
        ("v1", "c1", "inbox-review", "v1/study"),
        ("v0", "c0", "inbox-review", "study"),
        ("by_submitter", "b2", "job-markers", "study"),
        ("flat", "b1", "job-markers", "study"),
        ("status_dir", "b0", "job-folders", "study"),
    ],
)
def test_a_job_of_each_layout_is_found_and_has_the_ref_of_its_local_copy(layout: str, word: str, family: str, key: str) -> None:
    found = only(job(layout=layout))
    code = "code/main.py" if layout in ("v0", "v1") else "main.py"
    assert (found.name, found.layout, found.folder) == ("study", layout, folder("study", layout))
    assert (found.files, found.warnings) == (tuple(sorted(["run.sh", "config.yaml", code])), ())
    shown = seen(found)
    assert shown == Sighting(
        ref=JobRef(family, OWNER, ALICE, key),
        layout=word,
        name="study",
        owner=OWNER,
        submitter=ALICE,
        path=f"{OWNER}/{found.folder}",
        observed="pending",
        submitted_at=parse_time(SUBMITTED_AT),
        kind="python",
        entrypoint="main.py",
        dependencies=("numpy",),
        where="drive",
        messages=("m1",),
    )


@pytest.mark.parametrize("layout", ["v1", "v0"])
def test_the_path_is_where_the_local_layout_looks(layout: str) -> None:
    shown = seen(only(job(layout=layout)))
    assert shown.path == inbox_paths.job_path(OWNER, "inbox", shown.ref)
    assert shown.ref.layout == inbox_paths.FAMILY


def test_the_markers_layout_has_the_family_of_the_local_one() -> None:
    assert seen(only(job(layout="flat"))).ref.layout == JobMarkers.family


def test_two_senders_with_one_flat_name_are_two_jobs() -> None:
    (found,) = found_in(job(layout="flat"), CAROL, sender=CAROL)
    other = jobs.sighting(found, owner=OWNER, sender=CAROL, message=FILE)
    assert other.ref != seen(only(job(layout="flat"))).ref


def test_a_config_in_the_code_of_a_job_is_no_job() -> None:
    base = folder("study")
    changes = [change(f"{base}/code/config.yaml", "name: decoy\n"), change(f"{base}/code/a/b/c/config.yaml", "x: 1"), *job()]
    assert only(changes).files == ("code/a/b/c/config.yaml", "code/config.yaml", "code/main.py", "config.yaml", "run.sh")


def test_a_job_called_like_a_version_holds_the_code_below_it() -> None:
    base = f"app_data/job/inbox/{ALICE}/v2"
    found = only(
        [change(f"{base}/config.yaml", config("v2")), change(f"{base}/code/config.yaml", "a: 1"), change(f"{base}/run.sh")]
    )
    assert (found.layout, found.name) == ("v0", "v2")
    assert seen(found).ref == JobRef("inbox-review", OWNER, ALICE, "v2")


@pytest.mark.parametrize(
    "path",
    [
        "app_data/job/notes.txt",
        "app_data/job/config.yaml",
        "app_data/other/inbox/x/config.yaml",
        "app_data/job/inbox/config.yaml",
        "app_data/job/review/config.yaml",
        f"app_data/job/inbox/{ALICE}/config.yaml",
        f"app_data/job/review/{ALICE}/v1/study/config.yaml",
        f"app_data/job/inbox/{ALICE}/old/study/config.yaml",
        f"app_data/job/inbox/{ALICE}/v1/study/config.yml",
        "app_data/job/inbox/a/b/c/d/e/config.yaml",
        f"/app_data/job/inbox/{ALICE}/v1/study/config.yaml",
        f"app_data/job/inbox/{ALICE}/../v1/config.yaml",
        f"app_data/job/inbox/{ALICE}/v1/./config.yaml",
        f"app_data/job/inbox/{ALICE}/v1/../config.yaml",
        f"app_data/job/{ALICE}/..\\../config.yaml",
        "app_data/job/../config.yaml",
        f"app_data/job/inbox/{ALICE}/v1//config.yaml",
        f"app_data/job/inbox/{ALICE}/v1/{'x' * 256}/config.yaml",
        "public/config.yaml",
    ],
)
def test_a_near_miss_is_no_job(path: str) -> None:
    assert found_in([change(path, config())]) == ()


def test_a_config_that_is_deleted_in_the_same_message_is_no_job() -> None:
    gone = f"{folder('study')}/config.yaml"
    assert found_in([change(gone, config()), change(gone, None)]) == ()
    assert found_in([change(gone, None)]) == ()


def test_several_jobs_of_one_message_each_have_their_own_files_and_warnings() -> None:
    changes = [*job("one"), change(f"{folder('one')}/../x", "x"), *job("two"), change("public/note.md", "hello")]
    one, two = found_in(changes)
    assert (one.name, two.name) == ("one", "two")
    assert one.files == two.files == ("code/main.py", "config.yaml", "run.sh")
    assert one.warnings == ("one path climbs out of the datasite",)
    assert two.warnings == ()


def test_a_message_of_very_many_jobs_is_cut() -> None:
    base = "app_data/job/j{}/config.yaml"
    found = found_in([change(base.format(number), config(f"j{number}")) for number in range(jobs.JOBS_LIMIT + 50)])
    assert len(found) == jobs.JOBS_LIMIT
    assert f"the message holds {jobs.JOBS_LIMIT + 50} jobs: only the first {jobs.JOBS_LIMIT} are shown" in found[0].warnings


@pytest.mark.parametrize("said", ["boss@hospital.example", "", ALICE + "x"])
def test_a_message_in_another_name_is_shown_under_the_drive_owner(said: str) -> None:
    (found,) = found_in(job(), sender=said)
    assert found.warnings == ("sender_email in the message is not the owner of the message file",)
    assert seen(found).submitter == ALICE


@pytest.mark.parametrize("layout", ["v1", "v0", "by_submitter"])
def test_a_path_in_another_name_gets_a_ref_no_local_job_can_have(layout: str) -> None:
    found = only(job(layout=layout, sender=CAROL))
    shown = seen(found)
    assert found.path_submitter == CAROL
    assert found.warnings == ("the path names another submitter than the owner of the message file",)
    assert (shown.submitter, shown.ref.submitter, shown.flags) == (ALICE, ALICE, ("forged",))
    assert shown.ref.key.startswith("/")
    assert shown.path.startswith(f"{OWNER}/app_data/job/inbox/{ALICE}/")
    true = {seen(only(job(layout=each))).ref for each in FOLDERS}
    assert shown.ref not in true


def test_an_address_in_other_letters_is_the_same_person_only_in_ascii() -> None:
    assert seen(only(job(sender=ALICE.upper()))).flags == ()
    (found,) = found_in(job(sender="boo\u212a@uni.example"), "book@uni.example", sender="book@uni.example")
    assert jobs.sighting(found, owner=OWNER, sender="book@uni.example", message=FILE).flags == ("forged",)


@pytest.mark.parametrize("segment", ["v2", "v0", "v01", "v999999999"])
def test_a_later_layout_is_listed_with_its_version_and_never_joined(segment: str) -> None:
    base = f"app_data/job/inbox/{ALICE}/{segment}/study"
    found = only([change(f"{base}/config.yaml", config()), change(f"{base}/anything", "x")])
    shown = seen(found)
    assert (shown.layout, shown.name, shown.ref.key) == (segment, "study", f"/inbox/{ALICE}/{segment}/study")
    assert found.warnings == (f"layout {segment} is not known to this scq",)


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("new\r\nBcc: x@evil.example", "the job name holds a line break"),
        ("a\x1b[2Jb", "the job name holds characters that do not belong in a name"),
        ("a\u202eb", "the job name holds characters that do not belong in a name"),
        ("a\\b", "the job name holds characters that do not belong in a name"),
    ],
)
def test_a_name_that_could_do_harm_is_kept_raw_and_warned_of(name: str, warning: str) -> None:
    found = only(job(name))
    assert (found.name, found.warnings) == (name, (warning,))
    shown = seen(found)
    assert shown.ref.key == f"v1/{name}"
    assert all(problem.where.isprintable() and problem.what.isprintable() for problem in shown.problems)


def test_every_bad_path_below_a_job_is_left_out_and_counted() -> None:
    base = folder("study")
    bad = ["code/../../x", "code/a\nb", "code//x", "code/c\\d", "code/e\x00f"]
    found = only([*job(), *(change(f"{base}/{path}", "x") for path in bad)])
    assert found.files == ("code/main.py", "config.yaml", "run.sh")
    assert found.warnings == (
        "one path climbs out of the datasite",
        "3 paths: each holds characters that do not belong in a path",
        "one path is not a plain path",
    )


def test_a_climbing_path_beside_the_jobs_is_told_with_each_of_them() -> None:
    found = found_in([*job("one"), *job("two"), change("../../etc/cron.d/evil", "x")])
    assert [each.warnings for each in found] == [("one path climbs out of the datasite",)] * 2


def test_folders_of_tools_are_hidden() -> None:
    base = folder("study")
    hidden = [change(f"{base}/{path}", "x") for path in (".venv/bin/python", "code/__pycache__/m.pyc", "code/.git/config")]
    found = only([*job(), *hidden])
    assert found.files == ("code/main.py", "config.yaml", "run.sh")
    assert found.warnings == ()


def test_what_the_layout_does_not_expect_is_told() -> None:
    base = folder("study")
    found = only([change(f"{base}/config.yaml", config()), change(f"{base}/ex\u202etra.sh", "x")])
    assert found.warnings == (
        "code is not in the message",
        "run.sh is not in the message",
        "unexpected entries beside the code: ex�tra.sh",
    )


def test_files_that_cannot_be_trusted_are_named_a_few_at_a_time() -> None:
    base = folder("study")
    wrong = [change(f"{base}/code/{number}.py", "x", new_hash="0" * 64) for number in range(8)]
    found = only([*job(), *wrong])
    assert found.warnings[0] == "code/0.py has content that does not fit its hash"
    assert found.warnings[-1] == "3 more files cannot be trusted"
    assert len(found.warnings) == 6


def test_nothing_a_stranger_named_reaches_a_problem_as_it_is() -> None:
    found = only([*job(), change(f"{folder('study')}/code/\u202eyp.x", "x", new_hash="0" * 64)])
    (problem,) = seen(found, File("m", "msgv2\r\n\x1b[2J")).problems
    assert problem.what == "code/\ufffdyp.x has content that does not fit its hash"
    assert problem.where.isprintable()


def test_a_damaged_change_is_told_and_loses_no_job() -> None:
    assert only([5, *job()]).warnings == ("1 of 4 changes cannot be read",)


def test_changes_for_another_datasite_are_told() -> None:
    found = only([entry | {"datasite_email": "someone@else.example"} for entry in job()])
    assert found.warnings == ("datasite_email is not the reader",)
    assert only([entry | {"datasite_email": OWNER.upper()} for entry in job()]).warnings == ()


def test_a_file_that_comes_twice_counts_as_its_last_change() -> None:
    path = f"{folder('study')}/run.sh"
    proposal = messages.read(pack(message([*job(), change(path, "second")])), LIMIT)
    (found,) = jobs.find(proposal, ALICE, OWNER)
    assert found.warnings == ("a file comes more than once: the last one counts",)
    assert jobs.files_of(proposal, found)["run.sh"] == b"second"


def test_the_files_of_a_job_can_be_read_and_only_those() -> None:
    base = folder("study")
    more = [change("public/x", "no"), change(f"{base}/.git/x", "no"), change(f"{base}/code/bad", "!", content_type="binary")]
    proposal = messages.read(pack(message([*job(), *more, *job("other")])), LIMIT)
    found = jobs.files_of(proposal, jobs.find(proposal, ALICE, OWNER)[0])
    assert found == {
        "run.sh": b"#!/bin/bash\npython main.py\n",
        "config.yaml": config().encode(),
        "code/main.py": b"print(1)\n",
    }


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("{not yaml: [", "job config.yaml is not YAML"),
        ("- a\n- b\n", "job config.yaml holds a list, expected a mapping"),
        ("a: &x [1]\nb: *x\n", "job config.yaml uses YAML aliases"),
        ("a: " + "[" * 1_000 + "]" * 1_000, "job config.yaml is nested deeper than 100 levels"),
        ("a: " + "x" * jobs.CONFIGS_LIMIT, "job config.yaml is too large or cannot be read"),
        (b"a: \xff", "job config.yaml is not UTF-8 text"),
    ],
)
def test_a_config_that_cannot_be_read_leaves_a_job_with_the_time_of_its_message(text: str | bytes, warning: str) -> None:
    base = folder("study")
    found = only([change(f"{base}/run.sh"), change(f"{base}/code/a.py"), change(f"{base}/config.yaml", text)])
    shown = seen(found)
    name = message_of(FILE.name)
    assert found.warnings == (warning,)
    assert name is not None
    assert shown.submitted_at == name.at
    assert (shown.kind, shown.flags, shown.observed) == (None, ("damaged",), "pending")
    assert [problem.what for problem in shown.problems] == [warning]


def test_a_config_without_content_leaves_a_job() -> None:
    base = folder("study")
    found = only([*job()[::2], change(f"{base}/config.yaml", "!", content_type="binary")])
    assert found.config is None
    assert "job config.yaml is too large or cannot be read" in found.warnings


def test_the_configs_of_one_message_are_parsed_up_to_a_limit() -> None:
    third = "a: " + "x" * (jobs.CONFIGS_LIMIT // 3)
    found = found_in([change(f"app_data/job/j{number}/config.yaml", third) for number in range(4)])
    assert [each.config is None for each in found] == [False, False, True, True]


def test_a_config_without_a_usable_time_says_so_and_drive_tells_when() -> None:
    found = only(job(submitted_at="yesterday"))
    assert found.warnings == ("job config.yaml has no readable submission time",)
    assert seen(found, File("m", "odd", created_at=FILE.created_at)).submitted_at == FILE.created_at


def test_values_of_a_config_are_checked_and_the_path_counts() -> None:
    found = only(job(type="perl", submitted_by=CAROL, name="study"))
    assert found.warnings == (
        "job config.yaml names an unknown job type",
        "submitted_by in job config.yaml is not the owner of the message file",
    )
    base = folder("study")
    found = only([*job()[::2], change(f"{base}/config.yaml", config("something else"))])
    assert found.warnings == ("job config.yaml gives another name; the folder name counts",)
    assert (seen(found).name, seen(found).flags) == ("study", ("name_differs",))


def test_what_a_config_describes_is_taken_over_without_paths_of_the_sender() -> None:
    own = {"description": "how it works", "tags": ["a", 5], "timeout_s": 60}
    shown = seen(only(job(type="bash", entrypoint=["x"], dependencies="numpy", headers={"scq": own})))
    assert (shown.kind, shown.entrypoint, shown.dependencies) == ("bash", None, ())
    assert (shown.description, shown.tags, shown.timeout_s) == ("how it works", ("a",), 60)
    assert "/home/alice" not in str(shown)
    for wrong in (5, {"scq": 5}, {"scq": {"timeout_s": -1, "description": 5, "tags": "x"}}):
        shown = seen(only(job(headers=wrong)))
        assert (shown.description, shown.tags, shown.timeout_s) == ("", (), None)


def test_a_job_without_a_type_is_python_only_in_the_layouts_that_say_so() -> None:
    without = {"name": "study", "submitted_at": SUBMITTED_AT, "entry_point": "a.py"}
    for layout, kind in (("v1", "python"), ("flat", None)):
        base = folder("study", layout)
        shown = seen(
            only([change(f"{base}/config.yaml", json.dumps(without)), change(f"{base}/run.sh"), change(f"{base}/code/x")])
        )
        assert (shown.kind, shown.entrypoint) == (kind, "a.py")


# states that real clients wrote

DRIVE = golden.ROOT / "drive"
SCENARIOS = sorted(path.parent.name for path in DRIVE.glob("*/expected.json"))


class Reading:
    """All messages in the inboxes of one golden state."""

    def __init__(self, scenario: Path) -> None:
        state = json.loads((scenario / "manifest.json").read_text("utf-8"))
        self.scenario, self.reader, self.files = scenario, state["reader"], state["files"]
        self.jobs: list[tuple[str, RemoteJob, Sighting]] = []
        self.others: list[str] = []
        self.unreadable: dict[str, str] = {}
        for file in self.messages():
            self.read(file)

    def messages(self) -> Iterator[dict[str, Any]]:
        inboxes = set()
        for file in self.files:
            name = folder_of(file["name"], self.reader)
            if name is not None and name.kind == "inbox" and file["owners"][0]["emailAddress"] == name.peer:
                inboxes.add(file["id"])
        return (file for file in self.files if inboxes.intersection(file["parents"]) and not file["trashed"])

    def read(self, file: dict[str, Any]) -> None:
        name, sender = file["name"], file["owners"][0]["emailAddress"]
        try:
            proposal = messages.read((self.scenario / file["content"]).read_bytes(), LIMIT)
        except InvalidFileError as error:
            self.unreadable[name] = str(error)
            return
        if message_of(name) is None:
            self.unreadable[name] = "file name"
            return
        found = jobs.find(proposal, sender, self.reader)
        self.others += [] if found else [name]
        for each in found:
            shown = jobs.sighting(each, owner=self.reader, sender=sender, message=File(file["id"], name))
            self.jobs.append((name, each, shown))


WHY = {
    "gzip stream cut short": "is cut short",
    "body is not gzip": "is not gzip",
    "zero-byte body": "is empty",
    "archive lacks the expected member": "holds no file proposed_file_changes.json",
    "member is not JSON": "holds a proposed_file_changes.json that is not JSON",
    "JSON lacks proposed_file_changes": "lacks a list of proposed_file_changes",
    "file name does not follow the grammar (the body is intact)": "file name",
    "encrypted for the data owner; only the sender (folder and owner) and the time (file name) can be told": "is encrypted",
}


@pytest.mark.skipif(not SCENARIOS, reason="needs the golden Drive states")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_states_of_real_clients_are_read_as_they_must_be(scenario: str) -> None:
    found = Reading(DRIVE / scenario)
    expected = json.loads((DRIVE / scenario / "expected.json").read_text("utf-8"))
    assert {entry["message"]: WHY[entry["why"]] for entry in expected["unreadable_messages"]} == found.unreadable
    assert sorted(found.others) == sorted(expected["non_job_messages"])
    told = [
        (name, each.name, each.layout, each.folder, list(each.files), shown.submitter, shown.kind, shown.messages)
        for name, each, shown in found.jobs
    ]
    wanted = [
        (
            *(entry[key] for key in ("message", "job_name", "layout", "job_dir", "files", "submitter", "type")),
            (entry["message_id"],),
        )
        for entry in expected["jobs"]
    ]
    assert sorted(map(repr, told)) == sorted(map(repr, wanted))
    assert len({shown.ref for _, _, shown in found.jobs}) == len(found.jobs)
    for entry in expected["jobs"]:
        (pair,) = [pair for pair in found.jobs if (pair[0], pair[1].name) == (entry["message"], entry["job_name"])]
        check_details(entry, *pair)


def check_details(entry: dict[str, Any], name: str, found: RemoteJob, shown: Sighting) -> None:
    """Warnings and times. A job that golden data says nothing about has no warning."""
    assert entry["warning"] in found.warnings if "warning" in entry else not found.warnings
    sent = message_of(name)
    assert sent is not None
    assert shown.submitted_at == (parse_time(entry["submitted_at"]) or sent.at)
    if "path_submitter" in entry:
        assert found.path_submitter == entry["path_submitter"]
        assert shown.ref.key.startswith("/")
