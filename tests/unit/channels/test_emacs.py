"""Messages in Emacs: a real one where it is installed, and a program in place of its client for what it cannot be made to do."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq.channels import emacs
from scq.channels.emacs import EmacsChannel, lisp_string
from scq.channels.place import Place
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError
from scq.ports import Message

MESSAGE = Message("ab" * 32, "job.failed", "o@x.org", "o@x.org", "Job: s", "It failed.\n", None, "2026-03-02T10:30:00+00:00")
HOSTILE = '%s %d "quoted\\" (kill-emacs) \\") (kill-emacs) (message "\nGrüße'


def channel(env: dict[str, str]) -> EmacsChannel:
    return EmacsChannel(ChannelSetting("editor", "emacs"), Place(env))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment in which a real Emacs answers."""
    if shutil.which("emacs") is None or shutil.which("emacsclient") is None:
        pytest.skip("emacs is not installed")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    argv = ["emacs", "--quick", "--fg-daemon"]
    with subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while channel(env).usable():
                assert server.poll() is None
            yield env
        finally:
            server.kill()


def test_a_message_is_shown_as_it_is_and_nothing_in_it_is_evaluated(running: dict[str, str]) -> None:
    assert channel(running).send(MESSAGE).text == "shown in Emacs"
    channel(running).send(replace(MESSAGE, subject="Second", text=HOSTILE))
    asked = ["emacsclient", "--eval", '(with-current-buffer "*Messages*" (write-region nil nil "~/shown"))']
    subprocess.run(asked, env=running, check=True, capture_output=True)
    shown = Path(running["HOME"], "shown").read_text(encoding="utf-8")
    assert "Job: s\nIt failed.\n" in shown
    assert f"Second\n{HOSTILE}\n" in shown


def test_without_a_client_or_a_server_it_is_not_usable(tmp_path: Path) -> None:
    env = {"PATH": str(tmp_path)}
    assert channel(env).usable() == "emacsclient is not installed"
    client(tmp_path, "echo no socket >&2; exit 1")
    assert "no Emacs with a server answers" in channel(env).usable()
    with pytest.raises(ChannelError, match="no Emacs with a server answers") as caught:
        channel(env).send(MESSAGE)
    assert caught.value.kind == "transient"


def test_an_emacs_that_does_not_answer_is_not_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emacs, "ASK_S", 0.2)
    client(tmp_path, f"PATH={os.environ['PATH']} exec sleep 600")
    assert "did not end within" in channel({"PATH": str(tmp_path)}).usable()


def test_an_emacs_that_refuses_is_a_failure(tmp_path: Path) -> None:
    client(tmp_path, '[ "$2" = t ] || { echo "*ERROR*: no" >&2; exit 1; }')
    with pytest.raises(ChannelError, match=r"emacsclient: exit status 1: \*ERROR\*: no") as caught:
        channel({"PATH": str(tmp_path)}).send(MESSAGE)
    assert caught.value.kind == "transient"


def client(folder: Path, script: str) -> None:
    path = folder / "emacsclient"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_string_of_lisp_ends_where_it_should() -> None:
    assert lisp_string('a"b\\c') == r'"a\"b\\c"'


def test_no_other_editor_is_ever_started_instead(tmp_path: Path) -> None:
    client(tmp_path, f"env > {tmp_path}/env")
    channel({"PATH": str(tmp_path) + ":/usr/bin:/bin", "ALTERNATE_EDITOR": "sh", "HOME": "/h"}).send(MESSAGE)
    assert "ALTERNATE_EDITOR" not in (tmp_path / "env").read_text()
