from __future__ import annotations

import os
import pwd

import pytest

from scq.sandbox.account import own_name


def test_an_account_is_called_by_its_name() -> None:
    assert pwd.getpwnam(own_name()).pw_uid == os.geteuid()


def test_an_account_without_a_name_is_called_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 4_000_000_001)
    assert own_name() == "4000000001"
