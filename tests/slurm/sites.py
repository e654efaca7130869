"""Runs on a real cluster, on the level of the executor: handed over by one object, asked for by others."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scq import executors
from scq.config_values import Slurm
from scq.errors import ScqError
from scq.ports import Ending, Executor, Task
from scq.sandbox.bwrap import USUAL_ENVIRONMENT, WORK
from scq.sandbox.scratch import scratch_of
from tests.contract.test_executor_contract import Report, Site
from tests.slurm.cluster import Cluster
from tests.unit.executors.tasks import PATH, make_remote_task

PATIENCE_S = 150.0


class SlurmSite(Site):
    """Runs on a cluster. `settings` are those of `executor.slurm`; what a node wrote can be seen here at once."""

    moment_s = 1.0
    several = 4

    def __init__(self, home: Path, shared: Path, cluster: Cluster, **settings: object) -> None:
        super().__init__(home)
        home.mkdir(mode=0o700)
        self.shared = shared
        self.cluster = cluster
        self.settings = {"conf": cluster.conf, "bin": str(cluster.bin), "file_delay": 0.0, **settings}

    def executor(self) -> Executor:
        setting = Slurm(shared_dir=str(self.shared), python=sys.executable, **self.settings)  # type: ignore[arg-type]
        return executors.get("slurm", setting)

    def task(
        self,
        name: str,
        command: str | Sequence[str],
        *,
        env: Mapping[str, str] = PATH,
        timeout_s: float = 60.0,
        log_limit: int = 1 << 20,
        **more: object,
    ) -> Task:
        wanted = {"env": env, "timeout_s": timeout_s, "log_limit": log_limit, **more}
        return make_remote_task(self.home / name, self.shared, command, label=name, **wanted)  # type: ignore[arg-type]

    def finish(self, tasks: Iterator[Task], limit: int, ended: Report) -> None:
        out: list[Task] = []
        given = Given(tasks)
        while True:
            if len(out) < limit and not given.exhausted:
                self.executor().run(given, limit - len(out), unwelcome)
                out += given.take()
            later = self.executor()
            for task in list(out):
                ending = later.outcome(task.directory)
                assert ending is not False, f"{task.label} never ran"
                if isinstance(ending, Ending):
                    out.remove(task)
                    ended(task, ending)
            if given.exhausted and not out:
                return
            time.sleep(0.3)

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        return {**USUAL_ENVIRONMENT, "PWD": WORK, **env}

    def folder(self, task: Task) -> str:
        return WORK

    def hand_over(self, command: str | Sequence[str], name: str = "run", **settings: object) -> Task:
        """Submit one job and come back at once, as a call does."""
        task = self.task(name, command, **settings)  # type: ignore[arg-type]
        self.executor().run(iter([task]), 1, unwelcome)
        return task

    def begun(self, command: str, name: str = "run", **settings: object) -> Task:
        """Submit one job and wait until it says something; it has to write to `$PWD/alive`."""
        task = self.hand_over(f"echo yes > alive; {command}", name, **settings)
        self.cluster.wait_for(Path(task.work, "alive").exists, f"{name} running")
        return task

    def answer(self, task: Task, patience_s: float = PATIENCE_S) -> Ending | bool:
        """What later calls learn once there is something to learn."""
        answers: list[Ending | bool | None] = [None]

        def answered() -> bool:
            answers.append(self.executor().outcome(task.directory))
            return answers[-1] is not None

        self.cluster.wait_for(answered, f"an outcome of {task.label}", patience_s, every_s=0.3)
        return answers[-1] or False

    def ending(self, task: Task, patience_s: float = PATIENCE_S) -> Ending:
        """How a run ended."""
        answer = self.answer(task, patience_s)
        assert isinstance(answer, Ending), f"{task.label} never ran"
        return answer

    def tag(self, task: Task) -> str:
        """The name by which the cluster knows a run."""
        return Path(scratch_of(task.directory)).name

    def control(self, task: Task) -> Path:
        """The folder that only the caller and the node see."""
        return Path(f"{scratch_of(task.directory)}.run")

    def times_begun(self, task: Task) -> int:
        """How often a job said that it runs; it has to append to `$PWD/alive`."""
        alive = Path(task.work, "alive")
        return len(alive.read_text().split()) if alive.exists() else 0


class Given:
    """Hands tasks on and remembers which."""

    def __init__(self, tasks: Iterator[Task]) -> None:
        self.tasks = tasks
        self.handed: list[Task] = []
        self.exhausted = False

    def __iter__(self) -> Given:
        return self

    def __next__(self) -> Task:
        try:
            task = next(self.tasks)
        except StopIteration:
            self.exhausted = True
            raise
        self.handed.append(task)
        return task

    def take(self) -> list[Task]:
        """Those handed on since the last time."""
        handed, self.handed = self.handed, []
        return handed


def unwelcome(task: Task, ending: Ending | ScqError) -> None:
    """For a run that has to be handed over: it is not to be reported here."""
    raise AssertionError(f"{task.label} was not handed over: {ending}")
