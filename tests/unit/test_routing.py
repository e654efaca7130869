"""Who is told about which event, and with which words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from scq.model import Decision, Event, Job, JobRef, Notification, Run, Sighting
from scq.routing import EXCERPT_LIMIT, ROLES, WAITING_LIMIT, key, route

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
OWNER = "owner@example.org"
SUBMITTER = "ana@uni.example"
REF = JobRef("inbox", OWNER, SUBMITTER, "survey")


class Monitors(msgspec.Struct, frozen=True):
    monitor_jobs: bool = True


class Toggles(msgspec.Struct, frozen=True):
    notify_on_new_job: bool = True
    notify_on_approved: bool = True
    notify_on_executed: bool = True
    notify: Monitors = Monitors()


def job(**changes: Any) -> Job:
    sighting = Sighting(REF, "c0", "survey", OWNER, SUBMITTER, "inbox/ana/survey", "pending", submitted_at=NOW)
    seen = {name: changes.pop(name) for name in list(changes) if name in Sighting.__struct_fields__}
    return Job(**({"id": "0123456789abcdef", "sighting": replace(sighting, **seen), "status": "pending"} | changes))


def event(kind: str, detail: str = "", **changes: Any) -> Event:
    made = Event(
        id="7-0", kind=kind, ref=str(REF), job_id="0123456789abcdef", at=NOW, before=None, after="pending", detail=detail
    )
    return replace(made, **changes)


def routed(
    happened: Event,
    of: Job | None = None,
    toggles: Toggles | None = None,
    channels: Sequence[str] = ("mailbox",),
    owner: str = OWNER,
) -> list[Notification]:
    return route([happened], {str(REF): of or job()}, toggles or Toggles(), channels, owner, NOW)


def told(happened: Event, of: Job | None = None, **how: Any) -> set[tuple[str, str]]:
    return {(row.role, row.recipient) for row in routed(happened, of, **how)}


DO, DS = ("do", OWNER), ("ds", SUBMITTER)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("job.received", {DO, DS}),
        ("job.invalid", {DS}),
        ("job.approved", {DS}),
        ("job.rejected", {DS}),
        ("job.started", set()),
        ("job.completed", {DO, DS}),
        ("job.failed", {DO, DS}),
        ("job.interrupted", {DO}),
        ("job.integrity", {DO}),
        ("job.changed", {DO}),
        ("job.vanished", set()),
        ("outputs.released", {DS}),
        ("results.withheld", {DS}),
        ("something.new", set()),
    ],
)
def test_each_event_is_told_to_the_roles_of_the_table(kind: str, expected: set[tuple[str, str]]) -> None:
    assert told(event(kind)) == expected


def test_every_listed_event_is_tested_above() -> None:
    assert set(ROLES) == {
        *("baseline", "job.received", "job.invalid", "job.approved", "job.rejected", "job.completed", "job.failed"),
        *("job.interrupted", "job.integrity", "job.changed", "outputs.released", "results.withheld"),
    }


@pytest.mark.parametrize("method", ["adopted", "digest"])
def test_the_owner_hears_of_an_approval_not_given_by_hand(method: str) -> None:
    decision = Decision("approve", "sha256:00", OWNER, NOW, method)  # type: ignore[arg-type]
    assert told(event("job.approved"), job(decision=decision)) == {DO, DS}


def test_the_owner_does_not_hear_of_an_approval_given_by_hand() -> None:
    assert told(event("job.approved"), job(decision=Decision("approve", "sha256:00", OWNER, NOW))) == {DS}


def test_a_withdrawn_job_is_not_announced_as_rejected() -> None:
    assert told(event("job.rejected"), job(decision=Decision("reject", "sha256:00", SUBMITTER, NOW, "cancel"))) == set()


@pytest.mark.parametrize("kind", sorted(ROLES))
def test_jobs_sent_to_somebody_else_are_told_to_nobody(kind: str) -> None:
    assert told(event(kind), job(owner="other@example.org", submitter=OWNER)) == set()


def test_an_owner_who_sent_a_job_to_himself_is_told_once() -> None:
    assert told(event("job.completed"), job(submitter=OWNER.upper())) == {DO}


@pytest.mark.parametrize("address", ["", "unknown", "a,b@x.org", "a@x.org\nBcc: b@x.org", "Ana <ana@uni.example>"])
def test_a_submitter_without_a_plain_address_gets_no_mail(address: str) -> None:
    assert told(event("job.completed"), job(submitter=address)) == {DO}


def test_nobody_is_told_without_a_usable_owner_address() -> None:
    assert told(event("job.completed"), job(owner=""), owner="") == set()


def test_addresses_are_compared_and_kept_in_lower_case() -> None:
    assert told(
        event("job.completed"), job(owner="Owner@Example.org", submitter="Ana@Uni.example"), owner=" OWNER@example.org"
    ) == {DO, DS}


def test_an_event_about_an_unknown_job_is_told_to_nobody() -> None:
    assert routed(event("job.completed", ref="gone")) == []


@pytest.mark.parametrize(
    ("toggle", "silent", "told_still"),
    [
        ("notify_on_new_job", {"job.received", "job.invalid", "baseline"}, {"job.approved", "job.completed"}),
        ("notify_on_approved", {"job.approved"}, {"job.received", "job.completed", "job.rejected"}),
        ("notify_on_executed", {"job.completed", "job.failed"}, {"job.interrupted", "job.integrity", "outputs.released"}),
    ],
)
def test_a_toggle_silences_its_events_and_no_other(toggle: str, silent: set[str], told_still: set[str]) -> None:
    toggles = Toggles(**{toggle: False})
    assert [kind for kind in silent if routed(event(kind, "1"), toggles=toggles)] == []
    assert {kind for kind in told_still if routed(event(kind, "1"), toggles=toggles)} == told_still


def test_monitor_jobs_off_silences_everything_about_jobs() -> None:
    off = Toggles(notify=Monitors(monitor_jobs=False))
    assert [kind for kind in ROLES if routed(event(kind, "1"), toggles=off)] == []


def test_there_is_one_row_per_channel_and_none_without_channels() -> None:
    rows = routed(event("job.completed"), channels=("mailbox", "archive"))
    assert [(row.role, row.channel) for row in rows] == [
        ("do", "mailbox"),
        ("do", "archive"),
        ("ds", "mailbox"),
        ("ds", "archive"),
    ]
    assert len({row.key for row in rows}) == 4
    assert routed(event("job.completed"), channels=()) == []


def test_routing_the_same_event_later_gives_the_same_keys() -> None:
    first = route([event("job.completed")], {str(REF): job()}, Toggles(), ["m"], OWNER, NOW)
    again = route([event("job.completed")], {str(REF): job(status="failed")}, Toggles(), ["m"], OWNER, NOW + timedelta(days=3))
    assert [row.key for row in first] == [row.key for row in again]
    assert all(len(row.key) == 64 and int(row.key, 16) >= 0 for row in first)


@pytest.mark.parametrize(
    "other",
    [
        {"id": "7-1"},
        {"kind": "job.failed"},
        {"ref": "x"},
        {"at": NOW + timedelta(seconds=1)},
    ],
)
def test_different_events_have_different_keys(other: dict[str, Any]) -> None:
    assert key(event("job.completed"), "do", OWNER, "m") != key(replace(event("job.completed"), **other), "do", OWNER, "m")


def test_role_recipient_and_channel_are_part_of_the_key() -> None:
    made = event("job.completed")
    keys = {key(made, "do", "a@b", "m"), key(made, "ds", "a@b", "m"), key(made, "do", "c@b", "m"), key(made, "do", "a@b", "n")}
    assert len(keys) == 4


def test_a_row_is_queued_with_what_its_message_needs() -> None:
    run = Run(
        1, "sha256:00", "r", "settled", NOW, started_at=NOW, finished_at=NOW + timedelta(seconds=61), exit_code=0, cause="exit"
    )
    done = job(run=run, status="completed", digest="sha256:abc", outputs="released")
    row = routed(event("job.completed", after="completed"), done)[0]
    assert (row.state, row.attempts, row.created_at, row.job_id, row.event) == ("queued", 0, NOW, "0123456789abcdef", "7-0")
    assert row.context == {
        "at": "2026-03-02T10:30:00+00:00",
        "owner": OWNER,
        "status": "completed",
        "job_id": "0123456789abcdef",
        "short_id": "01234567",
        "name": "survey",
        "submitter": SUBMITTER,
        "digest": "sha256:abc",
        "submitted_at": "2026-03-02T10:30:00+00:00",
        "exit_code": "0",
        "duration_s": "61.0",
        "cause": "exit",
        "outputs": "released",
        "logs": "none",
    }


def test_words_of_strangers_are_clean_and_can_be_stored() -> None:
    hostile = job(name="a\r\nBcc: x@y\x1b[2J\u202egnp" + "x" * 400, invalid=("bad\x00file\udcff", "two"))
    row = routed(event("job.invalid"), hostile)[0]
    assert row.context["name"].startswith("a\ufffd\ufffdBcc: x@y\ufffd\ufffdgnp")
    assert len(row.context["name"]) == 200
    assert row.context["reason"] == "bad\ufffdfile\ufffd; two"
    assert msgspec.json.decode(msgspec.json.encode(row), type=Notification) == row


def test_the_owner_gets_the_beginning_of_run_sh_and_is_told_when_it_is_shortened() -> None:
    rows = {row.role: row for row in routed(event("job.received", "echo 1\n" * 2_000))}
    assert "run_sh" not in rows["ds"].context
    script = rows["do"].context["run_sh"]
    assert script.startswith("echo 1\n")
    assert script.endswith("[shortened: `scq review` shows the rest]")
    assert len(script) < EXCERPT_LIMIT + 100
    assert routed(event("job.received", "echo 1"))[0].context["run_sh"] == "echo 1"


def test_error_output_is_shown_to_the_owner_only() -> None:
    run = Run(1, "sha256:00", "r", "settled", NOW, exit_code=3, cause="exit")
    rows = {row.role: row for row in routed(event("job.failed", "early\n" * 5_000 + "secret path"), job(run=run))}
    assert rows["do"].context["error_output"].endswith("secret path")
    assert len(rows["do"].context["error_output"]) == EXCERPT_LIMIT
    assert not any("secret" in word for word in rows["ds"].context.values())
    assert rows["ds"].context["exit_code"] == "3"


def test_the_cause_alone_is_not_repeated_as_error_output() -> None:
    rows = routed(event("job.failed", "timeout"), job(run=Run(1, "sha256:00", "r", "settled", NOW, cause="timeout")))
    assert all("error_output" not in row.context and row.context["cause"] == "timeout" for row in rows)


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        *(("job.rejected", "reason"), ("job.approved", "reason"), ("job.changed", "reason")),
        *(("results.withheld", "reason"), ("outputs.released", "files")),
    ],
)
def test_the_detail_of_an_event_arrives_under_the_name_of_its_message(kind: str, word: str) -> None:
    assert [row.context[word] for row in routed(event(kind, " because\nof it "))] == ["because\nof it"]


def test_an_exit_code_known_from_the_folders_only_is_told() -> None:
    assert routed(event("job.completed"), job(exit_code=0))[0].context["exit_code"] == "0"


def baseline(detail: str) -> list[Notification]:
    return route([event("baseline", detail, ref="", job_id="")], {}, Toggles(), ["m"], OWNER, NOW)


def test_the_first_look_makes_one_message_about_everything_that_waits() -> None:
    rows = baseline("0123456789abcdef\tone\ta@b.org\nfedcba9876543210\ttw\x1bo\tc@d.org\nbroken line")
    assert [(row.role, row.recipient) for row in rows] == [DO]
    assert rows[0].context["count"] == "2"
    assert rows[0].context["waiting"] == "01234567  one  (a@b.org)\nfedcba98  tw\ufffdo  (c@d.org)"


def test_the_first_look_may_give_a_number_only_and_nothing_waiting_is_no_message() -> None:
    assert baseline("3")[0].context["count"] == "3"
    assert baseline("0") == baseline("") == []


def test_a_long_list_of_waiting_jobs_is_cut_and_says_so() -> None:
    context = baseline("\n".join(f"{n:016x}\tjob\ta@b.org" for n in range(150)))[0].context
    assert context["count"] == "150"
    assert context["waiting"].count("\n") == WAITING_LIMIT
    assert context["waiting"].endswith("\nand 50 more")
