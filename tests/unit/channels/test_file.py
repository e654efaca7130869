"""Mailboxes on disk: private, never doubled, never half written."""

from __future__ import annotations

import errno
import fcntl
import mailbox
import os
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq import channels
from scq.channels.file import FileChannel
from scq.channels.place import Place
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError, ConfigError
from scq.ports import Message

KEY = "ab" * 32
MESSAGE = Message(KEY, "job.received", "o@x.org", "a@b.org", "Job: s [scq 1]", "text\n", None, "2026-03-02T10:30:00+00:00")


def box(path: Path, format: str = "maildir") -> FileChannel:
    return FileChannel(ChannelSetting("m", "file", str(path), format), Place(env={}))


def in_mbox(path: Path) -> list[str]:
    with closing(mailbox.mbox(path, create=False)) as mails:
        return [str(mail["Subject"]) for mail in mails]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_maildir_is_private_and_complete(tmp_path: Path) -> None:
    mails = tmp_path / "home" / "mailbox"
    receipt = box(mails).send(MESSAGE)
    assert receipt.text == str(mails / "new" / f"{KEY}.scq")
    assert receipt.message_id == f"<{KEY[:32]}@x.org>"
    assert [mode(path) for path in (mails, mails / "new", mails / "cur", mails / "tmp")] == [0o700] * 4
    assert mode(mails / "new" / f"{KEY}.scq") == 0o600
    assert os.listdir(mails / "tmp") == []


def test_a_second_delivery_replaces_the_first_in_a_maildir(tmp_path: Path) -> None:
    channel = box(tmp_path / "m")
    channel.send(MESSAGE)
    channel.send(replace(MESSAGE, text="newer\n"))
    (name,) = os.listdir(tmp_path / "m" / "new")
    assert "newer" in (tmp_path / "m" / "new" / name).read_text()


def test_a_message_that_was_read_already_is_not_delivered_again(tmp_path: Path) -> None:
    channel = box(tmp_path / "m")
    delivered = Path(channel.send(MESSAGE).text)
    read = tmp_path / "m" / "cur" / f"{delivered.name}:2,S"
    delivered.rename(read)
    assert channel.send(MESSAGE).text == str(read)
    assert os.listdir(tmp_path / "m" / "new") == []


def test_an_mbox_is_private_and_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_bytes(b"From old@x Mon Mar  2 10:30:00 2026\nSubject: old\n\nbody without end")
    box(path, "mbox").send(MESSAGE)
    assert in_mbox(path) == ["old", "Job: s [scq 1]"]
    fresh = tmp_path / "fresh"
    box(fresh, "mbox").send(MESSAGE)
    assert mode(fresh) == 0o600


def test_a_key_in_the_text_of_another_message_does_not_count_as_delivered(tmp_path: Path) -> None:
    channel = box(tmp_path / "box", "mbox")
    channel.send(replace(MESSAGE, key="cd" * 32, text=f"\nX-SCQ-Key: {KEY}\n\nX-SCQ-Key: {KEY}\n"))
    channel.send(MESSAGE)
    assert len(in_mbox(tmp_path / "box")) == 2


def test_lines_that_begin_a_message_in_an_mbox_are_quoted(tmp_path: Path) -> None:
    box(tmp_path / "box", "mbox").send(replace(MESSAGE, text="From a\n>From b\n"))
    text = (tmp_path / "box").read_text()
    assert "\n>From a\n>>From b\n" in text


def test_a_locked_mbox_is_left_alone_and_tried_later(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.touch()
    hold = "import fcntl,sys; f=open(sys.argv[1],'a'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ChannelError, match="locked") as caught:
            box(path, "mbox").send(MESSAGE)
        holder.communicate()
    assert caught.value.kind == "transient"
    assert path.read_bytes() == b""


def test_the_lock_is_free_after_a_delivery(tmp_path: Path) -> None:
    box(tmp_path / "box", "mbox").send(MESSAGE)
    take = "import fcntl,sys; f=open(sys.argv[1],'a'); fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)"
    assert subprocess.run([sys.executable, "-c", take, str(tmp_path / "box")], check=False).returncode == 0


def test_a_full_disk_leaves_the_mbox_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "box"
    channel = box(path, "mbox")
    channel.send(MESSAGE)
    before = path.read_bytes()
    real, written = os.write, []

    def write(fd: int, content: bytes) -> int:
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(real(fd, bytes(content)[:10]))
        return written[0]

    monkeypatch.setattr("scq.channels.file.os.write", write)
    with pytest.raises(ChannelError, match="No space left") as caught:
        channel.send(replace(MESSAGE, key="cd" * 32))
    assert written == [10]
    assert caught.value.kind == "transient"
    assert path.read_bytes() == before


@pytest.mark.parametrize("format", ["maildir", "mbox"])
def test_a_mailbox_that_cannot_be_made_may_work_later(tmp_path: Path, format: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ChannelError, match="cannot be written") as caught:
        box(tmp_path / "file" / "box", format).send(MESSAGE)
    assert caught.value.kind == "transient"
    assert caught.value.advice


def test_an_mbox_is_never_written_through_a_link_or_into_a_fifo(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"untouched")
    (tmp_path / "link").symlink_to("secret")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo"):
        with pytest.raises(ChannelError):
            box(tmp_path / name, "mbox").send(MESSAGE)
    assert (tmp_path / "secret").read_bytes() == b"untouched"


def test_unknown_types_and_formats_name_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match=r"channels.x.type.*'pigeon'") as caught:
        channels.get(ChannelSetting("x", "pigeon", "/p", "maildir"), Place(env={}))
    assert "file" in caught.value.advice
    with pytest.raises(ConfigError, match=r"channels.x.format.*'tar'") as caught:
        channels.get(ChannelSetting("x", "file", "/p", "tar"), Place(env={}))
    assert "maildir, mbox" in caught.value.advice


def test_the_registry_loads_no_mail_library_before_a_channel_is_asked_for() -> None:
    check = "import sys, scq.channels; sys.exit('email' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False, cwd=Path(channels.__file__).parents[2]).returncode == 0


def test_every_lock_error_of_a_kernel_counts_as_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(fd: int, how: int) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(fcntl, "lockf", denied)
    with pytest.raises(ChannelError, match="locked by another program"):
        box(tmp_path / "box", "mbox").send(MESSAGE)
