"""What was found of a submission's wishes so far, and how much of it there may be. Pure."""

from __future__ import annotations

from collections.abc import Callable

from scq.clean import line as shown
from scq.errors import DependencyError
from scq.requirements import Asked, Declared, Project, Wanted

MOST = 500
"""Requirements, Pythons, notes and files of one submission, of each."""
DEPTH = 5
"""Projects, and scripts or files that call each other."""
READ_LIMIT = 4 << 20
"""Characters of files that are read, all together."""

Reader = Callable[[str], str | None]
"""Text of a submitted file by its path, None when there is none. Raises DependencyError when it cannot be read."""


class Gathering:
    """Takes in wishes and texts, and raises DependencyError as soon as there are too many."""

    def __init__(self, read: Reader) -> None:
        self.reader = read
        self.texts: dict[str, str | None] = {}
        self.left_to_read = READ_LIMIT
        self.wanted: dict[Wanted, None] = {}
        self.constraints: dict[Wanted, None] = {}
        self.pythons: dict[Asked, None] = {}
        self.projects: dict[Project, None] = {}
        self.notes: dict[str, None] = {}
        self.uv = ""
        self.visited: set[tuple[str, str, bool]] = set()

    def result(self) -> Declared:
        found = (self.wanted, self.constraints, self.pythons, self.projects)
        wanted, constraints, pythons, projects = (tuple(kind) for kind in found)
        return Declared(wanted, constraints, pythons, projects, self.uv, tuple(self.notes)[:20])  # type: ignore[arg-type]

    def note(self, text: str) -> None:
        self.notes[text] = None
        self.check_count()

    def check_count(self) -> None:
        """Raises DependencyError as soon as there is too much of anything."""
        counts = len(self.wanted) + len(self.constraints), len(self.pythons), len(self.notes), len(self.visited)
        if max(counts) > MOST or len(self.projects) > DEPTH:
            raise DependencyError(f"the submission asks for more than {MOST} packages or {DEPTH} projects", "Ask for fewer.")

    def read(self, path: str) -> str | None:
        """Text of a submitted file, read once. Raises DependencyError when all of them together are too long."""
        if path not in self.texts:
            text = self.texts[path] = self.reader(path)
            self.left_to_read -= len(text or "")
            if self.left_to_read < 0:
                what = f"{shown(path, 80)}: with it, scripts and requirements are longer than {READ_LIMIT} characters"
                raise DependencyError(what, "Ask for shorter files.")
        return self.texts[path]
