"""The parts of one call."""

from __future__ import annotations

import os
import pwd
from datetime import UTC
from pathlib import Path

import pytest

from scq.audit import head_after
from scq.config_values import Config
from scq.context import Context, audited, utc_now
from scq.errors import BusyError
from scq.state import State
from tests.making import ME, NOW


def context(tmp_path: Path, **settings: object) -> Context:
    return Context(Config(email=ME, root=str(tmp_path), **settings), str(tmp_path / "home"), env={"A": "b"})  # type: ignore[arg-type]


def test_parts_are_those_of_the_configuration(tmp_path: Path) -> None:
    ctx = context(tmp_path, submission_files=3, submission_bytes=4)
    assert (ctx.caps.files, ctx.caps.bytes) == (3, 4)
    assert ctx.executor().name == "local"
    assert ctx.layout("inbox-review").family == "inbox-review"
    assert ctx.config_path == str(tmp_path / "home/config.yaml")
    assert ctx.env == {"A": "b"}


@pytest.mark.parametrize("name", ["none", "bwrap"])
def test_the_sandbox_is_the_configured_one(tmp_path: Path, name: str) -> None:
    assert context(tmp_path, sandbox=name).sandbox().name == name


def test_the_environment_is_that_of_the_process_unless_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCQ_TEST", "yes")
    ctx = Context(Config(), str(tmp_path))
    assert ctx.env["SCQ_TEST"] == "yes"
    ctx.say("nobody listens")


def test_a_verb_holds_its_own_lock_only(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    with ctx.only_one("check"):
        with ctx.only_one("run-approved"):
            pass
        with pytest.raises(BusyError), ctx.only_one("check"):
            pass
    with ctx.only_one("check"):
        pass


def test_audit_rows_are_numbered_on(tmp_path: Path) -> None:
    state = audited(audited(State(), NOW, ME, "approve", job="x"), NOW, ME, "run")
    assert [(row.n, row.what, row.job) for row in state.audit] == [(1, "approve", "x"), (2, "run", "")]
    assert state.audited == 2


def test_the_clock_is_aware() -> None:
    assert utc_now().tzinfo is UTC


def test_an_audit_row_names_the_account_that_called(monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = audited(State(), NOW, ME, "vote", verb="approve").audit
    assert row.user == f"{pwd.getpwuid(os.getuid()).pw_name}@{os.uname().nodename}"
    assert (row.what, row.verb) == ("vote", "approve")
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)
    assert audited(State(), NOW, ME, "run").audit[0].user.startswith("4000000000@")


def test_the_state_knows_the_seal_of_its_newest_row() -> None:
    state = audited(audited(State(), NOW, ME, "approve"), NOW, ME, "run")
    assert state.audit_head == head_after(state.audit, "")
