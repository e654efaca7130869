"""Rows become messages, whatever the row holds and whatever the user did to the templates."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scq import render
from scq.errors import ConfigError
from scq.model import Notification
from scq.render import MAILS, SUBJECT_LIMIT, Renderer, datetime_text, datetime_tz_text, duration_text, subject
from scq.routing import ROLES

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
}


def row(kind: str = "job.received", role: Any = "do", **words: str) -> Notification:
    return Notification("ab" * 32, "1-0", kind, "0123456789ab", "m", "ana@uni.example", role, NOW, WORDS | words)


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


def test_every_event_that_is_told_has_a_mail_and_no_other_has() -> None:
    assert set(MAILS) == {(kind, role) for kind, roles in ROLES.items() for role in roles}


@pytest.mark.parametrize("kind_and_role", sorted(MAILS))
@pytest.mark.parametrize("known", ["everything", "nothing"])
def test_every_mail_has_a_text_and_an_html_form(kind_and_role: tuple[str, Any], known: str) -> None:
    renderer = Renderer()
    made = row(*kind_and_role) if known == "everything" else replace(row(*kind_and_role), context={})
    message = renderer.message(made, sender="owner@example.org")
    assert renderer.problems == []
    assert message.html is not None
    assert "</html>" in message.html
    assert message.text.endswith("\n")
    assert "Sent by scq" in message.text
    assert (message.key, message.event, message.recipient) == (made.key, made.kind, "ana@uni.example")
    assert message.at_iso == NOW.isoformat()
    if known == "everything" and kind_and_role[0] != "baseline":
        assert "sur<b>vey" in message.text
        assert "sur&lt;b&gt;vey" in message.html
        assert "<b>vey" not in message.html
        assert message.subject.endswith(" [scq 01234567]")


def test_the_mail_about_a_new_job_says_who_what_and_how_to_decide() -> None:
    message = Renderer().message(row(run_sh="#!/bin/bash\ncurl <evil>"), sender="owner@example.org")
    assert message.subject == "Job: sur<b>vey [scq 01234567]"
    for word in ("ana@uni.example", "    #!/bin/bash\n    curl <evil>\n", "scq review 01234567", "scq approve 01234567"):
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
    message = renderer.message(row("job.started"), sender="o@x.org")
    assert message.subject == "job.started: sur<b>vey [scq 01234567]"
    assert "sur<b>vey" in message.text
    assert renderer.problems == []


def test_a_subject_is_shortened_in_the_name_only() -> None:
    long = subject("Job Not Approved: ", "n" * 300, "01234567")
    assert len(long) == SUBJECT_LIMIT
    assert long.startswith("Job Not Approved: nnn")
    assert long.endswith("… [scq 01234567]")
    assert subject("Job: ", "a\r\nb\x1b[0m", "x") == "Job: a\ufffd\ufffdb\ufffd [scq x]"
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
    assert subprocess.run([sys.executable, "-c", check], check=False, cwd=Path(render.__file__).parents[1]).returncode == 0


def test_the_documentation_lists_every_template() -> None:
    here = Path(render.__file__).parents[1]
    text = (here / "docs" / "notifications.md").read_text("utf-8")
    shipped = {path.stem for path in (here / "templates" / "emails").iterdir()}
    assert {name for name in shipped if f"`{name}`" not in text} == set()
    assert {mail.template for mail in MAILS.values()} <= shipped
    assert all((here / "templates" / "emails" / f"{name}.{form}").is_file() for name in shipped for form in ("html", "txt"))
