"""Every example of the documents and docstrings is executed: Python runs, settings are loaded, JSON is read.

What an example supposes (a job that waits, an account, a function of the reader) is prepared here, by the words it begins with.
"""

from __future__ import annotations

import ast
import doctest
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import scq as q
from scq import config, requested
from scq.commands import wait
from scq.library import monitors
from tests.people import OWNER, SCIENTIST, Person, World, code_folder
from tests.servers.google import google_on_loopback
from tests.servers.http import Answer
from tests.servers.proxy import Internet

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")]
}
BLOCK = re.compile(r"^```(python|yaml|json)\n(.*?)^```", re.S | re.M)
RULES = ("docs/monitoring.md", "groups")
ASKED = ("docs/findings.md", "limits")
"""YAML that is not for config.yaml, by page and first key: rules of Prometheus, what a submission asks for."""
COUNTING = "mkdir -p outputs\necho 3 > outputs/count.txt\necho counted\n"


def blocks(language: str) -> list[tuple[str, int, str]]:
    """(page, its line in the page, text) of every block in a language."""
    return [
        (page, text.count("\n", 0, found.start(2)) + 1, found[2])
        for page, path in sorted(PAGES.items())
        for text in [path.read_text("utf-8")]
        for found in BLOCK.finditer(text)
        if found[1] == language
    ]


PYTHON, YAML, JSON = blocks("python"), blocks("yaml"), blocks("json")


class Stage:
    """Where the examples of one page are executed: a home directory with a SyftBox in it, and the names they have made."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.names: dict[str, Any] = {"__name__": "example", "q": q}
        self.anew("home")

    def anew(self, name: str) -> None:
        """Another home directory; its owner is who calls."""
        self.world = World(self.folder / name)
        self.monkeypatch.setenv("HOME", str(self.world.folder))
        self.monkeypatch.chdir(self.world.folder)
        self.turn(self.world.owner)

    def turn(self, person: Person) -> None:
        """From now on this person calls."""
        for name, value in (("SCQ_HOME", person.home), ("SCQ_ROOT", person.root), ("SCQ_EMAIL", person.email)):
            self.monkeypatch.setenv(name, str(value))

    def run(self, page: str, line: int, code: str) -> None:
        """Execute a block as a notebook would: what stands alone is shown."""
        for statement in ast.parse("\n" * (line - 1) + code).body:
            if isinstance(statement, ast.Expr):
                assert repr(eval(compile(ast.Expression(statement.value), page, "eval"), self.names))
            else:
                exec(compile(ast.Module([statement], []), page, "exec"), self.names)


def a_folder_to_send(stage: Stage) -> None:
    """The caller is a data scientist, and the owner approves and runs while the example waits."""
    code_folder(stage.world.folder / "age_groups", COUNTING)
    stage.turn(stage.world.scientist)

    def meanwhile(seconds: float) -> None:
        stage.world.owner.scq("approve", "Age groups")
        stage.world.owner.scq("run-approved")

    stage.monkeypatch.setattr(wait, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=meanwhile))


def a_job_waits(stage: Stage) -> None:
    """ "Age groups" waits for the decision of the caller."""
    stage.anew("waiting")
    stage.world.submit("Age groups", COUNTING, "--tag", "count")
    stage.names["acceptable"] = bool


def two_jobs_wait(stage: Stage) -> None:
    stage.anew("two")
    stage.world.submit("Age groups", COUNTING, "--tag", "count")
    stage.world.submit("Sizes", COUNTING)


def one_of_two_is_over(stage: Stage) -> None:
    stage.anew("over")
    stage.world.ended("Age groups", COUNTING)
    stage.world.submit("Sizes", COUNTING)


def a_job_is_approved(stage: Stage) -> None:
    stage.anew("approved")
    stage.world.approved("Age groups", COUNTING)


def hours_pass(stage: Stage) -> None:
    """Waiting takes no time, and after each time half an hour is over."""
    clock = [0.0]

    class Passing(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            clock[0] += 1800
            return self.is_set()

    kept = {name: getattr(threading, name) for name in dir(threading)} | {"Event": Passing}
    stage.monkeypatch.setattr(monitors, "threading", SimpleNamespace(**kept))
    stage.monkeypatch.setattr(monitors, "time", SimpleNamespace(monotonic=lambda: clock[0]))


def a_disk_that_is_nearly_full(stage: Stage) -> None:
    told: list[Any] = []
    stage.names |= {"nearly_full": lambda: not told, "sender": SimpleNamespace(send_email=lambda *mail: told.append(mail))}


def google(stage: Stage) -> Iterator[None]:
    """Google on loopback; whoever is asked there agrees."""
    with google_on_loopback(stage.world.folder, stage.monkeypatch) as server:
        stage.monkeypatch.setenv("BROWSER", "here")
        stage.monkeypatch.setattr("webbrowser.open", server.browser)
        server.client_file()
        yield
        assert server.sent


def a_sender(stage: Stage) -> Iterator[None]:
    with google_on_loopback(stage.world.folder, stage.monkeypatch) as server:
        credentials = q.GmailAuth().load_credentials(server.token_file(stage.world.folder / "gmail_token.json"))
        mail = {"to_email": SCIENTIST, "subject": "Hello", "body_text": "text", "body_html": "<p>text</p>"}
        people = {"do_email": OWNER, "ds_email": SCIENTIST, "submitter": SCIENTIST}
        times = {
            "timestamp": None,
            "job_name": "Age groups",
            "job_url": None,
            "duration": 60,
            "results_url": None,
            "peer_url": None,
        }
        stage.names |= {"sender": q.GmailSender(credentials), **mail, **people, **times}
        yield
        assert len(server.sent) == 7


def the_services_of_messages(stage: Stage) -> Iterator[None]:
    """A chat, a telephone and a mailbox; the services answer on loopback."""
    channels = {
        "slack": {"type": "slack", "url": "https://hooks.slack.com/services/T00000000/B00000000/abcdefghijklmnopqrstuvwx"},
        "mailbox": {"type": "file"},
        "twilio": {
            "type": "twilio-call",
            "sid": "AC" + "a1" * 16,
            "token": "b2" * 16,
            "from": "+15550100100",
            "to": ["+15550123123"],
        },
    }
    stage.world.owner.configure(json.dumps({"sandbox": "none", "channels": channels}))
    os.chmod(stage.world.owner.home / "config.yaml", 0o600)
    stage.names["train"] = lambda: None

    def answer(request: Any) -> Answer:
        return Answer(201, {"status": "queued"}) if "Calls" in request.path else Answer(200, "ok")

    with Internet(answer, stage.world.folder, stage.monkeypatch) as net:
        yield
        assert len(net.requests) > 2


def a_home_of_older_software(stage: Stage) -> Iterator[None]:
    """~/.syft-creds with daemon.yaml, and a `scq` whose calls do nothing."""
    creds = stage.world.folder / ".syft-creds"
    creds.mkdir(mode=0o700)
    (creds / "daemon.yaml").write_text(f"do_email: {OWNER}\nsyftbox_root: {stage.world.root}\ninterval: 3600\n")
    program = stage.world.folder / "scq"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    stage.monkeypatch.setattr(sys, "argv", [str(program)])
    stage.monkeypatch.setenv("SCQ_HOME", str(creds))
    yield
    assert not q.DaemonManager(creds / "daemon.yaml").is_running()


BEFORE: dict[tuple[str, str], Callable[[Stage], Iterator[None] | None]] = {
    ("docs/alerts.md", "from scq import alerts"): the_services_of_messages,
    ("docs/gmail.md", "from scq import GmailAuth"): google,
    ("docs/library.md", "import scq as q\n\njob = q.submit_job"): a_folder_to_send,
    ("docs/library.md", 'q.review_job("Age groups")'): a_job_waits,
    ("docs/library.md", "q.pending_for_me  #"): two_jobs_wait,
    ("docs/library.md", "try:\n    q.jobs_for_me()"): one_of_two_is_over,
    ("docs/library.md", "runner = "): a_job_is_approved,
    ("docs/library.md", "monitor = q.JobMonitor"): hours_pass,
    ("docs/library.md", "class DiskMonitor"): a_disk_that_is_nearly_full,
    ("docs/library.md", "sender.notify_new_job"): a_sender,
    ("docs/notebook.md", "import scq as q"): a_job_waits,
    ("docs/scheduling.md", "import scq as q\n\nmanager"): a_home_of_older_software,
}
"""What is prepared before the block of a page that begins with these words; what a preparation checks afterwards comes last."""


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    for name in [name for name in os.environ if name.startswith(("SCITEX_", "SCQ_", "DBUS_", "DISPLAY"))]:
        monkeypatch.delenv(name)
    yield Stage(tmp_path, monkeypatch)
    q.configure(None)


def prepared(stage: Stage, page: str, code: str) -> list[Iterator[None]]:
    """Prepare what a block supposes; what is to be finished after the page."""
    begun = []
    for (name, beginning), prepare in BEFORE.items():
        if page == name and code.startswith(beginning) and (left := prepare(stage)) is not None:
            next(left)
            begun.append(left)
    return begun


@pytest.mark.parametrize("page", sorted({page for page, _, _ in PYTHON}))
def test_the_python_of_a_page_runs_from_top_to_bottom(page: str, stage: Stage) -> None:
    open_ones: list[Iterator[None]] = []
    for name, line, code in PYTHON:
        if name == page:
            open_ones += prepared(stage, page, code)
            stage.run(page, line, code)
    for left in reversed(open_ones):
        assert next(left, "over") == "over"


def test_each_preparation_is_for_one_block() -> None:
    found = {key: sum(page == key[0] and code.startswith(key[1]) for page, _, code in PYTHON) for key in BEFORE}
    assert set(found.values()) == {1}, found


def channels_of(page: str) -> dict[str, Any]:
    """The channels that the examples of a page set up: others name them."""
    found = [yaml.safe_load(text) for name, _, text in YAML if name == page]
    return {name: setting for values in found for name, setting in values.get("channels", {}).items()}


@pytest.mark.parametrize(("page", "line", "text"), YAML, ids=[f"{page}:{line}" for page, line, _ in YAML])
def test_yaml_can_be_used_as_it_is_written(page: str, line: int, text: str, tmp_path: Path) -> None:
    values = yaml.safe_load(text)
    first = (page, next(iter(values)))
    if first == RULES:
        alerts = {rule["alert"]: rule["expr"] for group in values["groups"] for rule in group["rules"]}
        figures = [re.match(r"(?:time\(\) - )?(scq_\w+)", expression) for expression in alerts.values()]
        described = set(re.findall(r"^\| `(scq_\w+)", PAGES[page].read_text("utf-8"), re.M))
        assert {figure and figure[1] for figure in figures} <= described
    elif first == ASKED:
        assert requested.parse(text.encode())[1] == ()
    else:
        whole = values if "channels" in values else {**values, "channels": channels_of(page) or {"mailbox": {"type": "file"}}}
        loaded = config.judge(whole, "config.yaml", {"HOME": str(tmp_path)}, {}, home=str(tmp_path / "home"))
        assert (loaded.errors, loaded.problems) == ((), ())


@pytest.mark.parametrize(("page", "line", "text"), JSON, ids=[f"{page}:{line}" for page, line, _ in JSON])
def test_json_is_json(page: str, line: int, text: str) -> None:
    for document in text.splitlines() if text.startswith("{") and text.count("\n") == text.count("\n{") + 1 else [text]:
        assert json.loads(document)


def docstrings() -> list[doctest.DocTest]:
    """Every docstring with an example in it."""
    files = [path for path in sorted((ROOT / "scq").rglob("*.py")) if ">>> " in path.read_text("utf-8")]
    modules = [import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)) for path in files]
    return [test for module in modules for test in doctest.DocTestFinder(exclude_empty=True).find(module) if test.examples]


@pytest.mark.parametrize("example", docstrings(), ids=lambda test: test.name)
def test_the_examples_of_a_docstring_give_what_they_say(example: doctest.DocTest, stage: Stage) -> None:
    a_job_waits(stage)
    example.globs |= {"q": q}
    said: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert (result.failed, "".join(said)) == (0, "")


def test_the_examples_are_found() -> None:
    assert (len(PYTHON) > 15, len(YAML) > 15, len(JSON) > 2, len(docstrings()) > 3) == (True,) * 4
