"""A sender of a program's own as a channel."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from scq.errors import ChannelError, SignInError
from scq.library.senders import SenderChannel, told
from scq.library.verbs import ProblemWarning
from scq.ports import Message
from scq.render import REPEAT

OWNER, ANA, JOB = "owner@example.org", "ana@uni.example", "1234567890abcdef1234567890abcdef"
WORDS = {"name": "income", "submitter": ANA, "owner": OWNER, "ds_email": ANA, "submitted_at": "2026-03-02T10:30:00+00:00"}
MESSAGE = Message(
    key="k" * 64,
    event="job.received",
    sender=OWNER,
    recipient=OWNER,
    subject="Job: income",
    text="text",
    html="<p>text</p>",
    at_iso="2026-03-02T10:31:00+00:00",
    job_id=JOB,
    words=WORDS,
    role="do",
)


class Recording:
    """The documented sender, which only writes down how it is called."""

    def __init__(self, answer: Any = True) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.answer = answer

    def __getattr__(self, name: str) -> Any:
        if not name.startswith(("notify_", "send_email")):
            raise AttributeError(name)

        def method(*arguments: Any, **options: Any) -> Any:
            self.calls.append((name, arguments, options))
            if isinstance(self.answer, BaseException):
                raise self.answer
            return self.answer

        return method


class Remembering:
    """The documented state manager in memory."""

    def __init__(self, *marks: tuple[str, str]) -> None:
        self.marks = set(marks)

    def was_notified(self, entity_id: str, event_type: str) -> bool:
        return (entity_id, event_type) in self.marks

    def mark_notified(self, entity_id: str, event_type: str) -> None:
        self.marks.add((entity_id, event_type))


@pytest.mark.parametrize(
    ("event", "role", "recipient", "call"),
    [
        (
            *("job.received", "do", OWNER),
            ("notify_new_job", (OWNER, "income", ANA), {"timestamp": datetime(2026, 3, 2, 10, 30, tzinfo=UTC)}),
        ),
        ("job.approved", "ds", ANA, ("notify_job_approved", (ANA, "income"), {})),
        ("job.completed", "ds", ANA, ("notify_job_executed", (ANA, "income"), {"duration": 61})),
        ("peer.requested", "do", OWNER, ("notify_new_peer_request_to_do", (OWNER, ANA), {})),
        ("peer.request_seen", "ds", ANA, ("notify_peer_request_sent", (ANA, OWNER), {})),
        ("peer.granted", "ds", ANA, ("notify_peer_request_granted", (ANA, OWNER), {})),
        ("job.received", "ds", ANA, ("send_email", (ANA, "Job: income", "text", "<p>text</p>"), {})),
        ("job.failed", "do", OWNER, ("send_email", (OWNER, "Job: income", "text", "<p>text</p>"), {})),
        ("heartbeat", "do", OWNER, ("send_email", (OWNER, "Job: income", "text", "<p>text</p>"), {})),
    ],
)
def test_each_event_calls_the_documented_method(event: str, role: str, recipient: str, call: tuple[Any, ...]) -> None:
    sender = Recording()
    words = {**WORDS, "duration_s": "61.7"}
    SenderChannel(sender).send(replace(MESSAGE, event=event, role=role, recipient=recipient, words=words))
    assert sender.calls == [call]


@pytest.mark.parametrize("seconds", ["", "nonsense", "1e5", "nan", "-3"])
def test_a_duration_that_is_none_is_left_out(seconds: str) -> None:
    sender = Recording()
    SenderChannel(sender).send(replace(MESSAGE, event="job.completed", role="ds", words={**WORDS, "duration_s": seconds}))
    assert sender.calls[0][2] == {"duration": None}


def test_a_job_without_a_time_of_its_own_has_that_of_the_message() -> None:
    sender = Recording()
    SenderChannel(sender).send(replace(MESSAGE, words={**WORDS, "submitted_at": "yesterday"}))
    assert sender.calls[0][2] == {"timestamp": datetime(2026, 3, 2, 10, 31, tzinfo=UTC)}


def test_what_a_documented_method_needs_and_nobody_knows_goes_as_plain_mail() -> None:
    sender = Recording()
    SenderChannel(sender).send(replace(MESSAGE, words={**WORDS, "submitter": ""}))
    assert [name for name, _, _ in sender.calls] == ["send_email"]


def test_a_message_that_may_be_a_repeat_says_so() -> None:
    sender = Recording()
    SenderChannel(sender).send(replace(MESSAGE, text=f"{REPEAT}\n\ntext"))
    assert [(name, arguments[2]) for name, arguments, _ in sender.calls] == [("send_email", f"{REPEAT}\n\ntext")]


def test_a_sender_that_can_only_send_mail_gets_everything_as_mail() -> None:
    class Mailer:
        def __init__(self) -> None:
            self.mails: list[tuple[str, ...]] = []

        def send_email(self, *arguments: str) -> None:
            self.mails.append(arguments)

    sender = Mailer()
    channel = SenderChannel(sender)
    assert channel.usable() == ""
    channel.send(MESSAGE)
    assert sender.mails == [(OWNER, "Job: income", "text", "<p>text</p>")]


def test_a_sender_without_methods_is_a_mistake_that_can_be_corrected() -> None:
    channel = SenderChannel(object())
    assert "send_email" in channel.usable()
    with pytest.raises(ChannelError, match="no method send_email") as caught:
        channel.send(MESSAGE)
    assert caught.value.kind == "config"


class Answered:
    def __init__(self, **fields: bool) -> None:
        self.__dict__.update(fields)


@pytest.mark.parametrize("answer", [True, None, 1, "id-1", Answered(success=True), Answered(ok=True), Answered()])
def test_what_the_sender_took_is_sent(answer: Any) -> None:
    assert SenderChannel(Recording(answer)).send(MESSAGE).text == "the sender took it"


@pytest.mark.parametrize("answer", [False, 0, "", Answered(success=False), Answered(ok=False)])
def test_what_the_sender_did_not_take_is_tried_again(answer: Any) -> None:
    with pytest.raises(ChannelError, match="did not send") as caught:
        SenderChannel(Recording(answer)).send(MESSAGE)
    assert caught.value.kind == "transient"


def test_whatever_the_sender_raises_is_one_message_not_sent() -> None:
    error = RuntimeError("POST https://me:pw@mail.example/send?key=abc failed\n\x1b[31mtoken=s3cret Bearer xyz")
    with pytest.raises(ChannelError) as caught:
        SenderChannel(Recording(error)).send(MESSAGE)
    assert caught.value.kind == "transient"
    text = str(caught.value)
    assert text.startswith("the sender failed: RuntimeError: POST https://mail.example/… failed")
    assert not any(word in text for word in ("pw", "abc", "s3cret", "xyz", "\n", "\x1b"))


def test_errors_of_scq_itself_keep_their_meaning() -> None:
    with pytest.raises(SignInError):
        SenderChannel(Recording(SignInError("revoked"))).send(MESSAGE)
    with pytest.raises(ChannelError) as caught:
        SenderChannel(Recording(ChannelError("full", kind="permanent"))).send(MESSAGE)
    assert caught.value.kind == "permanent"
    assert told(SignInError("revoked", "Sign in.")) == "revoked. Sign in."
    assert told(ValueError()) == "ValueError"


def test_an_interruption_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        SenderChannel(Recording(KeyboardInterrupt())).send(MESSAGE)


def test_what_the_state_manager_says_was_told_is_not_sent_again() -> None:
    sender, memory = Recording(), Remembering()
    channel = SenderChannel(sender, memory)
    channel.send(MESSAGE)
    assert memory.marks == {(JOB, "new")}
    assert "told before" in channel.send(MESSAGE).text
    assert len(sender.calls) == 1


def test_owner_and_submitter_are_told_of_the_same_event_each_once() -> None:
    sender, memory = Recording(), Remembering()
    channel = SenderChannel(sender, memory)
    for event in ("job.received", "job.approved", "job.completed", "job.failed", "job.rejected"):
        for role, recipient in (("do", OWNER), ("ds", ANA)):
            for _ in range(2):
                channel.send(replace(MESSAGE, event=event, role=role, recipient=recipient))
    assert len(sender.calls) == 10
    assert {(JOB, "new"), (JOB, "approved"), (JOB, "executed"), (JOB, "failed")} < memory.marks


def test_a_name_other_programs_remember_counts_unless_two_jobs_have_it() -> None:
    memory = Remembering(("income", "new"))
    for role in ("do", "ds"):
        sender = Recording()
        SenderChannel(sender, memory).send(replace(MESSAGE, role=role))
        assert sender.calls == []
        SenderChannel(sender, memory, lambda name: False).send(replace(MESSAGE, role=role))
        assert len(sender.calls) == 1
        memory.marks.discard((JOB, "new"))


def test_peers_are_remembered_as_other_programs_do() -> None:
    memory = Remembering()
    channel = SenderChannel(Recording(), memory)
    channel.send(replace(MESSAGE, event="peer.granted", role="ds", recipient=ANA, job_id=""))
    channel.send(replace(MESSAGE, event="heartbeat", job_id=""))
    assert memory.marks == {(f"peer_granted_{ANA}", "peer_granted")}


class Broken(Remembering):
    def __init__(self, *methods: str) -> None:
        super().__init__()
        self.methods = methods

    def was_notified(self, entity_id: str, event_type: str) -> bool:
        if "was" in self.methods:
            raise OSError("disk")
        return False

    def mark_notified(self, entity_id: str, event_type: str) -> None:
        if "mark" in self.methods:
            raise OSError("disk")


def test_a_state_manager_that_cannot_answer_lets_the_message_wait() -> None:
    sender = Recording()
    with pytest.raises(ChannelError, match="state manager failed: OSError: disk") as caught:
        SenderChannel(sender, Broken("was")).send(MESSAGE)
    assert caught.value.kind == "transient"
    assert sender.calls == []


def test_a_state_manager_that_cannot_remember_does_not_make_a_message_fail_that_was_sent() -> None:
    sender = Recording()
    with pytest.warns(ProblemWarning, match="did not remember new"):
        assert SenderChannel(sender, Broken("mark")).send(MESSAGE).text == "the sender took it"
    assert len(sender.calls) == 1
