"""docs/moving.md names everything that the five documents name, and what it says to use here is there and takes those words."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import scq
from scq import alerts
from scq.telling import environment
from tests.packaging.older_names import NAMED
from tests.packaging.test_documented_commands import leaf
from tests.people import OWNER, Person, World

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "moving.md"
SPAN = re.compile(r"`([^`]+)`")
PRINTED = "What is printed"
INSTANCES = {
    "client": "QueueClient",
    "job": "CodeJob",
    "jobs": "JobCollection",
    "runner": "SyftJobRunner",
    "auth": "GmailAuth",
    "sender": "GmailSender",
    "renderer": "TemplateRenderer",
    "state": "JsonStateManager",
    "monitor": "JobMonitor",
    "peers": "PeerMonitor",
    "daemon": "DaemonManager",
    "services": "ServiceManager",
}
"""The objects of the column *Here*, by the name they have there."""


class Row(SimpleNamespace):
    """One row: `section`, `there`, `here`, `note`; the spans of code of `here` are what is checked."""

    section: str
    there: str
    here: str
    note: str

    @property
    def spans(self) -> list[str]:
        return SPAN.findall(self.here)


def rows() -> Iterator[Row]:
    section = ""
    for line in DOCUMENT.read_text("utf-8").splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ")
        elif line.startswith("| ") and not line.startswith(("| There", "| Status there", "| ---")):
            there, here, note = (cell.strip() for cell in line.strip("|").split(" | ", 2))
            yield Row(section=section, there=there, here=here, note=note.strip("| "))


ROWS = list(rows())
STATUSES = ("pending", "approved", "running", "completed", "failed", "rejected")
CHANNELS = ("desktop", "slack", "webhook", "email", "audio", "emacs", "twilio", "matplotlib", "playwright")
KINDS: dict[str, Callable[[str], bool]] = {
    "command": lambda span: span.startswith("scq "),
    "tool": lambda span: span.startswith(("pip ", "make ")),
    "import": lambda span: span.startswith(("import ", "from ")),
    "file of a job": lambda span: span.startswith("<job>/"),
    "file of a home": lambda span: span.startswith("$SCQ_HOME/"),
    "variable": lambda span: re.fullmatch(r"[A-Z]+_[A-Z_]+|PYTHONUNBUFFERED", span) is not None,
    "python": lambda span: re.match(rf"(q|alerts|{'|'.join(INSTANCES)})\.[A-Za-z_]", span) is not None,
    "word": lambda span: span in STATUSES + CHANNELS,
    "file": lambda span: re.fullmatch(r"[A-Za-z_./]+", span) is not None and (ROOT / span).is_file(),
    "setting": lambda span: re.fullmatch(r"[a-z_.]+(: .+)?", span) is not None,
}


def kind_of(span: str) -> str:
    """The first kind that a span of code is; empty when nobody would check it."""
    return next((name for name, fits in KINDS.items() if fits(span)), "")


def spans(kind: str) -> list[str]:
    """Every span of a kind in the column *Here*, once."""
    found = [span for row in ROWS if row.section != PRINTED for span in row.spans if kind_of(span) == kind]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("document", NAMED)
def test_no_name_of_the_documents_is_forgotten(document: str) -> None:
    said = " ".join(row.there for row in ROWS)
    assert [name for name in NAMED[document].split() if not is_named(name, said)] == []


def is_named(name: str, text: str) -> bool:
    """True when a name stands alone somewhere in a text, as it is or with blanks for `_`."""
    return any(re.search(rf"(?<![A-Za-z]){re.escape(form)}(?![a-z])", text) for form in (name, name.replace("_", " ")))


def test_a_name_that_is_only_part_of_another_is_not_named() -> None:
    assert is_named("scq_list", "`scq list`")
    assert not is_named("approve", "`approved`")
    assert not is_named("run", "`create_runner`")


def test_every_row_says_what_to_use_and_all_of_it_is_checked() -> None:
    assert len(ROWS) > 200
    assert [row.there for row in ROWS if not row.spans] == []
    unchecked = [(row.there, span) for row in ROWS if row.section != PRINTED for span in row.spans if not kind_of(span)]
    assert unchecked == []
    assert [kind for kind in KINDS if not spans(kind)] == []


class TestOfPython:
    def test_the_imports_are_there(self) -> None:
        for statement in spans("import"):
            exec(statement, {})

    def test_the_names_are_there_and_take_these_arguments(self) -> None:
        wrong = {span: said for span in spans("python") if (said := complaint(span))}
        assert wrong == {}

    def test_a_wrong_name_or_argument_would_be_noticed(self) -> None:
        assert "no attribute" in complaint("q.submit_jobs(target_email)")
        assert "no attribute" in complaint("job.nope")
        assert "is called reason" in complaint("q.approve(uid, why)")
        assert "missing" in complaint("q.submit_job(target_email)")
        assert "unexpected" in complaint("runner.run(once=True)")

    def test_the_settings_of_alerts_are_kept(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SCQ_HOME", str(world.second.home))
        alerts.config(slack_webhook="https://hooks.slack.com/services/x")
        alerts.config(email_to="ana@uni.example", email_from="lab@uni.example", smtp_host="smtp.uni.example")
        found = {row["name"]: row for row in alerts.list_backends()}
        assert found["slack"]["configured"]
        assert found["email"]["configured"]
        assert set(spans("word")) - set(STATUSES) <= set(found)
        assert [name for name in ("matplotlib", "playwright") if found[name]["available"]] == []


def complaint(span: str) -> str:
    """What is wrong with a Python expression of the document; empty when it is as the code is."""
    parsed = ast.parse(span, mode="eval").body
    call = parsed if isinstance(parsed, ast.Call) else None
    try:
        found, owner = resolved(call.func if call else parsed)
        return unfit(call, found, owner) if call else ""
    except (AttributeError, TypeError) as error:
        return str(error)


def resolved(node: ast.expr) -> tuple[Any, str]:
    """The object that an expression names, and the name of the instance it would be taken from, else an empty text."""
    assert isinstance(node, ast.Attribute), ast.dump(node)
    if isinstance(node.value, ast.Name):
        name = node.value.id
        owner = {"q": scq, "alerts": alerts}.get(name) or getattr(scq, INSTANCES[name])
        return getattr(owner, node.attr), name if name in INSTANCES else ""
    return getattr(resolved(node.value)[0], node.attr), ""


def unfit(call: ast.Call, found: Any, owner: str) -> str:
    """Why a call does not fit a signature: names that stand in a place are those of the parameters there."""
    signature = inspect.signature(found)
    parameters = list(signature.parameters.values())[1 if owner else 0 :]
    signature.replace(parameters=parameters).bind(*[None] * len(call.args), **{str(word.arg): None for word in call.keywords})
    for given, parameter in zip(call.args, parameters, strict=False):
        if isinstance(given, ast.Name) and given.id != parameter.name:
            return f"{given.id} is called {parameter.name}"
    return ""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("moving"))


@pytest.fixture(scope="module")
def finished(world: World) -> str:
    """A job that ran and waits for an answer."""
    return world.ended("finished", RESULTS)


NOT_RUN = (
    *("scq auth", "scq start", "scq stop", "scq check --fetch", "scq peers", "scq logs notify --follow", "scq automate"),
    "scq schedule install --syftbox",
)
"""Commands that need Google, a client or a program of the owner, start a process that stays, or end only when interrupted."""
RESULTS = "mkdir -p outputs\necho 1 > outputs/a.csv\necho hello\n"


class TestOfCommands:
    @pytest.mark.parametrize("line", [line for line in spans("command") if line.startswith(NOT_RUN)])
    def test_scq_takes_it(self, line: str) -> None:
        leaf(shlex.split(line)[1:])

    @pytest.mark.parametrize("line", [line for line in spans("command") if not line.startswith(NOT_RUN)])
    def test_it_does_what_it_is_for(self, line: str, world: World, finished: str, tmp_path: Path) -> None:
        verb, *rest = shlex.split(line)[1:]
        waiting = verb in ("review", "approve", "reject")
        uid = world.submit(tmp_path.name) if waiting else finished
        stands_for = {
            "ID": uid,
            "OWNER": OWNER,
            "SOURCE": str(python(tmp_path / "analysis" / "main.py").parent),
            "FOLDER": str(python(tmp_path / "project" / "main.py").parent),
            "analysis.py": str(python(tmp_path / "analysis.py")),
            "FILE": str(tmp_path / "report.html"),
            "TEXT": "hello",
            "sha256:0": str(world.owner.job(uid)["digest"]),
        }
        names = ["--name", tmp_path.name] if verb == "submit" else []
        person = world.scientist if verb == "submit" else world.owner
        person.scq(*[stands_for.get(word, word) for word in (verb, *rest)], *names)


def python(path: Path) -> Path:
    """A Python file to submit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("print(6 * 7)\n")
    return path


@pytest.fixture(scope="module")
def done(world: World) -> tuple[Path, Person]:
    """The folder of a job of the form with marker files, released with its logs, and the home of its owner."""
    uid = world.ended("files", RESULTS, layout="b1")
    assert (world.place(uid) / "stdout.txt").read_text() == "", "logs wait for release"
    world.owner.scq("release", uid, "--logs", "-r", "checked")
    world.owner.configure("sandbox: none\nnobody_knows: this\n")  # a warning, which is in the second log
    world.owner.scq("check")
    return world.place(uid), world.owner


class TestOfFilesAndWords:
    def test_the_files_of_a_job_are_there(self, done: tuple[Path, Person]) -> None:
        folder, _ = done
        assert [span for span in spans("file of a job") if not (folder / span.removeprefix("<job>/")).exists()] == []
        assert "hello" in (folder / "stdout.txt").read_text()

    def test_the_files_of_a_home_are_there(self, done: tuple[Path, Person]) -> None:
        _, owner = done
        missing = [span for span in spans("file of a home") if not (owner.home / span.removeprefix("$SCQ_HOME/")).is_file()]
        assert missing == []

    def test_the_status_words_are_those_of_collections(self) -> None:
        assert set(scq.JobCollection().summary()) - {"total"} == set(STATUSES)
        assert set(STATUSES) <= set(spans("word"))

    def test_the_settings_can_be_written_and_read(self, tmp_path: Path, world: World) -> None:
        person = Person(tmp_path / "settings", world.root, OWNER)
        for span in spans("setting"):
            key, _, value = span.partition(": ")
            if value:
                person.scq("config", "set", key, value)
            person.scq("config", "get", key)

    def test_the_tools_are_those_of_this_repository(self) -> None:
        texts = {"pip": (ROOT / "README.md").read_text("utf-8"), "make": (ROOT / "Makefile").read_text("utf-8")}
        for span in spans("tool"):
            tool, rest = span.split(" ", 1)
            assert (span if tool == "pip" else f"\n{rest}:") in texts[tool]

    def test_what_is_printed_is_printed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        world = World(tmp_path)
        runner = scq.create_runner(world.root, OWNER, 5, home=world.owner.home)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("time.sleep", interrupted)
            runner.run()
        uid = world.submit("count", layout="b1")
        runner.check_for_new_jobs()
        world.owner.scq("approve", uid)
        runner.process_approved_jobs()
        runner.reset_all_jobs()
        said = capsys.readouterr().out
        with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
            warnings.simplefilter("error")
            patch.setenv("SCQ_HOME", str(world.owner.home))
            patch.setenv("SCQ_EMAIL", OWNER)
            with alerts.session("training"):
                pass
        said += str(world.owner.json("template", "preview", "new_peer_request", "peer_request_sent")["previews"])
        said += "".join(path.read_text() for path in (world.owner.home / "mailbox" / "new").iterdir())
        printed = [span for row in ROWS if row.section == PRINTED for span in row.spans]
        assert len(printed) > 10
        assert [span for span in printed if span not in said] == []


def interrupted(seconds: float) -> None:
    raise KeyboardInterrupt


class TestOfVariables:
    def test_each_is_read_or_given_to_jobs(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        uid = world.ended("environment", "env\n")
        in_job = {line.partition("=")[0] for line in world.owner.scq("logs", uid).out.splitlines()}
        unknown = [name for name in spans("variable") if name not in in_job and not self.is_read(name, world, monkeypatch)]
        assert unknown == []

    def is_read(self, name: str, world: World, monkeypatch: pytest.MonkeyPatch) -> bool:
        """True when the variable changes what scq does."""
        if name == "SYFT_DEFAULT_JOB_TIMEOUT_SECONDS":
            monkeypatch.setenv(name, "77")
            return bool(world.scientist.json("config", "get", "job_timeout")["value"] == 77)
        if name.endswith(("DEFAULT_BACKEND", "DEFAULT_CHANNEL")):
            return environment.default({name: "desktop"}) == "desktop"
        if name.endswith(("ENV_SRC", "ENV_FILE")):
            path = world.folder / "variables.src"
            path.write_text("export LAB=1\n")
            return environment.variables({name: str(path)})[0].get("LAB") == "1"
        sender = {} if name in environment.FROM else {environment.FROM[0]: "lab@gmail.com"}
        before = {**sender, **dict.fromkeys(environment.TWILIO[:3], "1")}
        return list(environment.settings({**before, name: "9@gmail.com"})) != list(environment.settings(before))
