"""Rows become messages, whatever the row holds and whatever the user did to the templates."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from scq import TemplateRenderer, render, resources
from scq.errors import ConfigError
from scq.model import Cause, Event, Job, JobRef, Level, Notification, Run, Sighting, Thread
from scq.render import MAIL_LIMIT, MAILS, REPEAT, Renderer
from scq.render.filters import WIDTH, datetime_text, datetime_tz_text, duration_text, wrap_text
from scq.render.mails import CAUSES, SUBJECT_LIMIT, subject, template_context
from scq.routing import ROLES, level_of
from scq.wording import words_of

NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
WORDS = {
    "at": NOW.isoformat(),
    "owner": "owner@example.org",
    "status": "failed",
    "name": "sur<b>vey",
    "short_id": "01234567",
    "submitter": "ana@uni.example",
    "digest": "sha256:" + "a" * 64,
    "method": "adopted",
    "reviewer": "owner@example.org",
    "duration_s": "61.5",
    "exit_code": "3",
    "cause": "timeout",
    "outputs": "withheld",
    "reason": "needs <more> words",
    "files": "table.csv",
    "count": "2",
    "waiting": "01234567  one  (ana@uni.example)",
    "items": "10:28  a job failed  survey (01234567)",
    "ds_email": "ana@uni.example",
    "what": "channel relay",
    "channel": "relay",
    "source": "syftbox",
    "since": NOW.isoformat(),
    "expires": NOW.isoformat(),
    "advice": "Run: scq auth google --send",
    "interval_human": "1d",
    "run_id": "01234567-1",
}
ABOUT_JOBS = ("job.", "outputs.", "results.")
EVERY = sorted(MAILS)
HERE = Path(resources.folder("templates")).parent


def row(kind: str = "job.received", role: Any = "do", **words: str) -> Notification:
    return Notification("ab" * 32, "1-0", kind, "0123456789ab", "m", "ana@uni.example", role, NOW, WORDS | words, level_of(kind))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2024, 1, 15, 15, 30), "January 15, 2024 at 03:30 PM"),
        (datetime(2024, 1, 5, 3, 5), "January 05, 2024 at 03:05 AM"),
        (datetime(2024, 12, 31, 0, 0), "December 31, 2024 at 12:00 AM"),
        (datetime(2024, 12, 31, 12, 0), "December 31, 2024 at 12:00 PM"),
        ("yesterday", "yesterday"),
        (None, "unknown"),
        (7, "7"),
    ],
)
def test_the_datetime_filter(value: object, expected: str) -> None:
    assert datetime_text(value) == expected


@pytest.mark.parametrize("month", range(1, 13))
def test_the_datetime_filter_says_what_the_c_locale_says(month: int) -> None:
    value = datetime(2024, month, 9, month * 2 - 1, 7)
    assert datetime_text(value) == value.strftime("%B %d, %Y at %I:%M %p")


def test_an_aware_time_is_shown_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "XYZ-3")
    time.tzset()
    try:
        value = datetime(2024, 1, 15, 15, 30, tzinfo=timezone(timedelta(hours=1)))
        assert datetime_text(value) == "January 15, 2024 at 05:30 PM"
        assert datetime_tz_text(value) == "January 15, 2024 at 05:30 PM XYZ"
        assert datetime_tz_text("soon") == "soon"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "1 minute"),
        (61, "1 minute 1 second"),
        (3600, "1 hour"),
        (8130, "2 hours 15 minutes 30 seconds"),
        (90061, "25 hours 1 minute 1 second"),
        (None, "unknown"),
        (-5, "0 seconds"),
        (float("nan"), "unknown"),
        (float("inf"), "unknown"),
        (float("-inf"), "unknown"),
        ("a while", "a while"),
        ([], "unknown"),
    ],
)
def test_the_duration_filter(value: object, expected: str) -> None:
    assert duration_text(value) == expected


def test_every_event_that_is_told_has_a_mail() -> None:
    assert {(kind, role) for kind, roles in ROLES.items() for role in roles} <= set(MAILS)
    assert {kind for kind, _ in MAILS} <= set(ROLES)


def test_every_cause_has_a_sentence_for_the_submitter() -> None:
    assert set(CAUSES) == set(get_args(Cause))


@pytest.mark.parametrize("kind_and_role", EVERY)
@pytest.mark.parametrize("known", ["everything", "nothing"])
def test_every_mail_has_a_text_and_an_html_form(kind_and_role: tuple[str, Any], known: str) -> None:
    renderer = strict()
    made = row(*kind_and_role) if known == "everything" else replace(row(*kind_and_role), context={})
    message = renderer.message(made, sender="owner@example.org")
    assert renderer.problems == []
    assert message.html is not None
    assert "</html>" in message.html
    assert message.text.endswith("\n")
    assert "Sent by scq" in message.text
    assert (message.key, message.event, message.recipient) == (made.key, made.kind, "ana@uni.example")
    assert (message.level, message.role, message.job_id, message.words) == (made.level, made.role, made.job_id, made.context)
    assert message.at_iso == NOW.isoformat()
    assert message.subject.endswith("[scq 01234567]" if known == "everything" else "[scq]")
    if known == "everything" and kind_and_role[0].startswith(ABOUT_JOBS):
        assert "sur<b>vey" in message.text
        assert "sur&lt;b&gt;vey" in message.html
        assert "<b>vey" not in message.html


@pytest.mark.parametrize("kind_and_role", EVERY)
def test_a_plain_text_has_short_lines_and_neither_markup_nor_heaps_of_blank_lines(kind_and_role: tuple[str, Any]) -> None:
    text = strict().message(row(*kind_and_role, name="survey", reason="too few " * 40), sender="o@x.org").text
    assert "\n\n\n" not in text
    assert not text.startswith("\n")
    assert not [line for line in text.splitlines() if line != line.rstrip() and line != "-- "]
    assert not re.search(r"</?[a-z]+>|&[a-z]+;|\{\{|\{%", text)
    assert not [line for line in text.splitlines() if len(line) > 78 and "sha256:" not in line]


@pytest.mark.parametrize("kind_and_role", EVERY)
def test_html_is_what_mail_programs_accept(kind_and_role: tuple[str, Any]) -> None:
    html = strict().message(row(*kind_and_role), sender="o@x.org", extra=EXTRA_WORDS).html or ""
    seen = Tags()
    seen.feed(html)
    assert seen.open == []
    assert not seen.names & {"script", "img", "link", "iframe", "form", "object", "svg", "base"}
    assert seen.names >= {"html", "head", "body", "table", "style"}
    assert html.count("<style>") == 1
    assert all(values.get("role") == "presentation" for tag, values in seen.tags if tag == "table")
    assert not [name for _, values in seen.tags for name in values if name.startswith("on") or name == "src"]
    assert not re.search(r"url\(|@import|javascript:|https?://", html)
    assert '<meta name="color-scheme" content="light dark">' in html
    assert '<meta name="supported-color-schemes" content="light dark">' in html
    assert "@media (prefers-color-scheme: dark)" in html


class Tags(HTMLParser):
    """Every tag of a page, and those that were never closed."""

    VOID = frozenset({"meta", "br", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    @property
    def names(self) -> set[str]:
        return {tag for tag, _ in self.tags}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


EXTRA_WORDS = {
    "job_code": {"run.sh": "echo one", "<b>.py": "x < 1"},
    "code_notes": {"run.sh": "", "<b>.py": "only the beginning"},
    "job_fields": [{"label": "name", "value": "<i>"}],
    "job_files": ["1 B  run.sh"],
    "findings": ["run.sh:1  network  curl"],
    "checked": True,
    "compared": {"title": "Compared with <job>", "text": "@@\n-a\n+<b>\n c"},
    "unseen": ["Something <else>"],
}


def strict() -> Renderer:
    """A renderer for which a variable that is not there is a mistake."""
    from jinja2 import StrictUndefined

    renderer = Renderer()
    renderer._jinja().undefined = StrictUndefined
    return renderer


@pytest.mark.parametrize(
    ("paper", "ink"),
    [
        *[("#ffffff", ink) for ink in ("#1d2330", "#5b6475", "#146c43", "#8a5a00", "#b02a37")],
        *[("#f1f3f8", ink) for ink in ("#1d2330", "#5b6475", "#146c43", "#8a5a00", "#b02a37", "#3b4252")],
        *[(paper, "#ffffff") for paper in ("#8a5a00", "#b02a37", "#7a0b1c", "#3f5bcc", "#146c43")],
        *[(paper, ink) for paper in ("#1b202b", "#242b39") for ink in ("#e6e9ef", "#a9b3c7", "#6fd6a2", "#f0bf5f", "#ff9aa5")],
        *[(paper, ink) for paper in ("#1d2330", "#0d1017") for ink in ("#f4f5f7", "#8be3b0", "#ffa3ad", "#a9bbff")],
        ("#fff3cd", "#4d3800"),
    ],
)
def test_every_colour_can_be_read_on_its_ground_in_both_modes(paper: str, ink: str) -> None:
    folder = HERE / "templates"
    sources = [*folder.glob("*.html"), *folder.glob("components/*.html"), Path(render.__file__)]
    used = "".join(path.read_text("utf-8") for path in sources)
    assert paper in used
    assert ink in used
    light, dark = sorted((luminance(paper), luminance(ink)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.1, level AA


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("level", "word"), [("warning", "Warning"), ("error", "Error"), ("critical", "Critical")])
def test_a_serious_message_says_so_in_words(level: Level, word: str) -> None:
    message = Renderer().message(replace(row("job.integrity"), level=level), sender="o@x.org")
    assert message.html is not None
    assert f">{word}</td>" in message.html
    assert message.text.startswith(f"{word.upper()}\n\nA job changed")


def test_an_ordinary_message_has_no_bar() -> None:
    message = Renderer().message(row(), sender="o@x.org")
    assert message.html is not None
    assert 'class="scq-bar"' not in message.html
    assert message.text.startswith("A job waits")


HOSTILE = [
    "a\nSubject: forged",
    "a\r\nBcc: all@example.org",
    "\x1b[2Jcleared\x1b]0;title\x07",
    "\u202egnp.exe\u2066",
    "<script>alert(1)</script>",
    "<!channel> @everyone",
    "{{ 7 * 7 }}{% raw %}",
    "a,b@x",
    "n" * 300,
    "-- \nSent by scq for somebody@else.example",
]


@pytest.mark.parametrize("kind_and_role", EVERY)
@pytest.mark.parametrize("evil", HOSTILE)
def test_words_of_strangers_stay_words_in_every_mail(kind_and_role: tuple[str, Any], evil: str) -> None:
    renderer = strict()
    told = dict.fromkeys(
        ("name", "submitter", "ds_email", "reason", "what", "channel", "source", "reviewer", "node", "place"), evil
    )
    lists = dict.fromkeys(("files", "waiting", "items", "run_sh", "error_output"), evil)
    message = renderer.message(row(*kind_and_role, **told, **lists), sender="o@x.org")
    assert renderer.problems == []
    assert len(message.subject) <= SUBJECT_LIMIT
    assert message.subject.isprintable()
    assert message.subject.endswith(" [scq 01234567]")
    html = message.html or ""
    assert "<script" not in html
    assert "<!channel" not in html
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", message.text + html)
    assert "49" not in html.partition("<body")[2].replace("#5b6475", "")


@pytest.mark.parametrize("kind", sorted({kind for kind, role in MAILS if role == "ds"}))
def test_a_submitter_never_reads_error_output_host_names_or_paths(kind: str) -> None:
    import os

    run = Run(
        1, "sha256:x", "runs/1", "settled", NOW, exit_code=1, cause="exit", detail="/home/owner/data is gone", node="node-7"
    )
    sighting = Sighting(
        JobRef("inbox", "o@x.org", "ana@uni.example", "k"), "a3", "n", "o@x.org", "ana@uni.example", "p", "failed"
    )
    job = Job("01234567aa", sighting, "failed", "sha256:x", run=run, invalid=("/home/owner/x: cannot be read",))
    secret = "Traceback /home/owner/secret.py" if kind not in ("job.approved", "job.rejected", "results.withheld") else "no"
    detail = "out.csv" if kind == "outputs.released" else secret
    event = Event("1-0", kind, "" if kind.startswith("peer.") else "ref", job.id, NOW, detail=detail)
    words = words_of(event, None if kind.startswith("peer.") or kind == "digest" else job, "ds", "o@x.org")
    made = replace(row(kind, "ds"), context=words if kind != "digest" else {"count": "1", "items": "one"})
    message = Renderer().message(made, sender="o@x.org")
    for text in (message.text, message.html or ""):
        assert "/home" not in text
        assert "Traceback" not in text
        assert os.uname().nodename not in text
        assert "node-7" not in text
    assert template_context(row(kind, "ds", node="node-7"))["node"] == ""
    assert template_context(row(kind, "ds", error_output="Traceback", run_sh="code"))["error_output"] is None
    assert template_context(row(kind, "ds", run_sh="code"))["job_code"] == {}
    assert template_context(row(kind, "ds"))["host"] == ""


def test_the_conversation_about_a_job_goes_on_under_its_first_subject() -> None:
    thread = Thread("<first@x.org>", NOW, "Job: sur<b>vey [scq 01234567]", "t-1")
    message = Renderer().message(row("job.failed"), sender="o@x.org", thread=thread, domain="x.org", call_id="3f2a91c0d4e5")
    assert message.subject == "Re: Job: sur<b>vey [scq 01234567]"
    assert (message.thread_id, message.in_reply_to, message.domain, message.run_id) == (
        "t-1",
        "<first@x.org>",
        "x.org",
        "3f2a91c0d4e5",
    )
    first = Renderer().message(row(name="n" * 300), sender="o@x.org").subject
    again = Renderer().message(row("job.failed"), sender="o@x.org", thread=replace(thread, subject=first)).subject
    assert again == f"Re: {first}"
    assert len(again) == SUBJECT_LIMIT
    assert Renderer().message(row("job.failed"), sender="o@x.org").subject == "Job Failed: sur<b>vey [scq 01234567]"
    assert Renderer().message(row("job.completed"), sender="o@x.org").subject == "Re: Job: sur<b>vey [scq 01234567]"
    imported = Renderer().message(row("job.failed"), sender="o@x.org", thread=replace(thread, subject=""))
    assert (imported.subject, imported.thread_id) == ("Job Failed: sur<b>vey [scq 01234567]", "t-1")


def test_a_submitter_gets_the_subject_of_each_event() -> None:
    thread = Thread("<first@x.org>", NOW, "Job Submitted: survey [scq 01234567]", "t-1")
    message = Renderer().message(row("job.approved", "ds"), sender="o@x.org", thread=thread)
    assert message.subject == "Job Approved: sur<b>vey [scq 01234567]"
    assert (message.thread_id, message.in_reply_to) == ("", "<first@x.org>")


@pytest.mark.parametrize(
    ("kind", "role", "expected"),
    [
        ("peer.requested", "do", "New Peer Request from ana@uni.example"),
        ("peer.request_seen", "ds", "Peer Request Sent to owner@example.org"),
        ("peer.granted", "ds", "Peer Request Accepted: owner@example.org"),
        ("peer.added", "ds", "Peer Added: owner@example.org"),
        ("heartbeat", "do", "heartbeat: scq still running"),
        ("channel.failed", "do", "Channel Does Not Work: relay"),
    ],
)
def test_subjects_that_are_about_no_job(kind: str, role: Any, expected: str) -> None:
    made = row(kind, role)
    made = replace(made, context={name: word for name, word in made.context.items() if name not in ("name", "short_id")})
    assert Renderer().message(made, sender="o@x.org").subject == f"{expected} [scq]"
    bare = Renderer().message(replace(made, context={}), sender="o@x.org").subject
    assert not bare.removesuffix(" [scq]").endswith((":", " "))


def test_what_may_be_a_repeat_says_so_first_in_both_forms() -> None:
    message = Renderer().message(replace(row(), repeat=True), sender="o@x.org")
    assert message.text.startswith(f"{REPEAT}\n\nA job waits")
    assert message.html is not None
    body = message.html[message.html.index("<body") :]
    assert body.index(REPEAT) < body.index("A job waits")
    assert REPEAT not in Renderer().message(row(), sender="o@x.org").text


def test_a_template_of_the_user_is_marked_as_a_repeat_too(tmp_path: Path) -> None:
    message = template(tmp_path, "new_job.html", "<p>mine</p>").message(replace(row(), repeat=True), sender="o@x.org")
    assert message.html is not None
    assert message.html.endswith("</p><p>mine</p>")
    assert REPEAT in message.html
    broken = template(tmp_path, "new_job.html", "{{ 1 // 0 }}").message(replace(row(), repeat=True), sender="o@x.org")
    assert broken.html is None


def test_times_are_shown_in_the_chosen_zone(tmp_path: Path) -> None:
    renderer = template(tmp_path, "heartbeat.txt", "{{ timestamp | datetime }}|{{ timestamp | datetime_tz }}")
    renderer.timezone = "Asia/Tokyo"
    made = replace(row("heartbeat"), context={"at": NOW.isoformat()})
    text = renderer.message(made, sender="o@x.org").text
    assert text == "March 02, 2026 at 07:30 PM|March 02, 2026 at 07:30 PM JST"
    assert datetime_text(NOW, ZoneInfo("UTC")) == "March 02, 2026 at 10:30 AM"
    assert renderer.problems == []


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "a\x00b"])
def test_an_unknown_zone_is_a_problem_and_loses_nothing(zone: str) -> None:
    renderer = Renderer(timezone=zone)
    assert "A job waits" in renderer.message(row(), sender="o@x.org").text
    (problem,) = renderer.problems
    assert problem.where == "notify.timezone"
    assert "\x00" not in problem.what


def test_damaged_words_in_a_row_lose_no_message() -> None:
    renderer = Renderer()
    message = renderer.message(row(at="soon", submitted_at="?", since="x", expires="y", duration_s="z"), sender="o@x.org")
    assert "A job waits" in message.text
    assert renderer.problems == []


@pytest.mark.parametrize(
    ("value", "indent", "expected"),
    [("a b", 0, "a b"), ("", 4, ""), ("one\n\ntwo", 2, "one\n  \n  two"), ("x" * 100, 0, "x" * 100), (7, 0, "7")],
)
def test_the_wrap_filter(value: object, indent: int, expected: str) -> None:
    assert wrap_text(value, indent) == expected


def test_the_wrap_filter_keeps_every_word_and_no_long_line() -> None:
    text = wrap_text("well-known words " * 30, 10)
    assert text.split() == ["well-known", "words"] * 30
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    assert all(line.startswith(" " * 10) for line in text.splitlines()[1:])


def test_a_mail_stays_below_its_limit_and_keeps_run_sh_longest() -> None:
    code = {"run.sh": "echo first\n"} | {f"f{number:03}.py": '"' * 50_000 for number in range(40)}
    renderer = Renderer()
    message = renderer.message(row(), sender="o@x.org", extra=EXTRA_WORDS | {"job_code": code, "code_notes": {}})
    assert len((message.text + (message.html or "")).encode()) <= MAIL_LIMIT
    assert message.html is not None
    assert "echo first" in message.text
    assert "f000.py" in message.text
    assert "f039.py ---" not in message.text
    assert message.text.count("Not all files fit into this message: scq review 01234567 shows them.") == 1


@pytest.mark.parametrize("name", ["compared", "job_files", "findings", "job_code"])
def test_whatever_is_too_long_is_left_out_with_a_note(name: str) -> None:
    long: dict[str, Any] = {
        "compared": {"title": "Compared", "text": "<" * 400_000},
        "job_files": ["<" * 400_000],
        "findings": ["<" * 400_000],
        "job_code": {"run.sh": "<" * 400_000},
    }
    message = Renderer().message(row(), sender="o@x.org", extra=EXTRA_WORDS | {name: long[name]})
    assert len((message.text + (message.html or "")).encode()) <= MAIL_LIMIT
    assert "not fit whole into this message: scq review 01234567" in message.text
    assert "scq approve 01234567" in message.text


def test_a_template_that_cannot_be_made_short_still_sends_its_beginning(tmp_path: Path) -> None:
    renderer = template(tmp_path, "new_job.txt", "begin {{ 'x' * 900000 }}")
    message = renderer.message(row(), sender="o@x.org")
    assert message.html is None
    assert message.text.startswith("begin xxx")
    assert message.text.endswith("xxx\n[the rest does not fit into this message]\n")
    assert len(message.text) <= MAIL_LIMIT


def test_a_long_difference_is_shown_without_colours() -> None:
    extra = EXTRA_WORDS | {"compared": {"title": "Compared", "text": "+\n" * 3_000}}
    html = Renderer().message(row(), sender="o@x.org", extra=extra).html or ""
    assert html.count("<span") == 0
    assert html.count("+\n") >= 3_000


DOCUMENTED: dict[str, dict[str, Any]] = {
    "new_job": {"job_name": "j", "submitter": "s@x.org", "timestamp": "yesterday"},
    "job_submitted_ds": {"job_name": "j", "do_email": "o@x.org"},
    "job_approved": {"job_name": "j"},
    "job_executed": {"job_name": "j"},
    "job_rejected_ds": {"job_name": "j", "friendly_reason": "Not now."},
    "new_peer_request": {"ds_email": "s@x.org"},
    "peer_request_sent": {"do_email": "o@x.org"},
    "peer_added": {"do_email": "o@x.org"},
    "peer_granted": {"do_email": "o@x.org"},
    "job_approved_do": {"job_name": "j", "ds_email": "s@x.org"},
    "job_completed_do": {"job_name": "j", "ds_email": "s@x.org"},
    "job_failed_do": {"job_name": "j", "ds_email": "s@x.org"},
    "job_rejected_do": {"job_name": "j", "ds_email": "s@x.org", "reason": "Not now."},
    "heartbeat": {"do_email": "o@x.org", "timestamp": NOW, "interval_human": "1d"},
}
OPTIONAL: dict[str, dict[str, Any]] = {
    "new_job": {"job_url": "https://x.org/j", "job_code": {"run.sh": "echo <1>"}},
    "job_approved": {"job_url": "https://x.org/j"},
    "job_executed": {"duration": 61, "results_url": "https://x.org/r"},
    "new_peer_request": {"peer_url": "https://x.org/p"},
    "job_completed_do": {"duration": 61},
    "job_failed_do": {"error_output": "a < b", "return_code": 0, "duration": 61},
}


@pytest.mark.parametrize("name", DOCUMENTED)
@pytest.mark.parametrize("form", ["html", "txt"])
@pytest.mark.parametrize("optional", [False, True])
def test_every_documented_template_renders_with_the_documented_variables(name: str, form: str, optional: bool) -> None:
    given = OPTIONAL.get(name, {}) if optional else {}
    text = TemplateRenderer().render(f"emails/{name}.{form}", DOCUMENTED[name] | given)
    for word in [
        word for word in DOCUMENTED[name].values() if isinstance(word, str) and not (name == "heartbeat" and word == "x")
    ]:
        assert word in text
    for word in (word for word in given.values() if isinstance(word, str) and word.startswith("https:")):
        assert word in text
    if "duration" in given:
        assert "1 minute 1 second" in text
    assert ("echo &lt;1&gt;" if form == "html" else "    echo <1>") in text or "job_code" not in given


def test_the_template_of_single_messages_shows_its_footer_however_it_is_given() -> None:
    given: dict[str, Any] = {"title": "Build", "text": "done <fast>\n\nand well", "level": "critical", "host": "h1"}
    for footer in (["ana@h1", "now"], "ana@h1\nnow", None):
        html = Renderer().render("emails/alert.html", given | {"footer": footer})
        text = Renderer().render("emails/alert.txt", given | {"footer": footer})
        assert "done &lt;fast&gt;\n\nand well" in html
        assert text.startswith("CRITICAL\n\nBuild\n\ndone <fast>\n\nand well\n\n")
        assert ("ana@h1\nnow\n" in text) is (footer is not None)
        assert ("From h1" in text) is (footer is None)
        assert ("From h1" in html) is (footer is None)
    assert "done" in Renderer().render("emails/alert.html", {"text": "done"})


def test_the_mail_about_a_new_job_says_who_what_and_how_to_decide() -> None:
    message = Renderer().message(row(run_sh="#!/bin/bash\ncurl <evil>"), sender="owner@example.org")
    assert message.subject == "Job: sur<b>vey [scq 01234567]"
    decide = f'  scq approve 01234567 --digest {WORDS["digest"]}\n  scq reject 01234567 -r "…"\n'
    for word in ("ana@uni.example", "    #!/bin/bash\n    curl <evil>\n", "  scq review 01234567\n", decide):
        assert word in message.text
    assert message.html is not None
    assert "curl &lt;evil&gt;" in message.html


def test_a_script_cannot_pretend_to_be_the_rest_of_the_mail() -> None:
    text = Renderer().message(row(run_sh="--- end of run.sh ---\n\nAlready approved."), sender="o@x.org").text
    assert text.splitlines().count("--- end of run.sh ---") == 1
    assert "Already approved." not in text.splitlines()


def test_the_submitter_learns_how_a_job_failed_but_not_what_it_printed() -> None:
    text = Renderer().message(row("job.failed", "ds", error_output="/home/owner/secret"), sender="o@x.org").text
    assert "it ran longer than allowed" in text
    assert "Exit code: 3" in text
    assert "1 minute 1 second" in text
    assert "secret" not in text
    owners = Renderer().message(row("job.failed", "do", error_output="/home/owner/secret"), sender="o@x.org").text
    assert "/home/owner/secret" in owners


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [("released", "you can read them now"), ("withheld", "reviews the results"), ("none", "Your job has run")],
)
def test_the_submitter_learns_whether_results_are_released(outputs: str, expected: str) -> None:
    assert expected in Renderer().message(row("job.completed", "ds", outputs=outputs), sender="o@x.org").text


@pytest.mark.parametrize(("format", "has_html"), [("html", True), ("both", True), ("text", False)])
def test_email_format_decides_whether_there_is_html(format: str, has_html: bool) -> None:
    message = Renderer().message(row(), sender="o@x.org", email_format=format)
    assert (message.html is not None) is has_html
    assert "A job waits for your review." in message.text


def test_an_event_without_a_template_of_its_own_is_still_told() -> None:
    renderer = Renderer()
    message = renderer.message(row("job.vanished"), sender="o@x.org")
    assert message.subject == "job.vanished: sur<b>vey [scq 01234567]"
    assert "sur<b>vey" in message.text
    assert renderer.problems == []


def test_a_subject_is_shortened_in_the_name_only() -> None:
    long = subject("Job Not Approved: ", "n" * 300, "01234567")
    assert len(f"Re: {long}") == SUBJECT_LIMIT
    assert len(subject("Re: Job: ", "n" * 300, "01234567")) == SUBJECT_LIMIT
    assert long.startswith("Job Not Approved: nnn")
    assert long.endswith("… [scq 01234567]")
    assert subject("Job: ", "a\r\nb\x1b[0m", "x") == "Job: a\ufffd\ufffdb\ufffd[0m [scq x]"
    assert subject("Jobs Waiting for Review", "", "") == "Jobs Waiting for Review [scq]"


def template(folder: Path, name: str, text: str) -> Renderer:
    (folder / "emails").mkdir(exist_ok=True)
    (folder / "emails" / name).write_text(text)
    return Renderer(str(folder))


def test_a_template_of_the_user_stands_before_the_shipped_one_and_may_extend_its_base(tmp_path: Path) -> None:
    renderer = template(
        tmp_path, "new_job.html", '{% extends "base.html" %}{% block content %}Mine: {{ job_name }}{% endblock %}'
    )
    message = renderer.message(row(), sender="o@x.org")
    assert message.html is not None
    assert "Mine: sur&lt;b&gt;vey" in message.html
    assert "A job waits for your review." in message.text


@pytest.mark.parametrize(
    "broken",
    [
        "{% extends 'nowhere.html' %}",
        "{{ unclosed",
        "{{ 1 // 0 }}",
        "{{ job_name.nothing.more }}",
        "{{ job_name + 1 }}",
        "{{ [][3].x }}",
        "{{ 'x' * 10 ** 15 }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ 'x' | unknown_filter }}",
        "{% for a in 5 %}{% endfor %}",
    ],
)
def test_a_broken_template_loses_no_message_and_is_reported(tmp_path: Path, broken: str) -> None:
    renderer = template(tmp_path, "new_job.html", broken)
    message = renderer.message(row(), sender="o@x.org")
    assert message.html is None
    assert "A job waits for your review." in message.text
    (problem,) = renderer.problems
    assert problem.where == "emails/new_job.html"
    assert "written without it" in problem.what
    assert str(tmp_path) in problem.advice


def test_without_any_usable_template_the_words_themselves_are_sent(tmp_path: Path) -> None:
    template(tmp_path, "new_job.html", "{{ 1 // 0 }}")
    (tmp_path / "emails" / "new_job.txt").write_bytes(b"\xff\xfe")
    renderer = Renderer(str(tmp_path))
    message = renderer.message(row(), sender="o@x.org")
    assert message.html is None
    assert "job.received: sur<b>vey" in message.text
    assert "submitter: ana@uni.example" in message.text
    assert len(renderer.problems) == 2


def test_rendering_a_template_that_is_not_there_names_it() -> None:
    with pytest.raises(ConfigError, match=r"emails/nothing\.html"):
        Renderer().render("emails/nothing.html", {})


def test_a_template_name_cannot_leave_the_folder() -> None:
    with pytest.raises(ConfigError):
        Renderer().render("../pyproject.toml", {})


def test_rendering_with_a_fallback_gives_html_and_plain_text() -> None:
    renderer = Renderer()
    html, plain = renderer.render_with_fallback("emails/new_job.html", {"job_name": "x"}, "given")
    assert "<html" in html
    assert "A job waits" in plain
    assert renderer.render_with_fallback("emails/none.html", {}, "given") == ("", "given")


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "http://plain.example", " https://x"])
def test_a_button_leads_to_safe_places_only(url: str) -> None:
    html = Renderer().render("emails/new_job.html", {"job_name": "x", "job_url": url})
    assert "<a " not in html


def test_a_button_leads_to_a_web_page() -> None:
    html = Renderer().render("emails/new_job.html", {"job_name": "x", "job_url": 'https://x.org/?a=1&b="'})
    assert 'href="https://x.org/?a=1&amp;b=&#34;"' in html


def test_the_template_library_is_not_loaded_before_something_is_rendered() -> None:
    check = "import sys; from scq.render import Renderer; Renderer(); sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False, cwd=HERE).returncode == 0


def test_the_documentation_lists_every_template() -> None:
    text = (HERE / "docs" / "notifications.md").read_text("utf-8")
    shipped = {path.stem for path in (HERE / "templates" / "emails").iterdir()}
    assert {name for name in shipped if f"`{name}`" not in text} == set()
    assert {mail.template for mail in MAILS.values()} <= shipped
    assert all((HERE / "templates" / "emails" / f"{name}.{form}").is_file() for name in shipped for form in ("html", "txt"))


def test_long_files_do_not_push_the_findings_out_of_a_mail() -> None:
    code = '"' * 51_200
    found = ["run.sh:3  network  curl uses the network", *(['"' * 450] * 200)]
    extra = {
        "job_code": {"run.sh": code, **{f"f{number}": code for number in range(9)}},
        "job_files": ['"' * 300] * 200,
        "findings": found,
        "checked": True,
        "compared": {"title": "Compared", "text": '"' * 100_000},
        "unseen": [],
    }
    told = Renderer().message(row(short_id="01234567"), sender="o@x.org", extra=extra)
    assert len((told.text + (told.html or "")).encode()) <= MAIL_LIMIT
    assert told.html
    for text in (told.text, told.html):
        assert "curl uses the network" in text
        assert "run.sh" in text
        assert text.count("The findings do not fit whole") == 1


@pytest.mark.parametrize("kind", ["job.received", "job.failed", "digest"])
def test_a_mail_names_the_call_that_sends_it_in_its_last_line(kind: str) -> None:
    renderer = Renderer()
    message = renderer.message(row(kind), sender="o@x.org", call_id="3f2a91c0d4e5")
    assert message.run_id == "3f2a91c0d4e5"
    assert message.text.rstrip().splitlines()[-1].endswith(", run 3f2a91c0d4e5")
    assert message.html is not None
    assert " · run 3f2a91c0d4e5" in message.html.split("scq-foot")[-1]
    assert "run 3f2a91c0d4e5" not in renderer.message(row(kind), sender="o@x.org").text
    assert renderer.problems == []


def test_held_results_of_a_job_that_ended_well_name_no_cause() -> None:
    well = Renderer().message(row("outputs.withheld", cause="exit", exit_code="0"), sender="o@x.org")
    assert "Cause" not in well.text + (well.html or "")
    badly = Renderer().message(row("outputs.withheld", cause="exit", exit_code="3"), sender="o@x.org")
    assert "ended with an error" in badly.text


@pytest.mark.parametrize("kind", ["job.completed", "job.failed", "job.interrupted", "outputs.withheld"])
def test_the_owner_reads_on_which_machine_of_a_cluster_it_ran(kind: str) -> None:
    message = Renderer().message(row(kind, node="node-7"), sender="o@x.org")
    assert message.html is not None
    assert re.search(r"Machine: +node-7\n", message.text)
    assert "node-7" in message.html
    message = Renderer().message(row(kind), sender="o@x.org")
    assert "Machine" not in message.text + (message.html or "")


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("node", "The machine of the cluster failed while it ran this job."),
        ("preempted", "The cluster ended this job to make room for others."),
        ("interrupted", "The program that ran this job ended before the job did"),
        ("nonsense", "The program that ran this job ended before the job did"),
    ],
)
def test_an_interruption_is_told_with_what_caused_it(cause: str, words: str) -> None:
    message = Renderer().message(row("job.interrupted", cause=cause), sender="o@x.org")
    assert words in " ".join(message.text.split())
    assert words in (message.html or "")


@pytest.mark.parametrize(("cause", "words"), sorted(CAUSES.items()))
def test_a_failure_is_told_with_its_cause_to_both(cause: str, words: str) -> None:
    for role in ("do", "ds"):
        message = Renderer().message(row("job.failed", role, cause=cause), sender="o@x.org")
        assert words in " ".join(message.text.split())
        assert words in (message.html or "")


@pytest.mark.parametrize(("role", "who"), [("do", "A job"), ("ds", "Your job")])
def test_a_job_that_waits_on_a_cluster_is_not_said_to_have_started(role: str, who: str) -> None:
    place = "waits on the cluster: job 7, 3rd in line"
    message = Renderer().message(row("job.started", role), sender="o@x.org", extra={"place": place, "waits": True})
    for text in (message.text, message.html or ""):
        assert f"{who} was handed to the cluster" in text
        assert place in " ".join(text.split())
        assert "has started" not in text
    message = Renderer().message(row("job.started", role), sender="o@x.org", extra={"place": "runs on node-7"})
    for text in (message.text, message.html or ""):
        assert f"{who} has started" in text
        assert "runs on node-7" in text
