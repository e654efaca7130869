"""Programs in place of Slurm's commands: real processes that say what a test wants."""

from __future__ import annotations

from pathlib import Path

from scq.config_values import Slurm
from scq.ports import Entrance, Invocation, Task, Traits

TAG = "scq-0123456789abcdef"


class Bin:
    """A folder of commands. Each one writes its arguments, one per line, to `<name>.args` and does what the test said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.set("scontrol", "echo 'Slurmctld(primary) at host is UP'")
        self.set("sbatch", 'cat > "$0.script"; echo 17')
        self.set("scancel", "true")
        self.queue("")

    def set(self, name: str, script: str) -> None:
        program = self.folder / name
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> "$0.args"\n{script}\n')
        program.chmod(0o755)

    def queue(self, rows: str) -> None:
        (self.folder / "rows").write_text(rows)
        self.set("squeue", f"cat {self.folder}/rows")

    def calls(self, name: str) -> list[str]:
        """All arguments of all calls."""
        path = self.folder / f"{name}.args"
        return path.read_text().splitlines() if path.exists() else []

    def setting(self, **settings: object) -> Slurm:
        known: dict[str, object] = {"bin": str(self.folder), "shared_dir": str(self.folder.parent), "file_delay": 0.0}
        return Slurm(**(known | settings))  # type: ignore[arg-type]


def make_run(home: Path, shared: Path, tag: str = TAG, **settings: object) -> Task:
    """A task whose run folder and private copy are there."""
    directory, work = home / tag, shared / tag / "work"
    directory.mkdir(parents=True)
    work.mkdir(parents=True)
    entrance = Entrance("none", {}, ("true",), str(work), "", {}, (), False, str(work), "run.sh", (), "sha256:00")
    known: dict[str, object] = {"timeout_s": 60.0, "log_limit": 1000, "work": str(work), "entrance": entrance, "traits": Traits()}
    return Task("job", str(directory), Invocation((), {}, "/"), stream=False, **(known | settings))  # type: ignore[arg-type]
