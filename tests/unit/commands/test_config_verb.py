"""`scq config`: what is in force is shown, and what is set is checked before it is written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scq.commands import config as verb
from scq.config import keys, load
from scq.context import Context
from scq.errors import CONFIG, ConfigError, UsageError
from scq.report import as_json

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "scq-home"
    folder.mkdir(mode=0o700)
    return folder


def context(home: Path, **overrides: str) -> Context:
    env = {"HOME": str(home.parent)}
    loaded = load(str(home / "config.yaml"), env, overrides, home=str(home), strict=False)
    return Context(loaded.config, str(home), env=env, now=lambda: NOW, problems=loaded.problems)


def write(home: Path, text: str) -> None:
    (home / "config.yaml").write_text(text)


def text(home: Path) -> str:
    return (home / "config.yaml").read_text()


def settings(ctx: Context) -> dict[str, dict[str, Any]]:
    return {setting["key"]: setting for setting in verb.show(ctx).data["settings"]}


def test_show_lists_every_key_with_value_and_origin(home: Path) -> None:
    write(home, "job_timeout: 10m\ndo_email: file@example.org\n")
    ctx = context(home, email="line@example.org")
    found = settings(ctx)
    of_a_file = {f"channels.mailbox.{name}" for name in ("type", "path", "format", "to")}
    assert set(found) == {info.path for info in keys() if "NAME" not in info.path} | of_a_file
    assert (found["job_timeout"]["value"], found["job_timeout"]["origin"]) == (600.0, "config.yaml")
    assert (found["do_email"]["value"], found["do_email"]["origin"]) == ("line@example.org", "command line")
    assert (found["queue_name"]["value"], found["queue_name"]["origin"]) == ("code-queue", "default")
    assert found["state_file"]["value"] == str(home / "state.json")
    assert any(line.startswith("job_timeout") and line.endswith("600.0  (config.yaml)") for line in verb.show(ctx).lines)


def test_show_lists_the_channels_that_are_configured(home: Path) -> None:
    write(home, "notify: {channels: {one: {type: file, path: /m}}}\nrouting: {levels: {error: one}}\n")
    found = settings(context(home))
    assert found["channels.one.path"]["value"] == "/m"
    assert found["channels.one.path"]["origin"] == "config.yaml"
    assert found["routing.levels"]["value"] == {"error": ("one",)}
    assert not any("mailbox" in key for key in found)


SECRETS = """
channels:
  relay: {type: smtp, host: mail.example.org, user: bot, password: hush-1}
  pager: {type: twilio-call, sid: hush-2, token: hush-3, from: "+15550100", to: ["+15550101"]}
  hook: {type: webhook, url: "https://example.org/hush-4", signing: hush-5}
  kept: {type: slack, url_env: SLACK_URL}
health: {url: "https://example.org/hush-6"}
"""


def test_no_secret_of_the_settings_is_ever_shown(home: Path) -> None:
    write(home, SECRETS)
    ctx = context(home)
    report = verb.show(ctx)
    assert "hush" not in as_json(report)
    assert "hush" not in "\n".join(report.lines)
    found = settings(ctx)
    secrets = ["relay.password", "pager.sid", "pager.token", "hook.url", "hook.signing"]
    for name in [f"channels.{name}" for name in secrets] + ["health.url"]:
        assert (found[name]["value"], found[name]["origin"]) == (verb.HIDDEN, "config.yaml"), name
        assert verb.get(ctx, name).lines == (verb.HIDDEN,)
    assert found["channels.kept.url_env"]["value"] == "SLACK_URL"
    assert found["channels.kept.url"]["value"] == ""


def test_a_secret_that_is_set_is_written_but_not_shown(home: Path) -> None:
    write(home, SECRETS)
    report = verb.set_(context(home), "channels.relay.password", "hush-9")
    assert "hush" not in as_json(report) + "".join(report.lines)
    assert "password: hush-9" in text(home)
    again = verb.set_(context(home), "channels.relay.password", "hush-9")
    assert (again.data["changed"], again.lines) == (False, (f"channels.relay.password is {verb.HIDDEN} already",))


@pytest.mark.parametrize("key", ["health.url", "channels.relay.password"])
def test_a_secret_that_is_not_allowed_is_not_repeated(key: str, home: Path) -> None:
    write(home, SECRETS)
    with pytest.raises(UsageError) as caught:
        verb.set_(context(home), key, "hush\x07hush")
    assert str(caught.value) == f"{key}: {verb.HIDDEN} is not allowed"
    assert text(home) == SECRETS


def test_show_of_a_damaged_file_shows_the_defaults_and_the_problem(home: Path) -> None:
    write(home, "[")
    report = verb.show(context(home))
    assert report.problems
    assert report.data["settings"]


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("job_timeout", "600.0"),
        ("email", "a@example.org"),
        ("sandbox", "bwrap"),
        ("notify.monitor_jobs", "true"),
        ("check.orphan_after", "null"),
        ("sandbox.interpreters", '["/opt/py"]'),
    ],
)
def test_get_prints_one_value(key: str, line: str, home: Path) -> None:
    write(home, "do_email: a@example.org\nsandbox: {interpreters: [/opt/py]}\n")
    assert verb.get(context(home), key).lines == (line,)


def test_get_and_set_of_an_unknown_key_name_the_nearest(home: Path) -> None:
    with pytest.raises(UsageError) as caught:
        verb.get(context(home), "job_timout")
    assert caught.value.advice == "Did you mean job_timeout?"
    with pytest.raises(UsageError):
        verb.set_(context(home), "no_such_thing_at_all", "1")
    assert not (home / "config.yaml").exists()


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("job_timeout", "20m", "job_timeout: 20m"),
        ("job_timeout", "90", "job_timeout: 90"),
        ("notify_on_new_job", "no", "notify_on_new_job: false"),
        ("sandbox", "none", "sandbox: none"),
        ("sandbox.type", "none", "sandbox: none"),
        ("queue_name", "7", "queue_name: '7'"),
        ("queue_name", "a: b", "queue_name: 'a: b'"),
        ("queue_name", "#x", "queue_name: '#x'"),
        ("sandbox.interpreters", "[/opt/py, /opt/r]", "sandbox:\n  interpreters: [/opt/py, /opt/r]"),
        ("email", "Me@Example.org", "do_email: Me@Example.org"),
        ("notify.channels.mail.type", "file", "channels:\n  mail:\n    type: file"),
        ("channels.mail.type", "stdout", "channels:\n  mail:\n    type: stdout"),
        ("routing.levels", "{info: [mailbox]}", "routing:\n  levels: {info: [mailbox]}"),
        ("routing.order", "mailbox", "routing:\n  order: mailbox"),
        ("notify.events", "{job.started: off}", "notify:\n  events: {job.started: false}"),
        ("notify.digest_at", "22:30", "notify:\n  digest_at: 1350"),
        ("notify.quiet_hours", "22:00-07:00", "notify:\n  quiet_hours: 22:00-07:00"),
        ("health.url", "https://hc.example.org/key", "health:\n  url: https://hc.example.org/key"),
        ("health.verbs", "[check, notify]", "health:\n  verbs: [check, notify]"),
    ],
)
def test_set_writes_the_key_and_keeps_the_rest(key: str, value: str, line: str, home: Path) -> None:
    write(home, "# mine\nmax_concurrent_jobs: 2\n")
    report = verb.set_(context(home), key, value)
    assert report.ok
    assert text(home) == f"# mine\nmax_concurrent_jobs: 2\n{line}\n"
    assert Path(report.data["backup"]).read_text() == "# mine\nmax_concurrent_jobs: 2\n"
    assert verb.validate(context(home)).ok


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("job_timeout", "often"),
        ("job_timeout", ""),
        ("max_concurrent_jobs", "0"),
        ("sandbox.user", "root"),
        ("email", "nobody"),
        ("email_format", "html\nsandbox: none"),
        ("notify_on_new_job", "maybe"),
        ("notify.events", "{job.started: nobody}"),
        ("notify.quiet_hours", "always"),
        ("notify.timezone", "../etc"),
        ("health.verbs", "[approve]"),
        ("channels.mailbox.type", "pigeon"),
    ],
)
def test_set_refuses_what_is_not_allowed_and_writes_nothing(key: str, value: str, home: Path) -> None:
    write(home, "max_concurrent_jobs: 2\n")
    with pytest.raises(UsageError) as caught:
        verb.set_(context(home), key, value)
    assert caught.value.advice.startswith("Allowed: ")
    assert text(home) == "max_concurrent_jobs: 2\n"


def test_set_refuses_a_channel_without_a_type(home: Path) -> None:
    with pytest.raises(UsageError, match="a `type`"):
        verb.set_(context(home), "notify.channels.mail.path", "/m")
    assert not (home / "config.yaml").exists()


def test_set_refuses_a_route_to_a_channel_that_is_not_there(home: Path) -> None:
    with pytest.raises(UsageError, match="one of your channels: mailbox"):
        verb.set_(context(home), "routing.order", "[pager]")
    assert not (home / "config.yaml").exists()


def test_set_refuses_a_root_around_the_home(home: Path) -> None:
    with pytest.raises(UsageError, match="lies inside the SyftBox folder"):
        verb.set_(context(home), "syftbox_root", str(home.parent))
    assert not (home / "config.yaml").exists()


def test_set_mends_one_of_two_mistakes(home: Path) -> None:
    write(home, "job_timeout: often\nmax_concurrent_jobs: many\n")
    assert verb.set_(context(home), "job_timeout", "5").ok
    assert text(home) == "job_timeout: 5\nmax_concurrent_jobs: many\n"


def test_set_twice_changes_nothing_the_second_time(home: Path) -> None:
    verb.set_(context(home), "job_timeout", "5")
    report = verb.set_(context(home), "job_timeout", "5")
    assert report.data["changed"] is False
    assert report.lines == ("job_timeout is 5 already",)


def test_a_dry_run_of_set_writes_nothing(home: Path) -> None:
    report = verb.set_(context(home), "job_timeout", "5", dry_run=True)
    assert report.lines == ("job_timeout would be 5",)
    assert list(home.iterdir()) == []


def test_set_says_when_comments_were_lost(home: Path) -> None:
    write(home, "{job_timeout: 3}  # c\n")
    assert "without its comments" in verb.set_(context(home), "job_timeout", "5").problems[0].what


def test_set_on_a_damaged_file_is_refused(home: Path) -> None:
    write(home, "[")
    with pytest.raises(ConfigError):
        verb.set_(context(home), "job_timeout", "5")
    assert text(home) == "["


def test_validate_lists_all_errors_and_warnings(home: Path) -> None:
    write(home, "job_timeout: often\nmax_concurrent_jobs: many\nqueue: q\n")
    report = verb.validate(context(home))
    assert report.exit_code == CONFIG
    assert not report.ok
    assert [error["where"] for error in report.data["errors"]] == ["config.yaml: job_timeout", "config.yaml: max_concurrent_jobs"]
    assert [warning["where"] for warning in report.data["warnings"]] == ["config.yaml: queue"]
    assert len(report.errors) == 2
    assert len(report.problems) == 1


def test_validate_of_a_damaged_file_names_it(home: Path) -> None:
    write(home, "[")
    report = verb.validate(context(home))
    assert report.exit_code == CONFIG
    assert str(home / "config.yaml") in report.errors[0]


def test_validate_of_a_good_and_of_no_file_is_fine(home: Path) -> None:
    assert "the defaults hold" in verb.validate(context(home)).lines[0]
    write(home, "job_timeout: 5\n")
    report = verb.validate(context(home))
    assert report.ok
    assert report.lines == (f"{home}/config.yaml: fine",)


def test_path_names_the_file(home: Path) -> None:
    report = verb.path(context(home))
    assert report.lines == (str(home / "config.yaml"),)
    assert report.data["exists"] is False


def test_a_whole_channel_is_set_at_once_and_shown_without_its_secret(home: Path) -> None:
    set_ = verb.set_(context(home), "channels.hook", "{type: webhook, url: 'https://hooks.example/hush'}")
    assert set_.data["value"] == {"type": "webhook", "url": verb.HIDDEN}
    assert "hush" not in as_json(set_)
    assert "https://hooks.example/hush" in text(home)
    assert verb.get(context(home), "channels.hook").data["value"] == {"type": "webhook", "url": verb.HIDDEN}


def test_a_channel_that_lacks_something_is_not_written_and_what_it_lacks_is_named(home: Path) -> None:
    with pytest.raises(UsageError, match=r"channels.hook.url: is missing: one of url, url_env") as caught:
        verb.set_(context(home), "channels.hook", "{type: webhook}")
    assert "scq config set channels.NAME" in caught.value.advice
    assert not (home / "config.yaml").exists()


def test_of_a_mapping_only_the_entry_that_is_wrong_is_shown(home: Path) -> None:
    write(home, "notify: {events: {job.started: both, job.foo: off}}\n")
    (error,) = verb.validate(context(home)).errors
    assert "job.foo" in error
    assert "job.started" not in error
