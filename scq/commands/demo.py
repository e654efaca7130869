"""`scq demo`: the whole main job on a temporary SyftBox, played by a data scientist and a data owner."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable

from scq.errors import UsageError
from scq.report import Report

OWNER = "owner@example.org"
SCIENTIST = "scientist@example.com"
ANALYSIS = """\
#!/bin/bash
set -euo pipefail
echo "counting patients by age group"
mkdir -p outputs
awk -F, 'NR > 1 { n[int($2 / 10) * 10]++ } END { for (decade in n) print decade "s," n[decade] }' PATIENTS/patients.csv |
    sort > outputs/ages.csv
cat outputs/ages.csv
"""
SHOWN = "/data"
"""Where the box shows the patients."""
ROWS = "id,age\n1,34\n2,38\n3,41\n4,57\n5,52\n6,33\n"


def run(*, keep: str = "", say: Callable[[str], None]) -> Report:
    """Submit, check, review, approve, run, read the results, release them, deliver the messages; each step is a call of its own.

    Everything happens below one folder: `keep`, which must not exist yet, or a temporary one that is removed at the end.
    """
    if keep:
        folder = os.path.abspath(os.path.expanduser(keep))
        if os.path.exists(folder):
            raise UsageError(f"{folder} exists already", "Name a new folder.")
        os.makedirs(folder)
        return _play(folder, say)
    with tempfile.TemporaryDirectory(prefix="scq-demo-") as folder:
        return _play(folder, say)


def _play(folder: str, say: Callable[[str], None]) -> Report:
    os.chmod(folder, 0o755)  # noqa: S103 - a job that runs as another user must reach its copy
    root = os.path.join(folder, "SyftBox")
    for person in (OWNER, SCIENTIST):
        os.makedirs(os.path.join(root, person))
    data, code = os.path.join(folder, "patients"), os.path.join(folder, "age_groups")
    scene = _Scene(folder, root, say)
    scene.choose_sandbox()
    _write(os.path.join(data, "patients.csv"), ROWS)
    shown = data if scene.sandbox == "none" else SHOWN
    _write(os.path.join(code, "run.sh"), ANALYSIS.replace("PATIENTS", shown))
    scene.declare(data)
    scene.call(OWNER, "check")
    scene.call(SCIENTIST, "submit", OWNER, code, "--name", "Age groups", "--description", "how many patients per decade")
    scene.call(OWNER, "check")
    scene.call(OWNER, "review", "Age groups")
    scene.call(OWNER, "approve", "Age groups", "-r", "counts only")
    scene.call(OWNER, "run-approved", "--stream")
    scene.call(OWNER, "output", "Age groups", "--preview")
    scene.call(OWNER, "release", "Age groups", "-r", "numbers of patients only")
    scene.call(OWNER, "notify")
    scene.call(SCIENTIST, "output", "Age groups")
    scene.call(OWNER, "status")
    mails = scene.mails()
    say(f"\n{len(mails)} messages lie in the mailbox:")
    for mail in mails:
        say(f"  {mail}")
    text = "The demo is over: a job was submitted, reviewed, approved and run, and what was released has left."
    return Report("demo", {"folder": folder, "mails": mails, "sandbox": scene.sandbox}, (text,))


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path))
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class _Scene:
    """Two people on one machine, each with a home of their own."""

    def __init__(self, folder: str, root: str, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.root = root
        self.say = say
        self.sandbox = "bwrap"

    def choose_sandbox(self) -> None:
        """The demo must run anywhere: where no sandbox can be had it says so and runs its own harmless script without."""
        from scq import sandbox

        findings = sandbox.get("bwrap").check()
        if findings:
            self.sandbox = "none"
            self.say(f"! no sandbox on this machine: {findings[0].what}. {findings[0].advice}")
            self.say("! the demo goes on without one; scq itself refuses to run jobs then\n")
        self.call(OWNER, "init", "--email", OWNER, "--root", self.root)
        if self.sandbox == "none":
            self.call(OWNER, "config", "set", "sandbox", "none")

    def declare(self, data: str) -> None:
        """Let jobs read a folder with private data."""
        with open(os.path.join(self._home(OWNER), "config.yaml"), "a", encoding="utf-8") as file:
            file.write(f"data:\n  - path: {data}\n    at: {SHOWN}\n")
        self.say(f"owner's config.yaml: jobs may read {data} as {SHOWN}")

    def call(self, person: str, *arguments: str) -> None:
        """One call of scq by one person, shown as it would be typed. Raises UsageError when it fails."""
        import subprocess

        self.say(f"\n{person.split('@')[0]}$ scq {' '.join(_typed(word) for word in arguments)}")
        place = ["--home", self._home(person), "--root", self.root, "--email", person]
        ended = subprocess.run([sys.executable, "-m", "scq", *place, *arguments], stdout=sys.stderr, check=False)
        if ended.returncode:
            raise UsageError(f"scq {arguments[0]} ended with exit code {ended.returncode}", "See what it said above.")

    def mails(self) -> list[str]:
        """Subjects in the owner's mailbox, as `recipient: subject`."""
        import mailbox

        box = mailbox.Maildir(os.path.join(self._home(OWNER), "mailbox"), create=False)
        return sorted(f"{mail['To']}: {mail['Subject']}" for mail in box)

    def _home(self, person: str) -> str:
        return os.path.join(self.folder, "home-" + person.split("@")[0])


def _typed(word: str) -> str:
    import shlex

    return shlex.quote(word)
