"""`schedule.json`: what is installed, whatever stands in the file."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scq import installed
from scq.errors import ConfigError
from scq.installed import Record

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def test_what_was_written_is_read_and_can_be_forgotten(tmp_path: Path) -> None:
    home = str(tmp_path)
    assert installed.read(home) is None
    record = Record("cron", (("notify", 30.0), ("approve", 60.0)), AT, "alice")
    installed.write(home, record)
    assert installed.read(home) == record
    assert (tmp_path / "schedule.json").stat().st_mode & 0o777 == 0o600
    installed.forget(home)
    installed.forget(home)
    assert installed.read(home) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        " " * 100_000,
        '{"scheduler": 5, "entries": [], "at": "2026-11-21T08:00:00Z"}',
        '{"scheduler": "cron", "entries": [["notify", 0]], "at": "2026-11-21T08:00:00Z"}',
        '{"scheduler": "cron", "entries": [["notify", 1e300]], "at": "2026-11-21T08:00:00Z"}',
        '{"scheduler": "cron", "entries": [], "at": "2026-11-21T08:00:00"}',
        '{"scheduler": "cron", "entries": [' + ",".join(['["notify", 1]'] * 21) + '], "at": "2026-11-21T08:00:00Z"}',
    ],
)
def test_a_damaged_file_is_named_with_advice(tmp_path: Path, text: str) -> None:
    (tmp_path / "schedule.json").write_text(text)
    with pytest.raises(ConfigError, match=r"schedule\.json: does not say what is installed") as error:
        installed.read(str(tmp_path))
    assert "scq schedule install" in error.value.advice


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_what_is_no_file_is_damaged_too(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "schedule.json"
    {"fifo": os.mkfifo, "link": lambda name: os.symlink("/etc/passwd", name), "folder": os.mkdir}[kind](path)
    with pytest.raises(ConfigError):
        installed.read(str(tmp_path))
