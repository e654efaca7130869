"""`scq demo`: one job from submission to answer on a temporary SyftBox, played in ten steps by two people.

Every line with `$` is a real call, made as it is shown; of long output only the part that matters is shown.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from scq.errors import ScqError, UsageError
from scq.report import Report

OWNER = "owner@example.org"
SCIENTIST = "scientist@example.com"
SHOWN_AT = "/data"
"""Where the box shows the patients."""
PATIENTS = "id,age\n1,34\n2,38\n3,41\n4,57\n5,52\n6,33\n"
ANALYSIS = """\
#!/bin/bash
set -euo pipefail
mkdir -p outputs
tail -n +2 PATIENTS/patients.csv | cut -d, -f2 > ages.tmp
echo "patients: $(wc -l < ages.tmp)"
awk '{ n[int($1 / 10)]++ } END { for (d in n) print d "0s," n[d] }' ages.tmp | sort > outputs/ages.csv
rm ages.tmp
[ -w PATIENTS/patients.csv ] || echo "the data can be read here, not changed"
"""
LONGEST_LINE = 110
"""Characters of a line that are shown."""
COLOURS = {"title": "1", "command": "36", "warning": "33"}
"""Parameters of ECMA-48 SGR: bold, cyan, yellow."""
PRIVATE = ("SCQ_", "SYFTBOX_", "SYFT_")
"""Variables of the caller's own queue, which the demo must not touch."""

Shown = Sequence[tuple[str, int]]


class Call(Struct, frozen=True):
    """One command line of one person. Words in braces are filled in.

    Of its output `shown` lines are shown: from the first line that begins so, so many.
    """

    person: str
    line: str
    shown: Shown = (("", 6),)
    expected: int = 0
    """Its exit code."""


class Step(Struct, frozen=True):
    """One step of the story: what happens and why it matters, and the calls it is made of."""

    title: str
    text: str
    calls: tuple[Call, ...]
    mailbox: bool = False
    """Look into the mailbox at the end."""


STORY = (
    Step(
        "Look",
        "The owner sets up a queue. One call looks once and ends; nothing is new, so it says nothing.",
        (Call(OWNER, "scq init --email {owner} --root {root}", (("owner: ", 2),)), Call(OWNER, "scq check")),
    ),
    Step(
        "Submit",
        "A data scientist sends code. It waits: nothing runs because it was sent.",
        (
            Call(SCIENTIST, "scq init --email {scientist} --root {root}", (("", 0),)),
            Call(SCIENTIST, "scq submit {owner} {code} --name 'Age groups' --description 'patients per decade'"),
        ),
    ),
    Step(
        "Review",
        "The owner reads all that can execute; hints say where to look first and decide nothing.",
        (
            Call(OWNER, "scq pending"),
            Call(OWNER, "scq review 'Age groups'", (("      digest", 1), ("── to look at", 2), ("── code/run.sh", 9))),
        ),
    ),
    Step(
        "Approve",
        "The approval is for exactly the content that was read: it names its digest.",
        (Call(OWNER, "scq approve 'Age groups' -r 'counts only'"),),
    ),
    Step(
        "Change it after the approval",
        "Now the code is changed to copy the patients. It is refused, and the change can be seen.",
        (
            Call(SCIENTIST, "echo 'cp {data}/patients.csv outputs/' >> {sent}"),
            Call(OWNER, "scq run-approved", expected=5),
            Call(OWNER, "scq diff 'Age groups'", (("+cp", 1),)),
        ),
    ),
    Step(
        "Run",
        "The change is undone. What was approved runs, {box}.",
        (Call(SCIENTIST, "cp {code}/run.sh {sent}"), Call(OWNER, "scq run-approved --stream")),
    ),
    Step(
        "Hold the results",
        "What the job wrote lies outside the SyftBox folder. The owner looks before anything leaves.",
        (
            Call(SCIENTIST, "scq output 'Age groups'"),
            Call(OWNER, "scq output 'Age groups' --preview"),
        ),
    ),
    Step(
        "Release",
        "Only what the owner releases goes back; the scientist has it now.",
        (
            Call(OWNER, "scq release 'Age groups' -r 'numbers of patients only'"),
            Call(SCIENTIST, "scq output 'Age groups' --copy-to {results}"),
            Call(SCIENTIST, "cat {results}/ages.csv"),
        ),
    ),
    Step(
        "Tell",
        "Both are told what happened; without any setting messages go into a mailbox folder.",
        (Call(OWNER, "scq notify"),),
        mailbox=True,
    ),
    Step(
        "Who did what",
        "Every decision and every run is a line in a log that shows when it was changed.",
        (Call(OWNER, "scq audit show"), Call(OWNER, "scq audit verify")),
    ),
)


def run(*, keep: str = "", say: Callable[[str], None], colours: bool = False) -> Report:
    """Play the story; `say` gets its text as it happens. Raises ScqError when a step does not end as it must, and
    UsageError when `keep` cannot be used.

    Everything lies below one folder: `keep`, which must not exist yet, or a temporary one that is removed at the end.
    """
    if keep:
        folder = os.path.abspath(os.path.expanduser(keep))
        if os.path.lexists(folder):
            raise UsageError(f"{folder} exists already", "Name a new folder.")
        os.makedirs(folder)
        return _play(_Scene(folder, say, colours=colours), kept=True)
    with tempfile.TemporaryDirectory(prefix="scq-demo-") as folder:
        return _play(_Scene(folder, say, colours=colours), kept=False)


def _play(scene: _Scene, *, kept: bool) -> Report:
    scene.prepare()
    steps = [scene.play(number, step) for number, step in enumerate(STORY, 1)]
    data: dict[str, Any] = {"folder": scene.folder, "mails": scene.mails(), "sandbox": scene.sandbox, "steps": steps}
    people = {person: scene.variables(person) for person in (OWNER, SCIENTIST)} if kept else {}
    if kept:
        data["people"] = people
    return Report("demo", data, tuple(_next(scene.folder, people)))


def _next(folder: str, people: Mapping[str, Mapping[str, str]]) -> list[str]:
    """What to do after the demo."""
    lines = ["", "That was the whole job: read, approved, run, looked at, released, told, written down.", ""]
    if people:
        lines += [f"Everything is in {folder}. To play on, in one terminal for each person:"]
        lines += [f"  export {_assignments(words)}    # {_short(person)}" for person, words in people.items()]
        lines += ["  scq status"]
    else:
        lines += ["To play on with it:  scq demo --keep DIR"]
    return [
        *lines,
        "Your own queue:      scq init --email YOU@EXAMPLE.ORG --root ~/SyftBox, then scq doctor",
        "Hands free:          scq schedule install",
    ]


def _assignments(words: Mapping[str, str]) -> str:
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in words.items())


class _Scene:
    """Two people on one machine, each with a home of their own."""

    def __init__(self, folder: str, say: Callable[[str], None], *, colours: bool = False) -> None:
        self.folder = folder
        self.root = os.path.join(folder, "SyftBox")
        self.say = say
        self.colours = colours
        self.sandbox = "bwrap"
        self.words = {
            "owner": OWNER,
            "scientist": SCIENTIST,
            "root": shlex.quote(self.root),
            "code": shlex.quote(os.path.join(folder, "age_groups")),
            "results": shlex.quote(os.path.join(folder, "results")),
        }
        """What the words in braces stand for."""

    def prepare(self) -> None:
        """Make the folders, the private data and the code. Where no sandbox can be had, the demo says so and goes on without."""
        from scq import sandbox

        os.chmod(self.folder, 0o755)  # noqa: S103 - a job that runs as another user must reach its copy
        for person in (OWNER, SCIENTIST):
            os.makedirs(os.path.join(self.root, person))
        patients = os.path.join(self.folder, "patients")
        findings = sandbox.get("bwrap").check()
        self.sandbox = "none" if findings else "bwrap"
        self.words["data"] = shlex.quote(patients) if findings else SHOWN_AT
        self.words["box"] = "here without a sandbox" if findings else "in a box: no network, no home, data read-only"
        _write(os.path.join(patients, "patients.csv"), PATIENTS)
        _write(os.path.join(self.folder, "age_groups", "run.sh"), ANALYSIS.replace("PATIENTS", self.words["data"]))
        settings = f"data:\n  - path: {_yaml(patients)}\n    at: {SHOWN_AT}\n" + ("sandbox: none\n" if findings else "")
        _write(os.path.join(self._home(OWNER), "config.yaml"), settings, mode=0o700)
        self.say(f"Two people share the SyftBox folder {self.root}.")
        self.say(f"The owner's config.yaml lets jobs read {patients} as {SHOWN_AT}.")
        if findings:
            advice = f" {findings[0].advice}" if findings[0].advice else ""
            self.say(self._painted("warning", f"! No sandbox on this machine: {findings[0].what}.{advice}"))
            self.say(self._painted("warning", "! The demo goes on without one; scq itself refuses to run jobs then."))

    def play(self, number: int, step: Step) -> dict[str, Any]:
        """One step, told while it happens; what it was, as JSON types. Raises ScqError."""
        text = step.text.format_map(self.words)
        self.say("\n" + self._painted("title", f"{number}/{len(STORY)}  {step.title}"))
        self.say(f"      {text}")
        calls = [self._call(call) for call in step.calls]
        if step.mailbox:
            mails = self.mails()
            self.say(f"  {len(mails)} messages lie in the mailbox:")
            for mail in mails:
                self.say(f"    {mail}")
        return {"number": number, "title": step.title, "text": text, "calls": calls}

    def _call(self, call: Call) -> dict[str, Any]:
        """Make one call, shown as it is typed. Raises ScqError when it does not end as expected."""
        import subprocess

        line = call.line.format_map(self.words)
        self.say(f"  {_short(call.person)}$ {self._painted('command', line)}")
        words = shlex.split(line)
        argv = [sys.executable, "-m", "scq", *words[1:]] if words[0] == "scq" else ["/bin/sh", "-c", line]
        own = {name: value for name, value in os.environ.items() if not name.startswith(PRIVATE)}
        ended = subprocess.run(
            argv,
            env={**own, **self.variables(call.person)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        right = ended.returncode == call.expected
        for text in _excerpt(ended.stdout, call.shown if right else (("", 1000),)):
            self.say(f"    {text}")
        if not right:
            raise ScqError(f"{line} ended with exit code {ended.returncode}", "See what it said above.")
        if call.expected:
            self.say(self._painted("warning", f"    exit code {call.expected}"))
        if words[1] == "submit":
            self.words["sent"] = f'"$SCQ_ROOT/{_sent(self.root)}"'
        return {"by": call.person, "command": line, "exit_code": ended.returncode}

    def variables(self, person: str) -> dict[str, str]:
        """What makes a shell this person's."""
        return {"SCQ_HOME": self._home(person), "SCQ_ROOT": self.root, "SCQ_EMAIL": person}

    def mails(self) -> list[str]:
        """What lies in the owner's mailbox, as `recipient: subject`."""
        import mailbox

        box = mailbox.Maildir(os.path.join(self._home(OWNER), "mailbox"), create=False)
        return sorted(f"{mail['To']}: {mail['Subject']}" for mail in box)

    def _home(self, person: str) -> str:
        return os.path.join(self.folder, "home-" + _short(person))

    def _painted(self, kind: str, text: str) -> str:
        return f"\x1b[{COLOURS[kind]}m{text}\x1b[0m" if self.colours else text


def _short(person: str) -> str:
    return person.split("@")[0]


def _write(path: str, text: str, mode: int = 0o755) -> None:
    os.makedirs(os.path.dirname(path), mode)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _yaml(text: str) -> str:
    """A text as a value of YAML, which takes every JSON string."""
    import json

    return json.dumps(text)


def _sent(root: str) -> str:
    """Where the script of the job lies, relative to the SyftBox folder."""
    found = next(os.path.join(at, "run.sh") for at, _, files in os.walk(root) if at.endswith("/code") and "run.sh" in files)
    return os.path.relpath(found, root)


def _excerpt(output: str, shown: Shown) -> list[str]:
    """The lines of an output that are shown; `…` stands for lines left out."""
    lines = output.rstrip().splitlines()
    wanted: set[int] = set()
    for beginning, count in shown:
        first = next((number for number, line in enumerate(lines) if line.startswith(beginning)), 0)
        wanted |= set(range(first, min(first + count, len(lines))))
    picked: list[str] = []
    for number, line in enumerate(lines):
        if number in wanted:
            picked.append(line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…")
        elif not picked or picked[-1] != "…":
            picked.append("…")
    return picked
