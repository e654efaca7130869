"""`scq outbox`: what became of each message, and what may be done about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scq.errors import USAGE
from scq.model import Notification
from scq.outbox import queue
from scq.store import Store
from tests.people import OWNER, Person, syftbox

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
STATES = ("queued", "sending", "ambiguous", "deferred", "sent", "bundled", "dead", "dropped")


class Office(Person):
    """The owner, with one message in each state."""

    def store(self) -> Store:
        return Store(str(self.home))

    def rows(self) -> dict[str, Notification]:
        return {row.context["name"]: row for row in self.store().load().outbox.values()}

    def key(self, state: str) -> str:
        return self.rows()[state].key

    def put(self, *rows: Notification) -> None:
        self.store().update(lambda state: replace(state, outbox=queue(state.outbox, rows)))


def row(number: int, name: str, state: Any, **changes: Any) -> Notification:
    words = {"name": name, "short_id": "01234567", "at": NOW.isoformat(), "owner": OWNER, "run_sh": "echo hi"}
    key = f"{number:02x}" * 32
    made = Notification(key, "1-0", "job.received", "id", "mailbox", OWNER, "do", NOW + timedelta(minutes=number), words)
    return replace(made, state=state, **changes)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path / "home", syftbox(tmp_path, OWNER), OWNER)
    made.put(*(row(number, state, state, attempts=3, outcome=f"outcome {state}") for number, state in enumerate(STATES)))
    return made


def listed(office: Office, *options: str) -> list[str]:
    return [message["state"] for message in office.json("outbox", "list", *options)["messages"]]


def test_the_list_shows_what_waits_and_what_was_given_up_newest_last(office: Office) -> None:
    assert listed(office) == ["queued", "sending", "ambiguous", "deferred", "dead"]
    assert listed(office, "--all") == list(STATES)
    assert listed(office, "--state", "sent") == ["sent"]


def test_the_lines_are_aligned_and_say_why(office: Office) -> None:
    office.put(row(20, "a\x1b[2J\nb", "deferred", not_before=NOW, outcome="is away"), row(21, "later", "queued", in_digest=True))
    lines = office.scq("outbox", "list", "--all").out.splitlines()
    assert len(lines) == len(STATES) + 2
    assert all(line.isprintable() for line in lines)
    assert len({line.index("job.received") for line in lines}) == 1
    assert lines[6].endswith("outcome dead")
    assert "not before" in lines[-2]
    assert lines[-2].endswith("is away")
    assert lines[-1].endswith("in the next digest")


def test_a_state_there_is_not_is_refused(office: Office) -> None:
    assert "queued" in office.scq("outbox", "list", "--state", "lost", code=USAGE).err


def test_everything_about_one_message_and_its_text_while_it_waits(office: Office) -> None:
    out = office.scq("outbox", "show", office.key("queued")[:6]).out
    assert "Subject: Job: queued" in out
    assert "echo hi" in out
    assert "attempts  3" in out
    data = office.json("outbox", "show", office.key("sent"))["message"]
    assert (data["outcome"], data["text"], data["context"]["name"]) == ("outcome sent", "", "sent")


@pytest.mark.parametrize("word", ["", "0000", "zzzzzzzz", "*"])
def test_a_word_that_means_no_message_is_refused(office: Office, word: str) -> None:
    answer = office.scq("outbox", "show", word, code=USAGE)
    assert "at least 6 characters" in answer.err


def test_a_beginning_that_several_keys_have_is_refused(office: Office) -> None:
    office.put(replace(row(0, "twin", "queued"), key="00" * 31 + "ff"))
    assert "fits 2 messages" in office.scq("outbox", "show", "000000", code=USAGE).err


@pytest.mark.parametrize("state", ["dead", "dropped", "deferred", "ambiguous"])
def test_a_message_can_be_tried_again_from_the_start(office: Office, state: str) -> None:
    office.scq("outbox", "retry", office.key(state))
    now = office.rows()[state]
    assert (now.state, now.attempts, now.outcome, now.not_before) == ("queued", 0, "", None)
    assert now.repeat is (state == "ambiguous"), "what may have arrived is marked"


def test_everything_that_was_given_up_can_be_tried_again_at_once(office: Office) -> None:
    office.put(row(30, "dead too", "dead"))
    assert len(office.json("outbox", "retry", "--all-dead")["messages"]) == 2
    assert {office.rows()[name].state for name in ("dead", "dead too")} == {"queued"}
    assert office.rows()["dropped"].state == "dropped"


@pytest.mark.parametrize("state", ["queued", "deferred", "ambiguous"])
def test_what_waits_can_be_dropped(office: Office, state: str) -> None:
    office.scq("outbox", "drop", office.key(state))
    now = office.rows()[state]
    assert (now.state, now.outcome) == ("dropped", "dropped by hand")
    assert now.ended_at is not None
    office.scq("outbox", "retry", now.key)
    assert office.rows()[state].context == row(0, state, "queued").context, "nothing it needs was forgotten"


@pytest.mark.parametrize(
    ("verb", "state"),
    [
        *(("retry", state) for state in ("queued", "sending", "sent", "bundled")),
        *(("drop", state) for state in ("sent", "dead", "sending")),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_changed(office: Office, verb: str, state: str) -> None:
    before = office.rows()
    answer = office.scq("outbox", verb, office.key("deferred"), office.key(state), code=USAGE)
    assert f"is {state}" in answer.err
    assert office.rows() == before


@pytest.mark.parametrize("arguments", [("retry",), ("retry", "000000", "--all-dead")])
def test_what_is_meant_must_be_said(office: Office, arguments: tuple[str, ...]) -> None:
    office.scq("outbox", *arguments, code=USAGE)


@pytest.mark.parametrize("verb", ["retry", "drop"])
def test_a_dry_run_changes_nothing(office: Office, verb: str) -> None:
    before = office.rows()
    data = office.json("outbox", verb, office.key("deferred"), "--dry-run")
    assert [message["state"] for message in data["messages"]] == [{"retry": "queued", "drop": "dropped"}[verb]]
    assert data["dry_run"] is True
    assert office.rows() == before


def test_an_empty_outbox_is_an_empty_list(tmp_path: Path) -> None:
    nobody = Office(tmp_path / "home", syftbox(tmp_path, OWNER), OWNER)
    assert nobody.scq("outbox", "list", "--all").out == ""
    assert nobody.json("outbox", "retry", "--all-dead")["messages"] == []
