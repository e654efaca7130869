"""Who is told about which event, over which channels, and with which words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from scq.config_kinds import EVENTS
from scq.model import Bounds, Decision, Event, Job, JobRef, Notification, Run, Sighting
from scq.routing import LEVELS, ROLES, SWITCHES, key, route
from scq.wording import EXCERPT_LIMIT, TOO_LARGE, UNUSABLE, WAITING_LIMIT

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
OWNER = "owner@example.org"
SUBMITTER = "ana@uni.example"
REF = JobRef("inbox", OWNER, SUBMITTER, "survey")


class Monitors(msgspec.Struct, frozen=True):
    monitor_jobs: bool = True
    monitor_peers: bool = True
    events: dict[str, str] = {}


class Way(msgspec.Struct, frozen=True):
    name: str
    is_mail: bool = True


class Settings(msgspec.Struct, frozen=True):
    email: str = OWNER
    notify_on_new_job: bool = True
    notify_on_approved: bool = True
    notify_on_executed: bool = True
    notify_on_new_peer: bool = True
    notify_on_peer_granted: bool = True
    notify: Monitors = Monitors()
    channels: tuple[Way, ...] = (Way("mailbox"),)
    routing_levels: dict[str, tuple[str, ...]] = {}
    routing_events: dict[str, tuple[str, ...]] = {}
    routing_order: tuple[str, ...] = ()


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
    settings: Settings | None = None,
    told: Mapping[str, Sequence[str]] | None = None,
    **changes: Any,
) -> list[Notification]:
    return route([happened], {str(REF): of or job()}, replace(settings or Settings(), **changes), NOW, told)


def told(happened: Event, of: Job | None = None, **changes: Any) -> set[tuple[str, str]]:
    return {(row.role, row.recipient) for row in routed(happened, of, **changes)}


def asked(**words: str) -> Monitors:
    """Settings of `notify.events`, dots written as `__`."""
    return Monitors(events={name.replace("__", "."): word for name, word in words.items()})


DO, DS = ("do", OWNER), ("ds", SUBMITTER)
PEER = "ben@lab.example"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("baseline", {DO}),
        ("job.received", {DO, DS}),
        ("job.invalid", {DO, DS}),
        ("job.approved", {DS}),
        ("job.rejected", {DS}),
        ("job.expired", {DO, DS}),
        ("job.started", set()),
        ("job.completed", {DO, DS}),
        ("job.failed", {DO, DS}),
        ("job.interrupted", {DO}),
        ("job.integrity", {DO}),
        ("job.changed", {DO}),
        ("job.vanished", set()),
        ("outputs.withheld", {DO}),
        ("outputs.released", {DS}),
        ("results.withheld", {DS}),
        ("peer.requested", {DO}),
        ("peer.request_seen", set()),
        ("peer.granted", {("ds", PEER)}),
        ("peer.added", {("ds", PEER)}),
        ("review.reminder", {DO}),
        ("auth.expiring", {DO}),
        ("auth.failed", {DO}),
        ("channel.failed", {DO}),
        ("source.stale", {DO}),
        ("heartbeat", {DO}),
        ("digest", set()),
        ("something.new", set()),
    ],
)
def test_each_event_is_told_to_the_roles_of_the_table(kind: str, expected: set[tuple[str, str]]) -> None:
    detail = PEER if kind.startswith("peer.") else "7"
    assert told(event(kind, detail)) == expected


def test_every_event_there_is_has_roles_and_only_those() -> None:
    assert set(ROLES) == set(EVENTS)
    assert set(LEVELS) | set(SWITCHES) <= set(EVENTS)


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        *(("job.received", "info"), ("job.failed", "error"), ("job.interrupted", "warning"), ("job.integrity", "critical")),
        *(("job.changed", "critical"), ("auth.failed", "error"), ("channel.failed", "warning"), ("source.stale", "warning")),
        *(("review.reminder", "warning"), ("heartbeat", "info"), ("baseline", "info")),
    ],
)
def test_a_row_has_the_level_of_its_event(kind: str, level: str) -> None:
    assert {row.level for row in routed(event(kind, "3"))} == {level}


@pytest.mark.parametrize(
    ("word", "expected"), [("off", set()), ("do", {DO}), ("ds", {DS}), ("both", {DO, DS}), ("digest", {DO, DS})]
)
def test_the_configuration_may_say_who_is_told(word: str, expected: set[tuple[str, str]]) -> None:
    assert told(event("job.completed"), notify=asked(job__completed=word)) == expected
    assert told(event("job.started"), notify=asked(job__started=word)) == (set() if word == "digest" else expected)


def test_the_owner_who_asks_for_it_hears_of_his_own_approvals_too() -> None:
    by_hand = job(decision=Decision("approve", "sha256:00", OWNER, NOW))
    assert told(event("job.approved"), by_hand, notify=asked(job__approved="both")) == {DO, DS}


def test_what_is_for_the_next_digest_is_marked_unless_it_is_critical() -> None:
    assert {row.role: row.in_digest for row in routed(event("job.invalid"))} == {"do": True, "ds": False}
    assert {row.in_digest for row in routed(event("job.invalid"), notify=asked(job__invalid="both"))} == {False}
    assert {row.in_digest for row in routed(event("job.completed"), notify=asked(job__completed="digest"))} == {True}
    assert {row.in_digest for row in routed(event("job.integrity"), notify=asked(job__integrity="digest"))} == {False}


def together(*kinds: str, **changes: Any) -> set[tuple[str, str]]:
    rows = route([event(kind) for kind in kinds], {str(REF): job()}, replace(Settings(), **changes), NOW)
    return {(row.kind, row.role) for row in rows}


@pytest.mark.parametrize(
    ("general", "special"),
    [("job.completed", "outputs.withheld"), ("job.failed", "job.interrupted"), ("job.failed", "job.integrity")],
)
def test_the_owner_gets_one_message_where_one_says_it_all(general: str, special: str) -> None:
    assert together(general, special) == {(special, "do"), (general, "ds")}
    assert together(general, special, notify=Monitors(events={special: "off"})) == {(general, "do"), (general, "ds")}


def test_a_peer_is_named_in_the_detail_or_at_the_end_of_the_ref_and_must_have_a_plain_address() -> None:
    granted = event("peer.granted", ref=f"peer/{OWNER}/Ben@Lab.example")
    assert told(granted) == {("ds", PEER)}
    assert routed(granted)[0].context["ds_email"] == PEER
    assert told(event("peer.granted", "a@b.org, c@d.org")) == set()
    assert told(event("peer.granted", OWNER)) == set(), "nobody is a peer of himself"
    seen = event("peer.request_seen", PEER)
    assert told(seen, notify=asked(peer__request_seen="ds")) == {("ds", PEER)}


@pytest.mark.parametrize(
    ("kind", "switch"),
    [("peer.requested", "notify_on_new_peer"), ("peer.granted", "notify_on_peer_granted")],
)
def test_peers_have_their_switches(kind: str, switch: str) -> None:
    assert told(event(kind, PEER), **{switch: False}) == set()
    assert told(event(kind, PEER), notify=Monitors(monitor_peers=False)) == set()
    assert told(event(kind, PEER), notify=Monitors(monitor_jobs=False)) != set()


def over(kind: str, role: str, ref: str = "", **changes: Any) -> list[str]:
    happened = event(kind, "1", **({"ref": ref} if ref else {}))
    return [row.channel for row in routed(happened, **changes) if row.role == role]


WAYS = (Way("team", is_mail=False), Way("post"), Way("relay"), Way("pager", is_mail=False))


def test_the_owner_is_told_over_what_is_routed_and_over_everything_where_nothing_is() -> None:
    routing = {"channels": WAYS, "routing_levels": {"error": ("post", "team"), "info": ()}}
    assert over("job.failed", "do", **routing) == ["post", "team"]
    assert over("job.completed", "do", **routing) == []
    assert over("job.integrity", "do", **routing) == ["team", "post", "relay", "pager"]
    assert over("job.failed", "do", **routing, routing_events={"job.failed": ("pager", "gone")}) == ["pager"]


def test_a_submitter_is_told_by_mail_once() -> None:
    assert over("job.completed", "ds", channels=WAYS) == ["post"]
    assert over("job.completed", "ds", channels=WAYS, routing_order=("team", "relay", "post")) == ["relay"]
    assert over("job.completed", "ds", channels=WAYS, routing_levels={"info": ("team", "relay")}) == ["relay"]
    assert over("job.completed", "ds", channels=WAYS, routing_levels={"info": ("team",)}) == ["post"]
    assert over("job.completed", "ds", channels=WAYS[:1]) == []


@pytest.mark.parametrize("kind", ["auth.failed", "channel.failed"])
def test_a_broken_channel_is_never_told_about_over_itself(kind: str) -> None:
    assert over(kind, "do", "channel post", channels=WAYS) == ["team", "relay", "pager"]
    only = {"routing_events": {kind: ("post",)}}
    assert over(kind, "do", "channel post", channels=WAYS, **only) == ["team", "relay", "pager"]
    assert over(kind, "do", "channel mailbox") == [], "there is no other one"


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        *(("job.received", "new"), ("job.approved", "approved"), ("job.completed", "executed"), ("job.failed", "failed")),
        ("job.rejected", "rejected"),
    ],
)
@pytest.mark.parametrize("entity", ["survey", "0123456789abcdef", "01234567"])
def test_what_other_software_has_told_already_is_not_told_again(kind: str, word: str, entity: str) -> None:
    assert routed(event(kind), told={entity: (word,)}) == []
    assert routed(event(kind), told={entity: ("other",), "else": (word,)}) != []


def test_a_name_that_two_jobs_have_says_nothing_about_either() -> None:
    jobs = {str(REF): job(), "other": job(id="fedcba9876543210")}
    assert route([event("job.received")], jobs, Settings(), NOW, {"survey": ("new",)}) != []


@pytest.mark.parametrize(
    ("kind", "entity", "word"),
    [
        ("peer.requested", f"peer_new_{PEER}_to_do", "new_peer_request"),
        ("peer.granted", f"peer_granted_{PEER}", "peer_granted"),
        ("peer.added", f"peer_added_{PEER}_{OWNER}", "peer_added"),
    ],
)
def test_what_other_software_has_told_of_a_peer_is_not_told_again(kind: str, entity: str, word: str) -> None:
    assert routed(event(kind, PEER), told={entity: (word,)}) == []
    assert routed(event(kind, PEER), told={entity: ("other",)}) != []


def test_the_owner_hears_of_an_approval_not_given_by_hand() -> None:
    decision = Decision("approve", "sha256:00", OWNER, NOW, "adopted")
    assert told(event("job.approved"), job(decision=decision)) == {DO, DS}


@pytest.mark.parametrize("method", ["manual", "digest"])
def test_the_owner_does_not_hear_of_an_approval_given_by_hand(method: Any) -> None:
    """`digest` is the command that his own mail offers."""
    assert told(event("job.approved"), job(decision=Decision("approve", "sha256:00", OWNER, NOW, method))) == {DS}


def test_the_words_of_an_approval_by_other_software_are_for_the_owner_alone() -> None:
    happened = event("job.approved", "matched rule nightly in /srv/rules.yaml")
    rows = routed(happened, job(decision=Decision("approve", "sha256:00", OWNER, NOW, "adopted")))
    assert {row.role: row.context.get("reason") for row in rows} == {"do": happened.detail, "ds": None}


def test_a_withdrawn_job_is_not_announced_as_rejected() -> None:
    assert told(event("job.rejected"), job(decision=Decision("reject", "sha256:00", SUBMITTER, NOW, "cancel"))) == set()


@pytest.mark.parametrize("kind", sorted(kind for kind in ROLES if kind.startswith(("job.", "outputs.", "results."))))
def test_jobs_sent_to_somebody_else_are_told_to_nobody(kind: str) -> None:
    assert told(event(kind), job(owner="other@example.org", submitter=OWNER)) == set()


def test_an_owner_who_sent_a_job_to_himself_is_told_once() -> None:
    assert told(event("job.completed"), job(submitter=OWNER.upper())) == {DO}


@pytest.mark.parametrize("address", ["", "unknown", "a,b@x.org", "a@x.org\nBcc: b@x.org", "Ana <ana@uni.example>"])
def test_a_submitter_without_a_plain_address_gets_no_mail(address: str) -> None:
    assert told(event("job.completed"), job(submitter=address)) == {DO}


def test_nobody_is_told_without_a_usable_owner_address() -> None:
    assert told(event("job.completed"), job(owner=""), email="") == set()


def test_addresses_are_compared_and_kept_in_lower_case() -> None:
    assert told(
        event("job.completed"), job(owner="Owner@Example.org", submitter="Ana@Uni.example"), email=" OWNER@example.org"
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
    toggles = Settings(**{toggle: False})
    assert [kind for kind in silent if routed(event(kind, "1"), settings=toggles)] == []
    assert {kind for kind in told_still if routed(event(kind, "1"), settings=toggles)} == told_still


def test_monitor_jobs_off_silences_everything_about_jobs() -> None:
    off = Settings(notify=Monitors(monitor_jobs=False))
    about_jobs = [kind for kind in ROLES if kind.startswith(("job.", "outputs.", "results.", "review.", "baseline"))]
    assert [kind for kind in about_jobs if routed(event(kind, "1"), settings=off)] == []
    assert routed(event("heartbeat", "60"), settings=off) != []


def test_there_is_one_row_per_channel_and_none_without_channels() -> None:
    rows = routed(event("job.completed"), channels=(Way("mailbox"), Way("archive")))
    assert [(row.role, row.channel) for row in rows] == [("do", "mailbox"), ("do", "archive"), ("ds", "mailbox")]
    assert len({row.key for row in rows}) == 3
    assert routed(event("job.completed"), channels=()) == []


def test_routing_the_same_event_later_gives_the_same_keys() -> None:
    first = route([event("job.completed")], {str(REF): job()}, Settings(), NOW)
    again = route([event("job.completed")], {str(REF): job(status="failed")}, Settings(), NOW + timedelta(days=3))
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
        1,
        "sha256:00",
        "ana/run-1",
        "settled",
        NOW,
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=61),
        exit_code=0,
        cause="exit",
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
        "run_id": "run-1",
        "exit_code": "0",
        "duration_s": "61.0",
        "cause": "exit",
        "outputs": "released",
        "logs": "none",
    }


def test_words_of_strangers_are_clean_and_can_be_stored() -> None:
    hostile = job(name="a\r\nBcc: x@y\x1b[2J\u202egnp" + "x" * 400, invalid=("bad\x00file\udcff", "two"))
    row = routed(event("job.invalid"), hostile)[0]
    assert row.context["name"].startswith("a\ufffd\ufffdBcc: x@y\ufffd[2J\ufffdgnp")
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
    return route([event("baseline", detail, ref="", job_id="")], {}, Settings(), NOW)


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


def test_a_reminder_is_one_message_with_since_when_each_job_waits() -> None:
    (row,) = routed(event("review.reminder", "0123456789\tone\ta@b.org\tsince Monday", ref="", job_id=""))
    assert row.context["waiting"] == "01234567  one  (a@b.org)  since Monday"
    assert routed(event("review.reminder", "", ref="", job_id="")) == []


def test_a_heartbeat_says_how_often_it_comes() -> None:
    assert routed(event("heartbeat", "86400.0", ref=""))[0].context["interval_human"] == "24 hours"
    assert "interval_human" not in routed(event("heartbeat", "", ref=""))[0].context


def test_a_trouble_is_told_with_its_name_reason_and_advice() -> None:
    (row,) = routed(event("source.stale", "cannot be read\nMount it.", ref="source syftbox", job_id=""))
    assert {name: row.context[name] for name in ("what", "source", "reason", "advice")} == {
        "what": "SyftBox folder",
        "source": "syftbox",
        "reason": "cannot be read",
        "advice": "Mount it.",
    }


def test_an_approval_is_told_with_its_end() -> None:
    decision = Decision("approve", "sha256:00", OWNER, NOW, bounds=Bounds(expires_at=NOW + timedelta(days=1)))
    (row,) = routed(event("job.approved"), job(decision=decision))
    assert row.context["expires"] == "2026-03-03T10:30:00+00:00"


def test_a_submitter_is_told_what_is_wrong_with_his_files_and_nothing_about_the_machine() -> None:
    wrong = job(
        invalid=(
            "a/b.sh: is a symbolic link",
            "/srv/owner/SyftBox/x: cannot be read (Input/output error)",
            "/srv/secret is missing",
            "more than 100 files",
            "deep: lies deeper than 40 folders",
            "run.sh: is missing",
        )
    )
    rows = {row.role: row.context["reason"] for row in routed(event("job.invalid"), wrong)}
    assert rows["ds"] == f"a/b.sh: is a symbolic link; {UNUSABLE}; {TOO_LARGE}; run.sh: is missing"
    assert "/srv/owner" in rows["do"]


def test_the_sentence_about_the_cause_is_for_the_owner() -> None:
    run = Run(1, "sha256:00", "r", "settled", NOW, cause="memory", detail="used more than /srv/limit")
    rows = {row.role: row.context for row in routed(event("job.failed", "last words"), job(run=run))}
    assert (rows["do"]["reason"], rows["do"]["error_output"]) == ("used more than /srv/limit", "last words")
    assert not any("/srv" in word or "last words" in word for word in rows["ds"].values())
    told_by_cause = {row.role: row.context for row in routed(event("job.failed", "memory"), job(run=run))}
    assert told_by_cause["do"]["reason"] == "used more than /srv/limit"


@pytest.mark.parametrize("kind", sorted(ROLES))
def test_no_event_shows_a_submitter_the_owners_machine(kind: str) -> None:
    run = Run(1, "sha256:00", "owner-host/secret/run-1", "settled", NOW, exit_code=1, cause="exit", detail="secret-path")
    settings = Settings(notify=Monitors(events={kind: "both"}))
    own_words = kind in ("job.approved", "job.rejected", "results.withheld", "outputs.released") or kind.startswith("peer.")
    rows = [row for row in routed(event(kind, "" if own_words else "secret-output"), job(run=run), settings) if row.role == "ds"]
    assert not any("secret" in word for row in rows for word in row.context.values())


def test_what_other_software_told_of_something_else_changes_nothing() -> None:
    assert routed(event("heartbeat", "60", ref=""), told={"": ("new",)}) != []
    assert routed(event("job.changed"), told={"survey": ("new", "approved")}) != []


def test_an_event_that_is_routed_nowhere_stands_for_no_other() -> None:
    found = [event("job.interrupted", "interrupted"), event("job.failed", "interrupted")]
    rows = route(found, {str(REF): job()}, Settings(routing_events={"job.interrupted": ()}), NOW)
    assert [row.kind for row in rows if row.role == "do"] == ["job.failed"]
