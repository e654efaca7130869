from __future__ import annotations

from pathlib import Path

import pytest

from scq.errors import BusyError, ConfigError
from scq.executors.slurm.commands import KEPT, LONGEST_LINE, Commands
from tests.unit.executors.slurm.standins import Bin
from tests.unit.executors.tasks import is_alive, wait_for, written_pid


@pytest.fixture
def bin_(tmp_path: Path) -> Bin:
    return Bin(tmp_path / "bin")


def test_a_command_gets_nothing_of_the_callers_environment(bin_: Bin, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SBATCH_PARTITION", "SQUEUE_FORMAT", "SLURM_CLUSTERS", "SECRET"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("SLURM_CONF", "/site/slurm.conf")
    monkeypatch.setenv("HOME", "/home/me")
    bin_.set("squeue", "exec env")
    names = {line.partition("=")[0] for line in Commands(bin_.setting()).run("squeue", []).out.splitlines()}
    assert names - {"PWD", "_", "SHLVL", "OLDPWD"} == {"PATH", "HOME", "LANG", "SLURM_CONF", "TZ"}
    assert Commands(bin_.setting(conf="/own.conf")).environment()["SLURM_CONF"] == "/own.conf"
    monkeypatch.delenv("SLURM_CONF")
    monkeypatch.delenv("HOME")
    assert set(Commands(bin_.setting()).environment()) == {"PATH", "LANG", "TZ"}


def test_a_command_says_how_it_ended(bin_: Bin) -> None:
    bin_.set("sbatch", "cat; echo 'sbatch: error: first' >&2; printf 'sbatch: fatal: \\033[1mlast\\n\\n' >&2; exit 3")
    said = Commands(bin_.setting()).run("sbatch", ["--x"], script=b"#!/bin/sh\n")
    assert (said.code, said.out, said.sentence) == (3, "#!/bin/sh\n", "\ufffd[1mlast")
    assert Commands(bin_.setting()).run("scancel", []).sentence == ""


def test_without_a_script_the_input_is_empty(bin_: Bin) -> None:
    bin_.set("sbatch", "cat; echo end")
    assert Commands(bin_.setting()).run("sbatch", []).out == "end\n"


def test_a_command_that_hangs_is_ended_with_everything_it_started(bin_: Bin, tmp_path: Path) -> None:
    bin_.set("squeue", f"sleep 1000 & echo $! > {tmp_path}/pid; wait")
    with pytest.raises(BusyError, match=r"does not answer \(squeue: no answer within 0.5 s\)") as raised:
        Commands(bin_.setting(command_timeout=0.5)).run("squeue", [])
    assert "later call" in raised.value.advice
    wait_for(lambda: not is_alive(written_pid(tmp_path / "pid")), "the end of the child")


def test_a_command_that_closes_its_output_and_hangs_is_ended(bin_: Bin) -> None:
    bin_.set("squeue", "exec >&- 2>&-; sleep 1000")
    with pytest.raises(BusyError):
        Commands(bin_.setting(command_timeout=0.3)).run("squeue", [])


def test_a_command_that_never_stops_talking_is_ended_and_not_kept(bin_: Bin) -> None:
    bin_.set("squeue", "exec yes")
    lines = 0

    def count(_line: str) -> None:
        nonlocal lines
        lines += 1

    with pytest.raises(BusyError):
        Commands(bin_.setting(command_timeout=0.2)).lines("squeue", [], count)
    assert lines > 1000


def test_much_output_is_bounded(bin_: Bin) -> None:
    bin_.set("squeue", "head -c 1000000 /dev/zero; (head -c 1000000 /dev/zero; echo; echo why) >&2")
    said = Commands(bin_.setting()).run("squeue", [])
    assert (len(said.out), len(said.err), said.sentence) == (KEPT, KEPT, "why")


def test_lines_are_handed_over_whole_and_too_long_ones_passed_over(bin_: Bin) -> None:
    bin_.set("squeue", f"echo one; head -c {LONGEST_LINE + 1} /dev/zero; echo; echo; printf 'a\\377b\\nlast'")
    lines: list[str] = []
    said = Commands(bin_.setting()).lines("squeue", [], lines.append)
    assert (said.code, said.out, lines) == (0, "", ["one", "a\ufffdb", "last"])


def test_an_exception_of_the_caller_ends_the_command(bin_: Bin, tmp_path: Path) -> None:
    bin_.set("squeue", f"echo $$ > {tmp_path}/pid; echo row; exec sleep 1000")

    def fail(_line: str) -> None:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        Commands(bin_.setting()).lines("squeue", [], fail)
    assert not is_alive(written_pid(tmp_path / "pid"))


def test_a_missing_command_is_named_with_what_to_set(bin_: Bin) -> None:
    commands = Commands(bin_.setting())
    assert commands.missing() == ()
    (bin_.folder / "scancel").unlink()
    (bin_.folder / "sbatch").write_text("no program")
    (bin_.folder / "sbatch").chmod(0o755)
    assert commands.missing() == ("scancel",)
    with pytest.raises(ConfigError, match="scancel is not found in") as raised:
        commands.run("scancel", [])
    assert "executor.slurm.bin" in raised.value.advice
    with pytest.raises(ConfigError, match="sbatch cannot be started"):
        commands.run("sbatch", [])


def test_without_a_folder_commands_are_looked_for_in_the_path(bin_: Bin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(bin_.folder))
    assert Commands(bin_.setting(bin="")).missing() == ()
    monkeypatch.setenv("PATH", "/nonexistent")
    assert len(Commands(bin_.setting(bin="")).missing()) == 4
    with pytest.raises(ConfigError, match="in PATH"):
        Commands(bin_.setting(bin="")).run("squeue", [])
