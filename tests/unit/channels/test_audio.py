"""Messages spoken aloud: by which program, with which words, and what happens when nothing can be heard."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq.channels import audio
from scq.channels.audio import AudioChannel, spoken
from scq.channels.place import Place
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError
from scq.model import Level
from scq.ports import Message

MESSAGE = Message(
    "ab" * 32, "job.failed", "o@x.org", "o@x.org", "Job: s", "It failed.\nSorry.\n", None, "2026-03-02T10:30:00+00:00"
)


def speaker(folder: Path, name: str, script: str = "") -> None:
    path = folder / name
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/said.{name}\n{script}\n')
    path.chmod(0o755)


def channel(folder: Path) -> AudioChannel:
    return AudioChannel(ChannelSetting("voice", "audio"), Place({"PATH": str(folder)}))


def test_the_best_program_that_is_installed_speaks(tmp_path: Path) -> None:
    assert channel(tmp_path).usable() == "none of spd-say, espeak-ng, espeak, say is installed"
    for name, options in (("say", []), ("espeak", []), ("espeak-ng", []), ("spd-say", ["--wait"])):
        speaker(tmp_path, name)
        assert channel(tmp_path).usable() == ""
        assert channel(tmp_path).send(MESSAGE).text.endswith(f"/{name}")
        assert (tmp_path / f"said.{name}").read_text().splitlines() == [*options, "--", "Job: s. It failed. Sorry."]


@pytest.mark.parametrize(
    ("level", "beginning"), [("info", ""), ("warning", ""), ("error", "Error. "), ("critical", "Critical alert! ")]
)
def test_what_is_serious_is_said_first(level: Level, beginning: str) -> None:
    assert spoken(replace(MESSAGE, level=level)) == f"{beginning}Job: s. It failed. Sorry."


def test_words_of_strangers_are_one_argument_and_never_long(tmp_path: Path) -> None:
    speaker(tmp_path, "espeak-ng")
    channel(tmp_path).send(replace(MESSAGE, subject="-f /etc/passwd $(id)\x1b[2J\x00", text="a\n\nb" * 1000))
    dashes, words = (tmp_path / "said.espeak-ng").read_text().splitlines()
    assert dashes == "--"
    assert words.startswith("-f /etc/passwd $(id)")
    assert words.isprintable()
    assert 250 < len(words) <= 300


def test_a_program_that_fails_is_a_failure(tmp_path: Path) -> None:
    speaker(tmp_path, "spd-say", "echo no daemon >&2; exit 1")
    with pytest.raises(ChannelError, match="spd-say: exit status 1: no daemon") as caught:
        channel(tmp_path).send(MESSAGE)
    assert caught.value.kind == "transient"


def test_a_program_that_could_not_play_is_a_failure_whatever_its_exit_status(tmp_path: Path) -> None:
    speaker(tmp_path, "espeak-ng", "echo error: no such device >&2; exit 0")
    with pytest.raises(ChannelError, match="error: no such device"):
        channel(tmp_path).send(MESSAGE)


def test_without_a_program_sending_says_why(tmp_path: Path) -> None:
    with pytest.raises(ChannelError, match="none of spd-say"):
        channel(tmp_path).send(MESSAGE)


def test_a_speech_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "TIMEOUT_S", 0.2)
    speaker(tmp_path, "say", f"PATH={os.environ['PATH']} exec sleep 600")
    with pytest.raises(ChannelError, match="did not end") as caught:
        channel(tmp_path).send(MESSAGE)
    assert caught.value.kind == "ambiguous"
