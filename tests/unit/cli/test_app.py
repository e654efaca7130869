"""The command line as people and programs meet it: help, documents, exit codes, global options, completion."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from scq.cli import app, shortcut
from tests.people import OWNER, SCIENTIST, Answer, World

LEAVES = [("config", "show"), ("config", "get"), ("config", "set"), ("config", "validate"), ("config", "path")]
LEAVES += [("audit", "show"), ("audit", "verify"), ("audit", "export")]
LEAVES += [("outbox", "list"), ("outbox", "show"), ("outbox", "retry"), ("outbox", "drop")]
LEAVES += [("template", "list"), ("template", "show"), ("template", "preview"), ("template", "eject")]
LEAVES += [("peers", word) for word in ("list", "show", "accept", "reject", "notify-granted")]
LEAVES += [("auth", "google"), ("auth", "status"), ("auth", "revoke")]
LEAVES += [("schedule", word) for word in ("install", "remove", "show", "verify")]
GROUPS = tuple(dict.fromkeys(verb for verb, _ in LEAVES))
VERBS = [*((verb,) for verb in app.VERBS if verb not in GROUPS), *LEAVES]

GOOD: dict[tuple[str, ...], list[str]] = {
    ("init",): ["--email", OWNER, "--dry-run"],
    ("doctor",): [],
    ("submit",): [OWNER, "SOURCE", "--name", "another"],
    ("list",): [],
    ("pending",): [],
    ("show",): ["WAITING"],
    ("review",): ["WAITING"],
    ("diff",): ["WAITING"],
    ("approve",): ["WAITING"],
    ("reject",): ["WAITING"],
    ("cancel",): ["WAITING"],
    ("check",): [],
    ("run-approved",): [],
    ("notify",): [],
    ("cycle",): [],
    ("automate",): [],
    ("schedule", "install"): ["--loop", "--dry-run"],
    ("schedule", "remove"): ["--dry-run"],
    ("schedule", "show"): [],
    ("stop",): [],
    ("outbox", "list"): [],
    ("outbox", "show"): ["MESSAGE"],
    ("outbox", "retry"): ["--all-dead"],
    ("outbox", "drop"): ["MESSAGE"],
    ("send",): ["hello", "--channel", "mailbox"],
    ("exec",): ["--channel", "mailbox", "true"],
    ("channels",): ["--test", "mailbox"],
    ("template", "list"): [],
    ("template", "show"): ["new_job"],
    ("template", "preview"): ["new_job"],
    ("template", "eject"): ["new_job"],
    ("auth", "status"): [],
    ("metrics",): [],
    ("status",): [],
    ("why",): ["WAITING"],
    ("report",): [],
    ("logs",): ["DONE"],
    ("output",): ["DONE"],
    ("wait",): ["DONE"],
    ("rerun",): ["DONE"],
    ("release",): ["DONE", "-r", "aggregates"],
    ("withhold",): ["DONE", "-r", "too small groups"],
    ("share",): ["DONE"],
    ("cleanup",): [],
    ("reset",): ["--yes"],
    ("config", "show"): [],
    ("config", "get"): ["sandbox.type"],
    ("config", "set"): ["sandbox.type", "none"],
    ("config", "validate"): [],
    ("config", "path"): [],
    ("audit", "show"): [],
    ("audit", "verify"): [],
    ("audit", "export"): [],
}
"""How every verb is called when it works."""
ELSEWHERE: set[tuple[str, ...]] = {("demo",), ("call",), ("sms",), ("auth", "google"), ("auth", "revoke")}
ELSEWHERE |= {("start",), ("restart",), ("schedule", "verify")}
ELSEWHERE |= {("peers", word) for word in ("list", "show", "accept", "reject", "notify-granted")}
"""They work with a telephone service or Google only, take long or leave something at work, and have tests of their own."""

BAD: dict[tuple[str, ...], tuple[list[str], int]] = {
    ("init",): (["--email", "nobody"], 2),
    ("demo",): (["--keep", "/"], 2),
    ("submit",): (["nobody", "."], 2),
    ("list",): (["--limit", "0"], 2),
    ("pending",): (["--bogus"], 2),
    ("show",): (["nothing"], 2),
    ("review",): (["nothing"], 2),
    ("diff",): (["nothing"], 2),
    ("approve",): (["nothing"], 2),
    ("reject",): (["nothing"], 2),
    ("cancel",): (["nothing"], 2),
    ("run-approved",): (["--timeout", "0"], 2),
    ("schedule", "install"): (["--every", "soon"], 2),
    ("start",): (["sync"], 2),
    ("stop",): (["sync"], 2),
    ("restart",): (["sync"], 2),
    ("why",): (["nothing"], 2),
    ("report",): (["--public"], 2),
    ("logs",): (["nothing"], 2),
    ("output",): (["nothing"], 2),
    ("wait",): (["nothing"], 2),
    ("rerun",): (["nothing"], 2),
    ("release",): (["nothing"], 2),
    ("withhold",): (["nothing"], 2),
    ("share",): (["nothing"], 2),
    ("outbox", "list"): (["--state", "lost"], 2),
    ("outbox", "show"): (["nothing"], 2),
    ("outbox", "retry"): ([], 2),
    ("outbox", "drop"): (["nothing"], 2),
    ("send",): (["hello", "--channel", "nowhere"], 78),
    ("call",): (["hello"], 78),
    ("sms",): (["hello", "--to", "+15550123123"], 78),
    ("exec",): (["--level-ok", "loud", "true"], 2),
    ("channels",): (["--test", "nowhere"], 78),
    ("template", "show"): (["nothing"], 2),
    ("template", "preview"): ([], 2),
    ("template", "eject"): (["nothing"], 2),
    ("peers", "list"): (["--state", "lost"], 2),
    ("peers", "show"): (["nothing"], 2),
    ("peers", "notify-granted"): (["nothing"], 2),
    ("auth", "google"): (["--no-browser"], 78),
    ("auth", "revoke"): (["--yes"], 77),
    ("metrics",): (["--textfile", "/nowhere/scq.prom"], 2),
    ("cleanup",): (["--older-than", "soon"], 2),
    ("reset",): ([], 2),
    ("audit", "verify"): (["--key", "x"], 2),
    ("audit", "export"): (["--to", "/nowhere/x"], 2),
    ("config", "get"): (["no.such.key"], 2),
    ("config", "set"): (["job_timeout", "soon"], 2),
}


def said(*arguments: str, by: Callable[[list[str]], int] = app.call) -> Answer:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = by(list(arguments))
    return Answer(code, out.getvalue(), err.getvalue())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def words(world: World) -> dict[str, str]:
    """A waiting and a finished job, and something to submit."""
    found = {"DONE": world.ended("done"), "WAITING": world.submit("waiting")}
    return found | {"SOURCE": str(world.folder / "code" / "1")}


class TestHelp:
    @pytest.mark.parametrize("verb", [*VERBS, *((group,) for group in GROUPS)], ids=" ".join)
    def test_every_verb_explains_itself(self, verb: tuple[str, ...]) -> None:
        answer = said(*verb, "--help")
        assert (answer.code, answer.err) == (0, "")
        assert f"scq {' '.join(verb)}" in answer.out
        if verb in VERBS:
            assert all(option in answer.out for option in ("--json", "--quiet", "--verbose"))

    def test_the_overview_lists_every_verb_and_loads_none(self) -> None:
        answer = said("-h")
        assert all(f"  {verb} " in answer.out and help_line[:20] in answer.out for verb, (_, help_line) in app.VERBS.items())

    def test_no_words_are_answered_with_the_overview(self) -> None:
        answer = said()
        assert (answer.code, answer.out) == (2, "")
        assert "Commands:" in answer.err
        assert "Commands:" in said("config").err

    def test_the_version_is_printed_in_every_way(self) -> None:
        from scq import __version__

        assert said("--version").out == f"scq {__version__}\n"
        ended = subprocess.run([sys.executable, "-m", "scq", "--version"], capture_output=True, text=True, check=True)
        assert ended.stdout == f"scq {__version__}\n"


class TestDocuments:
    def test_every_verb_is_listed_here(self) -> None:
        assert {*GOOD, *ELSEWHERE} == set(VERBS)
        assert {*BAD} <= set(VERBS)

    @pytest.mark.parametrize("verb", list(GOOD), ids=" ".join)
    def test_every_verb_answers_programs_with_one_document(
        self, world: World, words: dict[str, str], verb: tuple[str, ...]
    ) -> None:
        person = world.scientist if verb == ("submit",) else world.owner
        if "MESSAGE" in GOOD[verb]:
            words["MESSAGE"] = _a_message(world)
        # Behind the name of a command its own options would begin.
        answer = person.scq(*verb, "--json", *(words.get(word, word) for word in GOOD[verb]), code=None)
        assert answer.out.count("\n") == 1
        document = answer.json
        assert set(document) == {"scq", "command", "ok", "exit_code", "data", "problems", "errors"}
        assert (document["scq"], document["command"].split(" ")[0], document["exit_code"]) == (1, verb[0], answer.code)
        if verb != ("doctor",):
            assert (answer.code, document["ok"]) == (0, True)

    @pytest.mark.parametrize("verb", list(BAD), ids=" ".join)
    def test_every_failure_is_a_document_too(self, world: World, verb: tuple[str, ...]) -> None:
        world.submit()
        arguments, code = BAD[verb]
        document = world.owner.scq(*verb, "--json", *arguments, code=code).json
        assert (document["ok"], document["command"].split(" ")[0], document["exit_code"]) == (False, verb[0], code)
        assert document["errors"]
        assert document["errors"][0]

    @pytest.mark.parametrize("verb", list(BAD), ids=" ".join)
    def test_every_failure_is_a_line_and_an_advice_for_people(self, world: World, verb: tuple[str, ...]) -> None:
        world.submit()
        arguments, code = BAD[verb]
        answer = world.owner.scq(*verb, "-q", *arguments, code=code)
        assert answer.out == ""
        assert answer.err.startswith("scq: ")

    def test_quiet_says_nothing_when_all_is_well(self, world: World, words: dict[str, str]) -> None:
        for verb in (["list"], ["show", words["DONE"]], ["status"], ["check"]):
            answer = world.owner.scq(*verb, "-q")
            assert (answer.out, answer.err) == ("", "")

    def test_verbose_says_what_is_used(self, world: World) -> None:
        answer = world.owner.scq("list", "-v")
        assert f"home {world.owner.home}\n" in answer.err
        assert f"root {world.root}\nemail {OWNER}\n" in answer.err
        assert "home" not in world.owner.scq("list").err


class TestExitCodes:
    """0, 1, 2, 3, 4, 5, 75, 78 through the verbs; 70 and 130 in test_session."""

    def test_configuration_that_cannot_be_used_is_78(self, world: World) -> None:
        world.owner.configure("job_timeout: soon\nmax_concurrent_jobs: -1\n")
        answer = world.owner.scq("check", "--json", code=78).json
        assert "job_timeout" in answer["errors"][0]
        assert "max_concurrent_jobs" in answer["errors"][0]
        assert world.owner.scq("check", code=78).err.count("\n") >= 3, "every problem has a line of its own"

    def test_a_tolerant_verb_works_with_a_broken_configuration(self, world: World) -> None:
        world.owner.configure("job_timeout: soon\n")
        world.owner.scq("config", "path")
        world.owner.scq("config", "show")

    def test_a_stored_state_that_cannot_be_used_is_78(self, world: World) -> None:
        (world.owner.home / "state.json").write_text("{")
        assert "cannot be used" in world.owner.scq("list", code=78).err

    @pytest.mark.parametrize("typo", ["aprove", "pendng", "run_approved"])
    def test_an_unknown_verb_names_the_nearest(self, typo: str) -> None:
        answer = said(typo)
        assert answer.code == 2
        assert f"No such command '{typo}'. Did you mean " in answer.err

    def test_an_unknown_verb_like_no_other_is_just_unknown(self) -> None:
        assert said("xyzzy").err == "scq: No such command 'xyzzy'\n     scq --help shows how it is called.\n"
        assert "\x1b" not in said("\x1b[31m").err

    def test_missing_words_and_unknown_options_are_wrong_usage(self) -> None:
        assert "Missing argument 'ID'" in said("show").err
        assert "No such option: --bogus" in said("list", "--bogus").err
        assert said("--lock-timeout", "soon", "list").code == 2

    def test_a_verb_that_gives_up_is_interrupted_and_one_that_just_returns_is_done(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import typer

        def gives_up() -> None:
            raise typer.Abort

        monkeypatch.setattr("scq.cli.read.list_", gives_up)
        assert world.owner.scq("list", code=130).err == "interrupted\n"
        monkeypatch.setattr("scq.cli.read.list_", lambda: None)
        assert world.owner.scq("list").out == ""


class TestGlobalOptions:
    def settings(self, *arguments: str) -> dict[str, Any]:
        return said(*arguments, "status", "--json").json["data"]  # type: ignore[no-any-return]

    def test_options_win_over_the_environment_and_that_over_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("one", "two", "three"):
            (tmp_path / name).mkdir()
        config = tmp_path / "config.yaml"
        config.write_text(f"email: file@example.org\nsyftbox_root: {tmp_path / 'one'}\n")
        monkeypatch.setenv("SCQ_CONFIG", str(config))
        found = self.settings()
        assert (found["email"], found["root"]) == ("file@example.org", str(tmp_path / "one"))
        monkeypatch.setenv("SCQ_EMAIL", "env@example.org")
        monkeypatch.setenv("SCQ_ROOT", str(tmp_path / "two"))
        monkeypatch.setenv("SCQ_HOME", str(tmp_path / "home"))
        found = self.settings()
        assert (found["email"], found["root"], found["home"]) == (
            "env@example.org",
            str(tmp_path / "two"),
            str(tmp_path / "home"),
        )
        found = self.settings("--email", "option@example.org", "--root", str(tmp_path / "three"), "--home", str(tmp_path / "h"))
        assert (found["email"], found["root"], found["home"]) == (
            "option@example.org",
            str(tmp_path / "three"),
            str(tmp_path / "h"),
        )

    def test_the_home_is_usually_below_the_own_one(self, no_real_home: Path) -> None:
        assert self.settings()["home"].startswith(str(no_real_home))

    def test_a_configuration_elsewhere_is_used(self, tmp_path: Path) -> None:
        (tmp_path / "other.yaml").write_text("email: other@example.org\n")
        assert self.settings("--config", str(tmp_path / "other.yaml"))["email"] == "other@example.org"

    def test_a_lock_is_waited_for_as_long_as_told(self, world: World) -> None:
        from scq.store import exclusive

        world.submit()
        with exclusive(str(world.owner.home / "locks" / "store.lock"), 0):
            assert (
                "another scq call holds"
                in world.owner.scq("--lock-timeout", "0", "approve", "count", "--json", code=75).json["errors"][0]
            )


class TestCompletion:
    def complete(self, words: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "_SCQ_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        return subprocess.run([sys.executable, "-m", "scq"], env=environment | more, capture_output=True, text=True, check=False)

    def test_the_shell_script_can_be_shown(self) -> None:
        answer = subprocess.run(
            [sys.executable, "-m", "scq", "--show-completion", "bash"],
            env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        assert "_SCQ_COMPLETE=complete_bash" in answer.stdout
        subprocess.run(["bash", "-n"], input=answer.stdout, text=True, check=True)

    @pytest.mark.parametrize(
        ("words", "proposals"),
        [
            ("scq pen", ["pending"]),
            ("scq re", ["review", "reject", "restart", "report", "rerun", "release", "reset"]),
            ("scq config va", ["validate"]),
        ],
    )
    def test_verbs_are_completed(self, words: str, proposals: list[str]) -> None:
        assert self.complete(words).stdout.split() == proposals

    def test_options_are_completed_and_nonsense_is_no_failure(self) -> None:
        assert "--status" in self.complete("scq list --st").stdout.split()
        answer = self.complete("scq bogus --x")
        assert (answer.returncode, answer.stderr) == (0, "")


class TestShortcut:
    """What schedulers call is read without typer, and means the same."""

    @pytest.mark.parametrize(
        "call",
        [
            ["check", "--dry-run"],
            ["list", "--for-me"],
            ["pending", "--exit-code", "--json"],
            ["status", "-q"],
            ["notify", "--dry-run", "--json"],
            ["run-approved", "--dry-run", "--json"],
            ["list", "--mine", "--bogus"],
            ["show", "WAITING"],
            ["--bogus"],
        ],
    )
    def test_both_ways_say_the_same(self, world: World, words: dict[str, str], call: list[str]) -> None:
        place = ["--home", str(world.owner.home), "--root", str(world.root), "--email", OWNER]
        arguments = [*place, *(words.get(word, word) for word in call)]
        quick, full = said(*arguments, by=shortcut.call), said(*arguments, by=app.call)
        assert (quick.code, _without_ages(quick.out), quick.err) == (full.code, _without_ages(full.out), full.err)

    @pytest.mark.parametrize(
        "call",
        [
            [],
            ["list", "--status", "pending"],
            ["--json", "list"],
            ["show", "x"],
            ["--home"],
            ["--home", "--root", "list"],
            ["-h"],
        ],
    )
    def test_anything_else_is_left_to_typer(self, call: list[str]) -> None:
        assert shortcut.understand(call) is None

    def test_what_it_understands_is_what_typer_knows(self) -> None:
        for verb, flags in shortcut.VERBS.items():
            shown = said(verb, "--help").out
            assert all(flag in shown for flag in flags), verb

    def test_the_program_takes_the_short_way(self, tmp_path: Path) -> None:
        program = "import sys; from scq.__main__ import main\ntry: main()\nexcept SystemExit: print('typer' in sys.modules)"
        ended = subprocess.run(
            [sys.executable, "-c", program, "--home", str(tmp_path), "--root", str(tmp_path), "--email", SCIENTIST, "list"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert ended.stdout == "False\n"


def _a_message(world: World) -> str:
    """The key of a message that waits."""
    world.owner.scq("check")
    key: str = world.owner.scq("outbox", "list", "--json").json["data"]["messages"][-1]["key"]
    return key


def _without_ages(text: str) -> object:
    """Leave out what moves with the clock."""
    if not text.startswith("{"):
        return text
    document = json.loads(text)
    for job in document["data"].get("jobs", ()):
        job.pop("first_seen_at")
    for message in document["data"].get("messages", ()):
        message.pop("key")
        message.pop("created_at")
    return document
