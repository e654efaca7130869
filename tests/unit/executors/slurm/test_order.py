from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from scq import __version__
from scq.errors import ConfigError, IntegrityError, InvalidFileError
from scq.executors.slurm import order
from scq.executors.slurm.order import Order, Probe, batch_script, read_order, write_order
from tests.unit.executors.slurm.standins import make_run

PROBE = Probe("none", {"a": 1}, ("/x",), ("sh",), "/bin")


def rewritten(control: Path, content: bytes) -> str:
    import hashlib

    (control / order.ORDER).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def test_a_task_arrives_as_it_was_sent_with_the_control_folder_as_its_directory(tmp_path: Path) -> None:
    task = make_run(tmp_path / "home", tmp_path)
    assert task.entrance is not None
    task = replace(task, entrance=replace(task.entrance, not_after=datetime(2026, 1, 1, tzinfo=UTC)))
    sent = write_order(str(tmp_path), task)
    assert read_order(str(tmp_path), sent) == Order(__version__, task=replace(task, directory=str(tmp_path)))


def test_a_probe_arrives_as_it_was_sent(tmp_path: Path) -> None:
    assert read_order(str(tmp_path), write_order(str(tmp_path), PROBE)) == Order(__version__, probe=PROBE)


def test_an_order_that_was_changed_is_noticed(tmp_path: Path) -> None:
    sent = write_order(str(tmp_path), PROBE)
    path = tmp_path / order.ORDER
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(IntegrityError, match="not the one that was sent"):
        read_order(str(tmp_path), sent)
    path.unlink()
    with pytest.raises(InvalidFileError):
        read_order(str(tmp_path), sent)


def test_an_order_of_another_version_is_refused_before_it_is_understood(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="written by scq 0.0.0"):
        read_order(str(tmp_path), rewritten(tmp_path, b'{"version": "0.0.0", "task": 7}'))


@pytest.mark.parametrize("content", [b"", b"[]", b'{"version": 1}', b'{"version": "\xff"}', b"[" * 5000])
def test_an_order_that_makes_no_sense_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(IntegrityError, match="cannot be understood"):
        read_order(str(tmp_path), rewritten(tmp_path, content))


def test_an_order_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="not exactly one"):
        read_order(str(tmp_path), rewritten(tmp_path, msgspec.json.encode(Order(__version__))))


def test_an_order_that_no_node_would_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match="larger than"):
        write_order(str(tmp_path), Probe("none", {"x": "y" * order.ORDER_LIMIT}))


def test_the_script_hands_over_odd_paths_unchanged(tmp_path: Path) -> None:
    python, control = tmp_path / "it's $HOME", "/s/a b;c"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    said = subprocess.run(["/bin/sh"], input=batch_script(str(python), control, "00"), capture_output=True, check=True)
    assert said.stdout.decode().splitlines() == ["-I", "-m", "scq.node", control, "00"]
