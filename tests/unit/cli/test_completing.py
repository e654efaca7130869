"""What the Tab key proposes, in this process and in real shells; names come from strangers."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer.main
from typer._completion_classes import BashComplete
from typer._completion_shared import get_completion_script

from scq.cli import completing
from scq.cli.app import app
from tests.people import World

HOSTILE = [
    "$(touch PWNED)",
    "`touch PWNED`",
    "';touch PWNED;'",
    '";touch PWNED;"',
    "a:b",
    "x\ntouch PWNED",
    "$'\\x1b[31m'",
    "\x1b[31mred\x07",
    "))' ; touch PWNED ; : '((",
    "*",
    "--help",
    "two words",
    "a=b",
    "[/bold]",
    "\u202eesrever",
    "\\",
    "~root",
    "name$(touch PWNED)",
]
"""Names of jobs that would do something in a shell that is not on its guard."""
SHORT = {"pending1": "11111111-aaaa", "approved1": "22222222-aaaa", "done1": "33333333-aaaa"}


def record(uid: str, status: str, name: str, at: int = 0, **more: object) -> dict[str, object]:
    seen = f"2026-11-21T08:{at:02d}:00Z"
    return {"id": uid, "status": status, "first_seen_at": seen, "sighting": {"name": name}, **more}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A waiting, an approved and a finished job, messages and a peer, as the store keeps them."""
    folder = tmp_path / "home"
    folder.mkdir()
    live = {
        "jobs": {"a": record(SHORT["pending1"], "pending", "count", 1), "b": record(SHORT["approved1"], "approved", "mean", 2)},
        "outbox": {"cafe0123456789": {"state": "dead", "kind": "job.new", "recipient": "a@b.example"}, "d00d": {"state": "sent"}},
        "peers": {"peer@example.net": {"state": "pending"}},
    }
    (folder / "state.json").write_text(json.dumps(live))
    (folder / "finished.json").write_text(json.dumps({"jobs": {"c": record(SHORT["done1"], "completed", "median", 3)}}))
    (folder / "config.yaml").write_text("channels:\n  team: {type: slack, url_env: TEAM}\n")
    return folder


@pytest.fixture
def hostile(home: Path) -> Path:
    """Only jobs with hostile names, one of them with a hostile id, too."""
    jobs = {str(n): record(f"{n:08x}-aaaa", "pending", name, n) for n, name in enumerate(HOSTILE)}
    jobs["id"] = record("$(touch PWNED)", "pending", "harmless")
    (home / "state.json").write_text(json.dumps({"jobs": jobs}))
    (home / "finished.json").unlink()
    return home


def proposed(home: Path, *words: str, incomplete: str = "") -> dict[str, str]:
    """What is proposed behind these words, with the explanations."""
    completer = BashComplete(typer.main.get_command(app), {}, "scq", "_SCQ_COMPLETE")
    found = completer.get_completions(["--home", str(home), *words], incomplete)
    return {item.value: item.help or "" for item in found if not item.value.startswith("--")}


class TestJobs:
    def test_ids_come_with_status_and_name_and_names_with_the_status(self, home: Path) -> None:
        assert proposed(home, "show") == {
            "33333333": "completed, median",
            "22222222": "approved, mean",
            "11111111": "pending, count",
            "median": "completed",
            "mean": "approved",
            "count": "pending",
        }
        assert list(proposed(home, "show", incomplete="me")) == ["median", "mean"]

    @pytest.mark.parametrize(
        ("verb", "ids"),
        [
            ("approve", "11111111"),
            ("reject", "22222222 11111111"),
            ("cancel", "22222222 11111111"),
            ("rerun", "33333333"),
            ("release", "33333333"),
            ("withhold", "33333333"),
            ("share", "33333333"),
            ("logs", "33333333 22222222 11111111"),
            ("why", "33333333 22222222 11111111"),
            ("output", "33333333 22222222 11111111"),
        ],
    )
    def test_only_jobs_that_fit_the_verb_are_proposed(self, home: Path, verb: str, ids: str) -> None:
        assert [word for word in proposed(home, verb) if word.isdigit()] == ids.split()

    def test_what_is_out_on_a_cluster_can_be_cancelled_and_what_runs_here_cannot(self, home: Path) -> None:
        runs = {"job-out": {"executor": "slurm"}, "job-here": {"attempt": 1}, "job-elsewhere": None}
        jobs = {name: record(name, "running", name, run=run) for name, run in runs.items()}
        (home / "state.json").write_text(json.dumps({"jobs": jobs}))
        assert set(proposed(home, "cancel", incomplete="job-")) == {"job-out"}

    def test_what_stands_there_already_is_not_proposed_again(self, home: Path) -> None:
        assert "11111111" not in proposed(home, "reject", "11111111")

    def test_a_name_that_two_jobs_have_or_that_is_an_id_is_not_proposed(self, home: Path) -> None:
        jobs = {"a": record("abcd0000-1", "pending", "same"), "b": record("abcd0000-2", "pending", "same")}
        jobs["c"] = record("99999999-3", "pending", "abcd")
        (home / "state.json").write_text(json.dumps({"jobs": jobs}))
        assert set(proposed(home, "approve")) == {"abcd0000-1", "abcd0000-2", "99999999"}

    def test_a_job_that_is_gone_is_not_proposed_and_there_are_never_too_many(self, home: Path) -> None:
        jobs = {str(n): record(f"{n:08x}-x", "pending", f"job{n}", n % 60) for n in range(500)}
        jobs["0"]["missing_since"] = "2026-11-21T09:00:00Z"
        (home / "state.json").write_text(json.dumps({"jobs": jobs}))
        found = proposed(home, "show")
        assert len(found) == completing.MOST
        assert "00000000" not in found

    def test_the_state_may_lie_elsewhere(self, home: Path, tmp_path: Path) -> None:
        (home / "state.json").rename(tmp_path / "other.json")
        assert "11111111" not in proposed(home, "show")
        (home / "config.yaml").write_text(f"state_file: {tmp_path}/other.json\n")
        assert "11111111" in proposed(home, "show")

    def test_what_scq_itself_stores_is_understood(self, tmp_path: Path) -> None:
        world = World(tmp_path)
        over, waiting = world.ended("first"), world.submit("second")
        world.owner.scq("check")
        found = proposed(world.owner.home, "show")
        assert found[over[:8]] == "completed, first"
        assert found[waiting[:8]] == "pending, second"
        assert {"first", "second"} <= set(found)
        keys = proposed(world.owner.home, "outbox", "show")
        assert any(text.startswith("queued, ") for text in keys.values())


class TestOtherWords:
    def test_messages_peers_channels_keys_services_are_proposed(self, home: Path) -> None:
        assert proposed(home, "outbox", "show") == {"cafe0123": "dead, job.new, a@b.example"}
        assert proposed(home, "peers", "accept", incomplete="pe") == {"peer@example.net": "pending"}
        assert "team" in proposed(home, "channels", "--test")
        assert "notify.interval" in proposed(home, "config", "get", incomplete="notify.")
        assert set(proposed(home, "start")) == {"notify", "approve"}
        assert list(proposed(home, "logs"))[:3] == ["notify", "approve", "33333333"]


class TestUnreadable:
    @pytest.mark.parametrize(
        "content", [b"{", b"[]", b"\xff\xfe", b'{"jobs": {"a": 1}}', b"[" * 100_000, b'{"jobs": {"a": {"id": "\xff"}}}']
    )
    def test_a_damaged_store_proposes_nothing_and_says_nothing(
        self, home: Path, content: bytes, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (home / "state.json").write_bytes(content)
        assert proposed(home, "approve") == {}
        assert capfd.readouterr() == ("", "")

    def test_a_store_that_is_huge_or_no_file_proposes_nothing(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(completing, "LIMIT", 100)
        assert proposed(home, "approve") == {}
        (home / "state.json").unlink()
        os.mkfifo(home / "state.json")
        assert proposed(home, "approve") == {}

    def test_without_a_store_nothing_is_proposed_and_nothing_is_made(self, tmp_path: Path) -> None:
        assert proposed(tmp_path / "nowhere", "show") == {}
        assert list(tmp_path.iterdir()) == []

    def test_a_broken_configuration_does_not_matter(self, home: Path) -> None:
        (home / "config.yaml").write_text("{")
        assert "11111111" in proposed(home, "show")


class TestShells:
    """Real shells complete `scq approve ` with names that try to be code."""

    IDS = tuple(f"{number:08x}" for number in range(len(HOSTILE)))

    @pytest.fixture
    def environment(self, tmp_path: Path, hostile: Path) -> dict[str, str]:
        """A PATH on which `scq` is this checkout."""
        program = tmp_path / "bin" / "scq"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m scq "$@"\n')
        program.chmod(0o755)
        (tmp_path / "empty").mkdir()
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "SCQ_HOME": str(hostile), "HOME": str(tmp_path / "empty"), "TERM": "dumb"}

    @staticmethod
    def script(shell: str) -> str:
        """What `scq --show-completion` prints; tests/unit/cli/test_app.py calls it."""
        return get_completion_script(prog_name="scq", complete_var="_SCQ_COMPLETE", shell=shell)

    def test_names_that_could_be_misread_are_never_proposed(self, hostile: Path) -> None:
        found = proposed(hostile, "approve")
        assert set(found) == {*self.IDS, "harmless"}
        assert not [text for text in found.values() if any(sign in text for sign in "$`'\"();\\:\n\x1b\u202e[]*=~<>&|")]

    def test_bash_runs_nothing_of_them(self, tmp_path: Path, environment: dict[str, str]) -> None:
        script = self.script("bash")
        asked = 'COMP_WORDS=(scq approve ""); COMP_CWORD=2; _scq_completion scq; printf "%s\\n" "${COMPREPLY[@]}"'
        ended = subprocess.run(
            ["bash", "-c", f"{script}\n{asked}"],
            env=environment,
            cwd=tmp_path / "empty",
            capture_output=True,
            text=True,
            check=True,
        )
        assert set(ended.stdout.split("\n")[:-1]) == {*self.IDS, "harmless"}
        assert ended.stderr == ""
        assert list((tmp_path / "empty").iterdir()) == []

    @pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not on this machine")
    def test_fish_runs_nothing_of_them(self, tmp_path: Path, environment: dict[str, str]) -> None:
        script = self.script("fish")
        ended = subprocess.run(
            ["fish", "--no-config", "-c", f"{script}\ncomplete -C 'scq approve '"],
            env=environment,
            cwd=tmp_path / "empty",
            capture_output=True,
            text=True,
            check=True,
        )
        words = dict(line.split("\t") for line in ended.stdout.splitlines())
        assert set(words) == {*self.IDS, "harmless"}
        assert words["0000000b"] == "pending, two words"
        assert not list(tmp_path.rglob("PWNED"))

    @pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not on this machine")
    def test_zsh_runs_nothing_of_them(self, tmp_path: Path, environment: dict[str, str]) -> None:
        """zsh completes only in a terminal: one types the Tab key, then shows the line as it stands."""
        script = self.script("zsh")
        (tmp_path / "setup").write_text(
            f"autoload -Uz compinit; compinit -u -D\n{script}\nzstyle ':completion:*' list-prompt ''\n"
            f"setopt list_rows_first; LISTMAX=1000; PS1='%'; unsetopt prompt_cr zle_bracketed_paste; bindkey -e\necho ready\n"
        )
        (tmp_path / "empty" / ".zshrc").write_text("")
        shown = typed(
            ["zsh", "-f", "-i"],
            environment,
            tmp_path / "empty",
            [(f"source {tmp_path}/setup\r", "\nready"), ("scq approve \t", "two words"), ("\x15exit\r", "")],
        )
        assert all(uid in shown for uid in self.IDS)
        assert "harmless" in shown
        assert not list(tmp_path.rglob("PWNED"))


def typed(program: list[str], environment: dict[str, str], folder: Path, keys: list[tuple[str, str]]) -> str:
    """What a program in a terminal shows while keys are typed; after each the text that stands beside it is waited for."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvpe(program[0], program, environment)
    shown = ""
    try:
        for text, awaited in keys:
            os.write(terminal, text.encode())
            begun, limit = len(shown), time.monotonic() + 30
            while awaited not in shown[begun:]:
                assert time.monotonic() < limit, shown
                if select.select([terminal], [], [], 1)[0]:
                    shown += os.read(terminal, 65536).decode("utf-8", "replace")
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    return shown
