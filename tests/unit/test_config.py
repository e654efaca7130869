"""Settings: where they come from, what is allowed, and what is said about what is not."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scq import config_file
from scq.config import HOLDERS, Loaded, judge, keys, load, value_of
from scq.config_channels import ChannelSetting
from scq.config_file import CACHE_NAME, parse, plan_change, read_values, remember_parsed, write_change
from scq.config_keys import BY_PATH, KEYS, find_key, nearest
from scq.config_kinds import CENTURY
from scq.config_values import Config, Health
from scq.errors import ConfigError
from scq.model import DataFolder
from scq.secrets import Secret

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
DOCS = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "scq-home"
    folder.mkdir(mode=0o700)
    return folder


def write(home: Path, text: str, *, age: float = 60.0) -> str:
    path = home / "config.yaml"
    path.write_text(text)
    when = path.stat().st_mtime - age
    os.utime(path, (when, when))
    return str(path)


def read(home: Path, text: str, env: dict[str, str] | None = None, *, strict: bool = True, **overrides: str) -> Loaded:
    return load(write(home, text), {"HOME": str(home.parent), **(env or {})}, overrides, strict=strict)


def errors(home: Path, text: str, env: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(home, text, env)
    return str(caught.value).splitlines()


# Defaults and documented keys


def test_a_missing_file_means_defaults(home: Path) -> None:
    loaded = load(str(home / "config.yaml"), {"HOME": str(home.parent)}, {})
    assert loaded.source == ""
    assert loaded.problems == ()
    assert loaded.config.max_concurrent_jobs == 3
    assert loaded.config.job_timeout == 600.0
    assert loaded.config.sandbox == "bwrap"
    assert (loaded.config.email, loaded.config.root) == ("", "")


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null\n", "notify:\nrun:\ndo_email:\n"])
def test_an_empty_file_means_defaults(text: str, home: Path) -> None:
    assert read(home, text).config == load(str(home / "none.yaml"), {"HOME": str(home.parent)}, {}).config


def test_the_documented_file_is_understood_whole(home: Path) -> None:
    loaded = read(
        home,
        """
do_email: Owner@Example.org
syftbox_root: ~/SyftBox

# Token paths
gmail_token_path: ~/.syft-creds/gmail_token.json
drive_token_path: ~/.syft-creds/token_do.json
state_file: ~/.syft-creds/state.json

# Email format: "html", "text", or "both"
email_format: both
notify_on_new_job: false
notify_on_approved: true
notify_on_executed: false
notify_on_new_peer: false
notify_on_peer_granted: true

notify:
  interval: 15  # Check interval in seconds
  monitor_jobs: false
  monitor_peers: true

queue_name: my-queue
max_concurrent_jobs: 5
job_timeout: 300
cleanup_completed_after: 3600
""",
    )
    config, base = loaded.config, str(home.parent)
    assert loaded.problems == ()
    assert (config.email, config.root) == ("owner@example.org", f"{base}/SyftBox")
    assert config.gmail_token_path == f"{base}/.syft-creds/gmail_token.json"
    assert config.drive_token_path == f"{base}/.syft-creds/token_do.json"
    assert config.state_file == f"{base}/.syft-creds/state.json"
    assert (config.email_format, config.notify.interval) == ("both", 15.0)
    assert (config.notify_on_new_job, config.notify_on_approved, config.notify_on_executed) == (False, True, False)
    assert (config.notify_on_new_peer, config.notify_on_peer_granted) == (False, True)
    assert (config.notify.monitor_jobs, config.notify.monitor_peers) == (False, True)
    assert (config.queue_name, config.max_concurrent_jobs) == ("my-queue", 5)
    assert (config.job_timeout, config.cleanup_completed_after) == (300.0, 3600.0)


def test_grouped_keys_reach_their_settings(home: Path) -> None:
    config = read(
        home,
        """
approvals: {adopt: true}
check: {sweep_every: 2h, orphan_after: 1d}
run: {retry_interrupted: true, log_limit: 64 KiB, output_files: 7, output_bytes: 10MB, path: "/usr/bin:/bin"}
submission: {files: 9, bytes: 1GiB}
sandbox: {type: none, user: bob, scratch: /scratch, interpreters: [/opt/py]}
lock_timeout: 0
""",
    ).config
    assert (config.adopt, config.sweep_every, config.orphan_after) == (True, 7200.0, 86400.0)
    assert (config.retry_interrupted, config.log_limit) == (True, 65536)
    assert (config.output_files, config.output_bytes, config.job_path) == (7, 10_000_000, "/usr/bin:/bin")
    assert (config.submission_files, config.submission_bytes) == (9, 1 << 30)
    assert (config.sandbox, config.sandbox_user) == ("none", "bob")
    assert (config.sandbox_scratch, config.sandbox_interpreters) == ("/scratch", ("/opt/py",))
    assert config.lock_timeout == 0.0


def test_the_sandbox_may_be_one_word(home: Path) -> None:
    assert read(home, "sandbox: none\n").config.sandbox == "none"


def test_short_spellings_of_address_and_folder_are_accepted(home: Path) -> None:
    config = read(home, "email: a@example.org\nroot: /srv/box\n").config
    assert (config.email, config.root) == ("a@example.org", "/srv/box")


def test_two_spellings_of_one_key_are_refused(home: Path) -> None:
    assert "do_email" in errors(home, "do_email: a@example.org\nemail: b@example.org\n")[0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5.0),
        ("0.5", 0.5),
        ('"90"', 90.0),
        ("30s", 30.0),
        ("10m", 600.0),
        ("1h", 3600.0),
        ("7d", 604800.0),
        ('"2 h"', 7200.0),
    ],
)
def test_durations_are_numbers_or_have_a_unit(text: str, seconds: float, home: Path) -> None:
    assert read(home, f"job_timeout: {text}\n").config.job_timeout == seconds


@pytest.mark.parametrize(
    "text",
    ["0", "-1", "often", "1y", "true", ".nan", ".inf", "[1]", '""', "1e400", "nan", "10 10m", str(10**30), "9999999h", "5_h"],
)
def test_what_is_no_duration_is_refused(text: str, home: Path) -> None:
    found = errors(home, f"job_timeout: {text}\n")
    assert len(found) == 1
    assert found[0].startswith("config.yaml: job_timeout: ")
    assert "is not allowed: a number of seconds above 0" in found[0]


@pytest.mark.parametrize(
    "line",
    [
        "notify: {channels: [mail]}",
        "max_concurrent_jobs: 0",
        "max_concurrent_jobs: 1.5",
        "max_concurrent_jobs: true",
        "max_concurrent_jobs: 1001",
        "queue_name: ../up",
        "queue_name: .",
        "queue_name: 7",
        "do_email: nobody",
        "do_email: a/b@example.org",
        "syftbox_root: relative",
        "syftbox_root: ~other/box",
        'syftbox_root: "/srv/a\\nb"',
        "email_format: pdf",
        "notify_on_new_job: 1",
        "notify_on_new_job: maybe",
        "run: {log_limit: 0}",
        "run: {log_limit: 1.5}",
        "run: {log_limit: 10 XB}",
        "run: {path: bin}",
        "run: {path: '/bin::/usr/bin'}",
        "submission: {files: -1}",
        "sandbox: no",
        "sandbox: docker",
        "sandbox: {user: root}",
        "sandbox: {user: -x}",
        "sandbox: {scratch: tmp}",
        "sandbox: {interpreters: [opt]}",
        "sandbox: {interpreters: {a: b}}",
        "notify: 5",
        "approvals: true",
        "channels: [mail]",
        "channels: {mail: file}",
        "channels: {mail: {path: /x}}",
        "channels: {mail: {type: pigeon}}",
        "channels: {mail: {type: file, format: box}}",
        "channels: {'a b': {type: file}}",
    ],
)
def test_each_wrong_value_is_named_with_what_is_allowed(line: str, home: Path) -> None:
    found = errors(home, line + "\n")
    assert len(found) == 1
    assert found[0].startswith("config.yaml: ")
    assert " is not allowed: " in found[0]


def test_every_problem_is_listed_at_once(home: Path) -> None:
    found = errors(home, "job_timeout: often\nmax_concurrent_jobs: many\nnotify:\n  interval: never\n  intervall: 3\n")
    assert [line.split(": ")[1] for line in found] == [
        "job_timeout",
        "max_concurrent_jobs",
        "notify.interval",
        "notify.intervall",
    ]
    assert '"often" is not allowed' in found[0]


def test_control_characters_of_a_wrong_value_never_reach_the_message(home: Path) -> None:
    assert "\x1b" not in errors(home, 'email_format: "\\e[31mred"\n')[0]


def test_a_long_wrong_value_is_cut(home: Path) -> None:
    assert len(errors(home, f"email_format: {'x' * 5000}\n")[0]) < 300


def test_without_strictness_errors_are_problems_and_defaults_stand(home: Path) -> None:
    loaded = read(home, "job_timeout: often\nmax_concurrent_jobs: 9\n", strict=False)
    assert [problem.where for problem in loaded.errors] == ["config.yaml: job_timeout"]
    assert loaded.problems == loaded.errors
    assert (loaded.config.job_timeout, loaded.config.max_concurrent_jobs) == (600.0, 9)


@pytest.mark.parametrize(
    ("text", "where", "close"),
    [
        ("syftbox_rot: /srv\n", "syftbox_rot", "syftbox_root"),
        ("notify:\n  intervall: 3\n", "notify.intervall", "notify.interval"),
        ("zzz: 3\n", "zzz", ""),
        ("1: 3\n", "1", ""),
        ("on: 3\n", "on", ""),
        ("channels: {mail: {type: file, colour: red}}\n", "channels.mail.colour", ""),
        ("notify: {channels: {mail: {type: file, colour: red}}}\n", "channels.mail.colour", ""),
        ("channels: {mail: {type: file, host: example.org}}\n", "channels.mail.host", ""),
        ("channels: {mail: {type: file, url_env: X}}\n", "channels.mail.url_env", ""),
        ("chanels: {}\n", "chanels", "channels"),
        ("routing: {order: [], orders: []}\n", "routing.orders", "routing.order"),
    ],
)
def test_an_unknown_key_is_a_warning_with_the_nearest_name(text: str, where: str, close: str, home: Path) -> None:
    (problem,) = read(home, text).problems
    assert problem.where == f"config.yaml: {where}"
    assert (f"Did you mean {close}?" == problem.advice) if close else "scq config show" in problem.advice


# Channels (what single types need is in test_config_channels.py)


def test_the_default_channel_is_a_mailbox_in_the_home(home: Path) -> None:
    assert read(home, "").config.channels == (ChannelSetting("mailbox", "file", f"{home}/mailbox", "maildir"),)


@pytest.mark.parametrize("place", ["channels:", "notify:\n  channels:"])
def test_channels_are_read_with_their_names_in_both_places(place: str, home: Path) -> None:
    text = f"{place}\n    a: {{type: file, path: ~/mail.mbox, format: mbox}}\n    b: {{type: file}}\n"
    loaded = read(home, text)
    assert loaded.config.channels == (
        ChannelSetting("a", "file", f"{home.parent}/mail.mbox", "mbox"),
        ChannelSetting("b", "file", f"{home}/mailbox", "maildir"),
    )
    assert (loaded.problems, loaded.origins["channels"]) == ((), "config.yaml")


def test_no_channels_can_be_wanted(home: Path) -> None:
    assert read(home, "channels: {}\n").config.channels == ()
    assert read(home, "notify: {channels: {}}\n").config.channels == ()


def test_an_empty_group_of_channels_means_the_default(home: Path) -> None:
    assert [channel.name for channel in read(home, "channels:\n").config.channels] == ["mailbox"]


def test_channels_in_both_places_are_all_there_and_none_twice(home: Path) -> None:
    text = "channels: {a: {type: file}}\nnotify: {channels: {b: {type: file}}}\n"
    assert [channel.name for channel in read(home, text).config.channels] == ["a", "b"]
    (error,) = errors(home, text.replace("b:", "a:"))
    assert error.startswith("config.yaml: channels.a: ")


# Messages: events, hours, routing, pings


def test_the_groups_of_messages_reach_their_settings(home: Path) -> None:
    config = read(
        home,
        """
notify:
  events: {job.received: digest, job.started: both}
  remind_after: 3d
  digest: hourly
  digest_at: "07:30"
  quiet_hours: 22:00-07:00
  timezone: Europe/Berlin
  max_per_run: 5
  max_per_hour_per_recipient: 2
  on_ambiguous: verify
  heartbeat_enabled: true
  heartbeat_interval: 12h
channels: {a: {type: file}, b: {type: stdout}}
routing:
  levels: {info: a, critical: [a, b, a]}
  events: {job.integrity: [b]}
  order: [b, a]
mail: {message_id_domain: example.org}
credentials_path: /g/client.json
check: {stale_after: 2h}
health: {url_file: ~/ping.url, verbs: [check, notify]}
""",
    ).config
    notify = config.notify
    assert notify.events == {"job.received": "digest", "job.started": "both"}
    assert (notify.remind_after, notify.digest, notify.digest_at) == (259_200.0, "hourly", "07:30")
    assert (notify.quiet_hours, notify.timezone) == ("22:00-07:00", "Europe/Berlin")
    assert (notify.max_per_run, notify.max_per_hour, notify.on_ambiguous) == (5, 2, "verify")
    assert (notify.heartbeat_enabled, notify.heartbeat_interval) == (True, 43_200.0)
    assert config.routing_levels == {"info": ("a",), "critical": ("a", "b")}
    assert (config.routing_events, config.routing_order) == ({"job.integrity": ("b",)}, ("b", "a"))
    assert (config.message_id_domain, config.credentials_path) == ("example.org", "/g/client.json")
    assert config.stale_after == 7200.0
    assert config.health == Health(url_file=f"{home.parent}/ping.url", verbs=("check", "notify"))
    assert config.health.secret == Secret(file=f"{home.parent}/ping.url")


def test_what_yaml_makes_of_hours_and_of_off_is_understood(home: Path) -> None:
    notify = read(home, "notify: {digest_at: 22:30, events: {job.started: off, job.received: ds}}\n").config.notify
    assert notify.digest_at == "22:30"
    assert notify.events == {"job.started": "off", "job.received": "ds"}


@pytest.mark.parametrize(("text", "clock"), [("7:05", "07:05"), ('"00:00"', "00:00"), ("23:59", "23:59"), ('" 8:00 "', "08:00")])
def test_a_time_of_day_has_hours_and_minutes(text: str, clock: str, home: Path) -> None:
    assert read(home, f"notify: {{digest_at: {text}}}\n").config.notify.digest_at == clock


@pytest.mark.parametrize(("text", "span"), [("9:00-17:30", "09:00-17:30"), ('"22:00 - 07:00"', "22:00-07:00"), ('""', "")])
def test_quiet_hours_are_a_span_that_may_pass_midnight(text: str, span: str, home: Path) -> None:
    assert read(home, f"notify: {{quiet_hours: {text}}}\n").config.notify.quiet_hours == span


@pytest.mark.parametrize(
    "line",
    [
        "notify: {digest_at: 8}",
        "notify: {digest_at: 24:00}",
        "notify: {digest_at: '12:60'}",
        "notify: {digest_at: '1:2:3'}",
        "notify: {digest_at: '٠٨:٠٠'}",
        "notify: {digest_at: true}",
        "notify: {digest_at: -5}",
        "notify: {digest_at: soon}",
        "notify: {quiet_hours: 22:00}",
        "notify: {quiet_hours: 22:00-}",
        "notify: {quiet_hours: 22:00-22:00}",
        "notify: {quiet_hours: [22:00, 07:00]}",
        "notify: {quiet_hours: 5}",
        "notify: {timezone: ../../etc/passwd}",
        "notify: {timezone: /etc/localtime}",
        "notify: {timezone: 'a b'}",
        "notify: {timezone: 1}",
        "notify: {timezone: a/b/c/d}",
        "notify: {timezone: 'Zürich'}",
        "notify: {digest: weekly}",
        "notify: {max_per_run: 0}",
        "notify: {max_per_hour_per_recipient: no}",
        "notify: {on_ambiguous: maybe}",
        "notify: {remind_after: -1}",
        "notify: {heartbeat_interval: 0}",
        "notify: {heartbeat_enabled: 'on'}",
        "notify: {events: {job.unknown: ds}}",
        "notify: {events: {job.received: nobody}}",
        "notify: {events: {job.received: true}}",
        "notify: {events: {job.received: [ds]}}",
        "notify: {events: [job.received]}",
        "notify: {events: off}",
        "routing: {levels: {loud: [mailbox]}}",
        "routing: {levels: {info: [gone]}}",
        "routing: {levels: {info: [[mailbox]]}}",
        "routing: {levels: [mailbox]}",
        "routing: {levels: {info: 7}}",
        "routing: {events: {job.unknown: [mailbox]}}",
        "routing: {events: {digest: gone}}",
        "routing: {order: [mailbox, gone]}",
        "routing: {order: ['a b']}",
        "routing: {order: {a: b}}",
        "channels: {}\nrouting: {order: [mailbox]}",
        "routing: 7",
        "mail: {message_id_domain: 'a b'}",
        "mail: {message_id_domain: 'a\\nb'}",
        "mail: {message_id_domain: 7}",
        "check: {stale_after: 0}",
        "health: {url: ftp://example.org/ping}",
        "health: {url: 'https://example.org/a b'}",
        "drive: {endpoint: 'http://drive.example.org/'}",
        "drive: {endpoint: 'http://127.0.0.1.example.org:80/'}",
        "drive: {endpoint: 'http://user@localhost/'}",
        "drive: {endpoint: 'http://127.0.0.1:80@drive.example.org/'}",
        "drive: {endpoint: 'https://[::1/'}",
        "drive: {endpoint: 'ftp://localhost:21/'}",
        "drive: {endpoint: 7}",
        'health: {url: "https://example.org/a\\nb"}',
        "health: {url: 7}",
        "health: {url_env: A-B}",
        "health: {url_env: 'A=B'}",
        "health: {url_file: ping.url}",
        "health: {url_keyring: 7}",
        "health: {verbs: [approve]}",
        "health: {verbs: []}",
        "health: {verbs: {notify: true}}",
        "health: https://example.org/key",
    ],
)
def test_each_wrong_value_of_messages_is_named_with_what_is_allowed(line: str, home: Path) -> None:
    found = errors(home, line + "\n")
    assert len(found) == 1
    assert found[0].startswith(f"config.yaml: {line.splitlines()[-1].partition(':')[0]}")
    assert " is not allowed: " in found[0]


def test_a_route_names_the_channels_there_are(home: Path) -> None:
    (error,) = errors(home, "channels: {a: {type: file}, b: {type: stdout}}\nrouting: {events: {heartbeat: [a, c]}}\n")
    assert error == 'config.yaml: routing.events: "c" is not allowed: one of your channels: a, b'
    (error,) = errors(home, "channels: {}\nrouting: {order: c}\n")
    assert error.endswith("one of your channels: there are none")


@pytest.mark.parametrize(
    "value",
    [
        {"channels": {"a": {"type": "smtp", "host": "h", "password": 12345678}}},
        {"channels": {"a": {"type": "slack", "url": "https://x/12345678", "url_env": "X"}}},
        {"channels": {"a": "https://x/12345678"}},
        {"channels": {"a": {"url": "https://x/12345678"}}},
        {"channels": {"a": {"type": "telegram", "to": "1", "token": ["12345678"]}}},
        {"channels": ["https://x/12345678"]},
        {"health": {"url": "x/12345678"}},
        {"health": "https://x/12345678"},
    ],
)
def test_an_error_never_shows_what_may_be_a_secret(value: dict[str, Any], tmp_path: Path) -> None:
    loaded = judge(value, "config.yaml", {}, {}, home=str(tmp_path))
    assert loaded.errors
    assert "12345678" not in repr(loaded.problems)


def test_no_settings_show_a_secret_when_they_are_printed(tmp_path: Path) -> None:
    value = {"channels": {"a": {"type": "slack", "url": "https://x/12345678"}}, "health": {"url": "https://x/12345678"}}
    loaded = judge(value, "config.yaml", {}, {}, home=str(tmp_path))
    assert loaded.errors == ()
    assert loaded.config.health.url.endswith("12345678")
    assert "12345678" not in repr(loaded)


# Where values come from


def client(home: Path, email: str, root: str) -> dict[str, str]:
    path = home.parent / "client.json"
    path.write_bytes(msgspec.json.encode({"email": email, "data_dir": root}))
    return {"SYFTBOX_CLIENT_CONFIG_PATH": str(path)}


def test_places_win_in_the_documented_order(home: Path) -> None:
    env = client(home, "client@example.org", "/client")
    file = ""
    steps: list[tuple[str, str]] = []

    def note(**overrides: str) -> None:
        config = read(home, file, env, **overrides).config
        steps.append((config.email, config.root))

    note()
    env |= {"SYFTBOX_EMAIL": "syft@example.org", "SYFTBOX_FOLDER": "/syft"}
    note()
    file = "do_email: file@example.org\nsyftbox_root: /file\n"
    note()
    env |= {"SCQ_EMAIL": "own@example.org", "SCQ_ROOT": "/own"}
    note()
    note(email="line@example.org", root="/line")
    assert steps == [(f"{word}@example.org", f"/{word}") for word in ("client", "syft", "file", "own", "line")]


def test_origins_say_where_a_value_comes_from(home: Path) -> None:
    env = {**client(home, "client@example.org", "/client"), "SCQ_ROOT": "/own", "SYFT_DEFAULT_JOB_TIMEOUT_SECONDS": "60"}
    loaded = read(home, "queue_name: q\n", env)
    assert loaded.origins == {
        "queue_name": "config.yaml",
        "job_timeout": "SYFT_DEFAULT_JOB_TIMEOUT_SECONDS",
        "syftbox_root": "SCQ_ROOT",
        "do_email": env["SYFTBOX_CLIENT_CONFIG_PATH"],
    }


def test_the_usual_folder_is_taken_when_it_is_there(home: Path) -> None:
    assert read(home, "").config.root == ""
    (home.parent / "SyftBox" / "datasites" / "me@example.org").mkdir(parents=True)
    config = read(home, "").config
    assert (config.root, config.email) == (f"{home.parent}/SyftBox", "me@example.org")


def test_the_folder_name_gives_the_address_last(home: Path) -> None:
    assert read(home, "", root="/srv/SyftBox_Me@example.org").config.email == "me@example.org"
    assert read(home, "do_email: other@example.org\n", root="/srv/SyftBox_Me@example.org").config.email == "other@example.org"


def test_a_relative_root_on_the_command_line_is_below_the_current_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.parent)
    assert read(home, "", root="box").config.root == f"{home.parent}/box"


def test_a_wrong_address_in_the_environment_is_named(home: Path) -> None:
    assert errors(home, "", {"SCQ_EMAIL": "nobody"})[0].startswith("SCQ_EMAIL: 'nobody' is not allowed: ")


def test_damage_in_the_clients_file_is_only_a_warning(home: Path) -> None:
    path = home.parent / "client.json"
    path.write_text("{")
    loaded = read(home, "", {"SYFTBOX_CLIENT_CONFIG_PATH": str(path)})
    assert [problem.where for problem in loaded.problems] == [str(path)]


def test_the_clients_file_is_not_read_when_nothing_is_missing(home: Path) -> None:
    path = home.parent / "client.json"
    path.write_text("{")
    text = "do_email: a@example.org\nsyftbox_root: /srv\n"
    assert read(home, text, {"SYFTBOX_CLIENT_CONFIG_PATH": str(path)}).problems == ()


def test_the_time_limit_of_the_environment_holds_where_the_file_has_none(home: Path) -> None:
    env = {"SYFT_DEFAULT_JOB_TIMEOUT_SECONDS": "42"}
    assert read(home, "", env).config.job_timeout == 42.0
    assert read(home, "job_timeout: 7\n", env).config.job_timeout == 7.0


def test_a_wrong_time_limit_in_the_environment_is_named(home: Path) -> None:
    found = errors(home, "", {"SYFT_DEFAULT_JOB_TIMEOUT_SECONDS": "soon"})
    assert found[0].startswith("SYFT_DEFAULT_JOB_TIMEOUT_SECONDS: 'soon' is not allowed: ")


def test_a_home_inside_the_syftbox_is_refused(home: Path) -> None:
    assert "lies inside the SyftBox folder" in errors(home, f"syftbox_root: {home.parent}\n")[0]


# Hostile files


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"- a\n- b\n", "holds a list"),
        (b"just text\n", "holds a str"),
        (b"a: [1\n", "is not YAML"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        (b"a: !!python/name:os.system\n", "is not YAML"),
        (b"job_timeout: 2026-99-99\n", "is not YAML"),
        (b"job_timeout: !!bool foo\n", "is not YAML (a value does not fit its type: 'foo')"),
        (b"job_timeout: !!timestamp foo\n", "is not YAML (a value does not fit its type: "),
        (b"job_timeout: !!int ''\n", "is not YAML (a value does not fit its type: "),
        (b"job_timeout: 1" + b":0" * 300 + b":0.5\n", "is not YAML (a value does not fit its type: "),
        (b"job_timeout: 1\nqueue_name: q\njob_timeout: 2\n", "line 3: job_timeout stands here a second time"),
        (b"a: &a [*a]\n", "levels"),
        (b"[" * 100_000, ""),
        (b"x: " + b"[" * 200 + b"]" * 200, "levels"),
        (b"x: [" + b"1," * 50_000 + b"]", "values"),
        (b"a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
         b"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n", "values"),
    ],
)  # fmt: skip
def test_what_is_no_settings_file_is_refused(content: bytes, word: str, home: Path) -> None:
    path = home / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(str(path), {}, {})
    assert str(path) in str(caught.value)
    assert word in str(caught.value)
    assert caught.value.advice


def test_a_fifo_does_not_hang(home: Path) -> None:
    os.mkfifo(home / "config.yaml")
    with pytest.raises(ConfigError, match="not a regular file"):
        load(str(home / "config.yaml"), {}, {})


def test_a_folder_is_refused(home: Path) -> None:
    (home / "config.yaml").mkdir()
    with pytest.raises(ConfigError, match="not a regular file"):
        load(str(home / "config.yaml"), {}, {})


def test_fifty_megabytes_are_not_read(home: Path) -> None:
    with (home / "config.yaml").open("wb") as file:
        file.truncate(50 << 20)
    with pytest.raises(ConfigError, match="is larger than"):
        load(str(home / "config.yaml"), {}, {})


def test_a_dangling_link_is_refused_and_not_taken_for_a_missing_file(home: Path) -> None:
    (home / "config.yaml").symlink_to(home / "gone.yaml")
    with pytest.raises(ConfigError, match=r"gone\.yaml"):
        load(str(home / "config.yaml"), {}, {})


def test_a_link_the_owner_made_is_followed(home: Path) -> None:
    (home.parent / "dotfiles.yaml").write_text("max_concurrent_jobs: 8\n")
    (home / "config.yaml").symlink_to(home.parent / "dotfiles.yaml")
    assert load(str(home / "config.yaml"), {"HOME": str(home.parent)}, {}).config.max_concurrent_jobs == 8


def test_a_damaged_file_without_strictness_is_a_problem(home: Path) -> None:
    loaded = read(home, "[", strict=False)
    assert [problem.where for problem in loaded.errors] == [str(home / "config.yaml")]
    assert loaded.config.max_concurrent_jobs == 3


# The kept form


def test_the_kept_form_is_used_without_parsing_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(home, "max_concurrent_jobs: 6\nnotify: {channels: {m: {type: file}}}\n")
    remember_parsed(str(home))
    before = load(path, {"HOME": str(home.parent)}, {})

    def fail(text: str, path: str) -> dict[str, Any]:
        raise AssertionError("parsed again")

    monkeypatch.setattr(config_file, "parse", fail)
    assert load(path, {"HOME": str(home.parent)}, {}) == before
    assert before.config.max_concurrent_jobs == 6


def test_a_changed_file_is_parsed_again(home: Path) -> None:
    write(home, "max_concurrent_jobs: 6\n")
    remember_parsed(str(home))
    assert read_values(write(home, "max_concurrent_jobs: 7\n", age=61), str(home)) == {"max_concurrent_jobs": 7}


@pytest.mark.parametrize("age", [0.0, -3600.0])
def test_nothing_is_kept_of_a_file_too_young_to_trust(age: float, home: Path) -> None:
    write(home, "max_concurrent_jobs: 6\n", age=age)
    remember_parsed(str(home))
    assert not (home / CACHE_NAME).exists()


def test_a_kept_form_is_not_believed_while_the_file_is_young(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(home, "max_concurrent_jobs: 6\n")
    remember_parsed(str(home))
    kept = home / CACHE_NAME
    kept.write_text(kept.read_text().replace('"max_concurrent_jobs":6', '"max_concurrent_jobs":9'))
    assert read_values(path, str(home)) == {"max_concurrent_jobs": 9}
    changed = os.stat(path).st_mtime
    monkeypatch.setattr(config_file.time, "time", lambda: changed + 1.0)
    assert read_values(path, str(home)) == {"max_concurrent_jobs": 6}


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"path": 1}', b"[" * 100_000])
def test_a_damaged_kept_form_is_passed_over(content: bytes, home: Path) -> None:
    path = write(home, "max_concurrent_jobs: 6\n")
    (home / CACHE_NAME).write_bytes(content)
    assert read_values(path, str(home)) == {"max_concurrent_jobs": 6}


def test_the_kept_form_of_another_file_is_not_taken(home: Path) -> None:
    path = write(home, "max_concurrent_jobs: 6\n")
    remember_parsed(str(home))
    other = home / "other.yaml"
    os.link(path, other)
    text = (home / CACHE_NAME).read_text().replace('"max_concurrent_jobs":6', '"max_concurrent_jobs":9')
    (home / CACHE_NAME).write_text(text)
    assert read_values(str(other), str(home)) == {"max_concurrent_jobs": 6}


def test_the_kept_form_is_closed_to_others(home: Path) -> None:
    write(home, "max_concurrent_jobs: 6\n")
    remember_parsed(str(home))
    assert (home / CACHE_NAME).stat().st_mode & 0o777 == 0o600


def test_nothing_is_kept_of_no_file(home: Path) -> None:
    remember_parsed(str(home))
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("values", ["a: 2026-01-01", "a: .inf", f"a: {10**30}", "a: !!binary aGk=", "a: [~, true, 1.5, x]"])
def test_the_kept_form_says_exactly_what_the_file_says(values: str, home: Path) -> None:
    path = write(home, values + "\n")
    fresh = read_values(path, str(home))
    remember_parsed(str(home))
    assert read_values(path, str(home)) == fresh
    assert (home / CACHE_NAME).exists()


def test_yaml_is_not_loaded_without_a_file_or_with_a_kept_form(home: Path) -> None:
    path = write(home, "max_concurrent_jobs: 6\n")
    remember_parsed(str(home))
    code = (
        "import sys; from scq.config import load\n"
        f"assert load({path!r}, {{}}, {{}}).config.max_concurrent_jobs == 6\n"
        f"load({str(home / 'none.yaml')!r}, {{}}, {{}})\n"
        "slow = {'yaml', 'jinja2', 'filelock', 'difflib', 'subprocess', 'shutil', 'dataclasses'} & set(sys.modules)\n"
        "sys.exit(repr(slow) if slow else 0)"
    )
    # Measuring coverage inside the child would load more than the call does.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)
    assert ended.returncode == 0, ended.stderr


# Changing the file


def test_changing_a_value_keeps_comments_and_order(home: Path) -> None:
    path = write(home, "# mine\ndo_email: a@example.org  # me\n\nnotify:\n    # loop\n    interval: 30   # s\nother: 1\n")
    change = plan_change(path, {"notify.interval": "10m", "do_email": "b@example.org", "notify.monitor_jobs": False})
    assert change.kept_form
    assert change.text == (
        "# mine\ndo_email: b@example.org  # me\n\nnotify:\n    # loop\n    interval: 10m  # s\n"
        "    monitor_jobs: false\nother: 1\n"
    )


def test_missing_groups_are_added(home: Path) -> None:
    path = write(home, "do_email: a@example.org\n")
    change = plan_change(path, {"run.path": "/bin", "notify.channels.mail.type": "file"})
    assert change.text is not None
    assert parse(change.text, path) == {
        "do_email": "a@example.org",
        "run": {"path": "/bin"},
        "notify": {"channels": {"mail": {"type": "file"}}},
    }


@pytest.mark.parametrize(
    "text",
    [
        "run: {path: /usr/bin, log_limit: 5}\n",
        "run:\n  path: >\n    /usr/bin:\n    /sbin\n  log_limit: 5\n",
        '"run":\n  path: /usr/bin\n  log_limit: 5\n',
        "run: &r\n  path: /usr/bin\n  log_limit: 5\nother: *r\n",
        "{run: {path: /usr/bin, log_limit: 5}}\n",
        "%YAML 1.1\n---\nrun:\n  path: /usr/bin\n  log_limit: 5\n...\n",
        "run:\n  # path: /usr/bin\n  log_limit: 5\nlast: |\n  run:\n    path: /no\n",
    ],
)
def test_any_form_of_yaml_ends_with_the_value_set_and_nothing_lost(text: str, home: Path) -> None:
    path = write(home, text)
    before = parse(text, path)
    change = plan_change(path, {"run.path": "/bin"})
    assert change.text is not None
    after = parse(change.text, path)
    assert after["run"] == {"path": "/bin", "log_limit": 5}
    assert {key: value for key, value in after.items() if key not in ("run", "other")} == {
        key: value for key, value in before.items() if key not in ("run", "other")
    }


def test_values_that_need_quotes_get_them(home: Path) -> None:
    for value in ("no", "a: b # c", "5", "", "[x", "line\nbreak", "ünï"):
        path = write(home, "queue_name: q\n")
        change = plan_change(path, {"queue_name": value})
        assert parse(change.text or "", path) == {"queue_name": value}


def test_the_spelling_of_the_file_is_kept(home: Path) -> None:
    path = write(home, "email: a@example.org\nroot: /srv\nsandbox: bwrap\n")
    change = plan_change(path, {"do_email": "b@example.org", "syftbox_root": "/box", "sandbox.type": "none"})
    assert change.text == "email: b@example.org\nroot: /box\nsandbox: none\n"


def test_a_one_word_group_grows_when_another_key_is_set(home: Path) -> None:
    path = write(home, "sandbox: none\n")
    assert plan_change(path, {"sandbox.user": "bob"}).values == {"sandbox": {"type": "none", "user": "bob"}}


def test_a_group_in_braces_changes_without_the_loss_of_comments(home: Path) -> None:
    path = write(home, "# mine\nsandbox: {type: bwrap}  # a box\nqueue_name: q  # short\n")
    change = plan_change(path, {"sandbox.user": "bob"})
    assert change.kept_form
    assert change.text == "# mine\nsandbox: {type: bwrap, user: bob}  # a box\nqueue_name: q  # short\n"


def test_nothing_to_change_writes_nothing(home: Path) -> None:
    path = write(home, "queue_name: q\n")
    change = plan_change(path, {"queue_name": "q"})
    assert change.text is None
    assert write_change(change, NOW) == ""
    assert os.listdir(home) == ["config.yaml"]


def test_the_version_before_is_kept_and_never_replaced(home: Path) -> None:
    path = write(home, "queue_name: one\n")
    first = write_change(plan_change(path, {"queue_name": "two"}), NOW)
    second = write_change(plan_change(path, {"queue_name": "three"}), NOW)
    assert first.endswith("config.yaml.bak-20261121T080000Z")
    assert first != second
    assert (Path(first).read_text(), Path(second).read_text()) == ("queue_name: one\n", "queue_name: two\n")
    assert {Path(name).stat().st_mode & 0o777 for name in (path, first, second)} == {0o600}


def test_a_new_file_is_closed_to_others_and_reads_back(home: Path) -> None:
    path = str(home / "below" / "config.yaml")
    assert write_change(plan_change(path, {"queue_name": "q"}), NOW) == ""
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert read_values(path, str(home)) == {"queue_name": "q"}


def test_a_damaged_file_is_never_changed(home: Path) -> None:
    path = write(home, "queue_name: [\n")
    with pytest.raises(ConfigError):
        plan_change(path, {"queue_name": "q"})


def test_a_link_stays_a_link_when_its_file_is_changed(home: Path) -> None:
    target = home.parent / "dotfiles.yaml"
    target.write_text("queue_name: q\n")
    (home / "config.yaml").symlink_to(target)
    write_change(plan_change(str(home / "config.yaml"), {"queue_name": "r"}), NOW)
    assert (home / "config.yaml").is_symlink()
    assert target.read_text() == "queue_name: r\n"


@pytest.mark.parametrize(
    "place", ["https://drive.example.org/x", "http://127.0.0.1:8080", "http://localhost:1/", "http://[::1]:9"]
)
def test_drive_is_reached_where_a_token_cannot_be_read_on_the_way(home: Path, place: str) -> None:
    assert read(home, f"drive: {{endpoint: '{place}'}}\n").config.drive.endpoint == place.removesuffix("/") + "/"


def test_jobs_that_are_over_may_be_kept_for_good(home: Path) -> None:
    assert read(home, "cleanup_completed_after: never\n").config.cleanup_completed_after == CENTURY
    assert errors(home, "job_timeout: never\n")


def test_a_secret_that_systemd_hands_over_is_found_where_it_says(home: Path) -> None:
    text = "channels: {post: {type: webhook, url_file: $CREDENTIALS_DIRECTORY/hook}}\n"
    (channel,) = read(home, text, {"CREDENTIALS_DIRECTORY": "/run/credentials/x"}).config.channels
    assert channel.url_file == "/run/credentials/x/hook"


def test_outside_of_its_service_such_a_secret_is_named_as_it_is_written(home: Path) -> None:
    text = "channels: {post: {type: webhook, url_file: $CREDENTIALS_DIRECTORY/hook}}\n"
    (channel,) = read(home, text).config.channels
    with pytest.raises(ConfigError, match="CREDENTIALS_DIRECTORY/hook"):
        Secret(file=channel.url_file).read({})


# The list of keys


def test_every_setting_has_a_key_and_every_key_a_setting() -> None:
    config = Config()
    for name, (attribute, made) in HOLDERS.items():
        group = getattr(config, attribute)
        assert group == made()
        assert {key.attribute for key in KEYS if key.path.startswith(f"{name}.")} == set(group.__struct_fields__), name
    own = {key.attribute for key in KEYS if key.path.rpartition(".")[0] not in HOLDERS}
    assert own == set(config.__struct_fields__) - {attribute for attribute, _ in HOLDERS.values()} - {"channels"}


def test_every_default_is_allowed_by_its_own_key_or_means_that_nothing_is_set() -> None:
    for info in keys():
        key = find_key(info.path.replace("NAME", "mailbox"))
        assert key is not None
        if info.default not in (None, "", 0, (), []):
            default = list(info.default) if isinstance(info.default, tuple) else info.default
            assert key.kind.parse(default) is not None, info.path


def test_every_value_can_be_asked_for() -> None:
    config = Config()
    for path in BY_PATH:
        value_of(config, path)
    assert value_of(config, "email") == ""
    assert value_of(config, "sandbox") == "bwrap"
    assert value_of(config, "channels.mailbox.format") == "maildir"
    assert value_of(config, "notify.channels.mailbox.format") == "maildir"
    assert value_of(config, "channels.gone.format") is None
    assert value_of(config, "health.verbs") == ("notify", "cycle")
    assert value_of(config, "approve.command") == ()
    with pytest.raises(KeyError):
        value_of(config, "nothing")


@pytest.mark.parametrize(
    "path",
    ["", "notify", "channels", "notify.channels", "channels.a b.type", "channels.a.x", "x.y"],
)
def test_what_is_no_setting_has_no_key(path: str) -> None:
    assert find_key(path) is None


def test_the_nearest_name_is_one_that_exists() -> None:
    assert nearest("job_timout") == "job_timeout"
    assert nearest("log_limt") == "run.log_limit"
    assert nearest("qqqqqq") == ""


def test_the_documentation_lists_every_key_with_its_default() -> None:
    text = DOCS.read_text()
    for info in keys():
        default = info.default if isinstance(info.default, str) else msgspec.json.encode(info.default).decode()
        shown = f"`{default}`" if default not in ("", "null") else "–"
        assert f"| `{info.path}` | {info.type} | {shown} | {info.meaning} |" in text


def test_the_example_in_the_documentation_is_valid(home: Path) -> None:
    example = DOCS.read_text().split("```yaml\n")[1].split("```")[0]
    assert read(home, example).problems == ()


def test_data_is_a_list_of_folders_or_a_mapping_of_places(tmp_path: Path) -> None:
    entries = [{"path": "/srv/a"}, {"path": "~/b", "at": "/data/x/", "submitters": ["A@B.org"], "tags": "heart"}]
    found = judge({"data": entries}, "config.yaml", {"HOME": "/home/me"}, {}, home=str(tmp_path)).config.data
    assert found == (
        DataFolder("/srv/a", "/data/a"),
        DataFolder("/home/me/b", "/data/x", submitters=("a@b.org",), tags=("heart",)),
    )
    short = judge({"data": {"/srv/a": "/cohort"}}, "config.yaml", {}, {}, home=str(tmp_path)).config.data
    assert short == (DataFolder("/srv/a", "/cohort"),)


@pytest.mark.parametrize(
    "value",
    [
        "/srv/a",
        [7],
        [{"at": "/data/a"}],
        [{"path": "srv/a"}],
        [{"path": "/srv/a", "at": "data"}],
        [{"path": "/srv/a", "at": "/usr/data"}],
        [{"path": "/srv/a", "at": "/data/../usr"}],
        [{"path": "/srv/a", "at": "/"}],
        [{"path": "/srv/a", "submitters": []}],
        [{"path": "/srv/a", "submitters": ["nobody"]}],
        [{"path": "/srv/a", "tags": []}],
        [{"path": "/srv/a", "tags": [1]}],
        [{"path": "/srv/a", "write": True}],
        [{"path": "/srv/a"}, {"path": "/other/a"}],
        [{"path": f"/srv/{number}"} for number in range(101)],
    ],
)
def test_data_that_says_too_little_or_too_much_is_an_error(value: object, tmp_path: Path) -> None:
    (error,) = judge({"data": value}, "config.yaml", {}, {}, home=str(tmp_path)).errors
    assert error.where == "config.yaml: data"


def test_results_in_one_word_are_outputs_and_logs_and_the_word_grows(tmp_path: Path) -> None:
    config = judge({"results": "release"}, "config.yaml", {}, {}, home=str(tmp_path)).config
    assert (config.hold_outputs, config.hold_logs) == ("release", "release")
    twice = judge({"results": "release", "data": None}, "config.yaml", {}, {}, home=str(tmp_path))
    assert twice.errors == ()


@pytest.mark.parametrize(("value", "kept"), [(["csv", ".JSON"], (".csv", ".json")), ("txt", (".txt",)), ([], ())])
def test_endings_are_written_with_or_without_their_dot(value: object, kept: tuple[str, ...], tmp_path: Path) -> None:
    loaded = judge({"auto_release": {"types": value}}, "config.yaml", {}, {}, home=str(tmp_path))
    assert loaded.config.auto_release.types == kept


@pytest.mark.parametrize("value", [["a/b"], ["."], 7, [""], ["x"] * 101])
def test_what_is_no_ending_is_an_error(value: object, tmp_path: Path) -> None:
    assert len(judge({"auto_release": {"types": value}}, "config.yaml", {}, {}, home=str(tmp_path)).errors) == 1


@pytest.mark.parametrize("value", ["", "ftp://host/simple", "https://host/a b", 7])
def test_an_index_is_an_address(value: object, tmp_path: Path) -> None:
    assert len(judge({"prepare": {"index": value}}, "config.yaml", {}, {}, home=str(tmp_path)).errors) == 1


@pytest.mark.parametrize("value", [["nobody"], "x", 7, [None]])
def test_reviewers_are_addresses(value: object, tmp_path: Path) -> None:
    assert len(judge({"approvals": {"reviewers": value}}, "config.yaml", {}, {}, home=str(tmp_path)).errors) == 1
