"""Messages on standard output, whatever it is connected to."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq.channels.place import Place
from scq.channels.stdout import StdoutChannel
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError
from scq.ports import Message

MESSAGE = Message("ab" * 32, "job.failed", "o@x.org", "o@x.org", "Job: s [scq 1]", "Grüße\n", None, "2026-03-02T10:30:00+00:00")
ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
from msgspec.structs import replace
from scq.channels.place import Place
from scq.channels.stdout import StdoutChannel
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError
from scq.ports import Message
channel = StdoutChannel(ChannelSetting("out", "stdout"), Place({}))
message = Message("k", "e", "s", "r", "Title", "Grüße {}".format("x" * 100_000), None, "2026-03-02T10:30:00+00:00")
try:
    channel.send(message)
except ChannelError as error:
    print(error.kind, error, file=sys.stderr)
sys.stderr.flush()
import os
os._exit(0)
"""


def channel() -> StdoutChannel:
    return StdoutChannel(ChannelSetting("out", "stdout"), Place({}))


def test_messages_are_blocks_with_a_title(capsys: pytest.CaptureFixture[str]) -> None:
    assert channel().usable() == ""
    channel().send(MESSAGE)
    assert channel().send(replace(MESSAGE, subject="Two", text="\n\nb\n\n")).text == "standard output"
    assert capsys.readouterr().out == "Job: s [scq 1]\n\nGrüße\n\nTwo\n\nb\n\n"


def test_letters_that_the_output_does_not_know_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with io.BytesIO() as raw, io.TextIOWrapper(raw, encoding="ascii") as narrow:
        monkeypatch.setattr(sys, "stdout", narrow)
        channel().send(MESSAGE)
        assert raw.getvalue() == b"Job: s [scq 1]\n\nGr??e\n\n"


def ended(stdout: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False
    )
    return done.stderr


def test_a_reader_that_went_away_may_come_back() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert ended(writing) == "transient standard output: cannot be written (Broken pipe)\n"
    finally:
        os.close(writing)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_may_have_room_later() -> None:
    with open("/dev/full", "wb") as full:
        assert ended(full.fileno()) == "transient standard output: cannot be written (No space left on device)\n"


def test_without_a_standard_output_it_is_not_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for missing in (None, closed):
        monkeypatch.setattr(sys, "stdout", missing)
        assert channel().usable() == "there is no standard output"
        with pytest.raises(ChannelError, match="no standard output") as caught:
            channel().send(MESSAGE)
        assert caught.value.kind == "transient"


def test_where_stdout_is_kept_for_json_messages_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    StdoutChannel(ChannelSetting("out", "stdout"), Place(env={}, json=True)).send(MESSAGE)
    shown = capsys.readouterr()
    assert (shown.out, MESSAGE.subject in shown.err) == ("", True)
