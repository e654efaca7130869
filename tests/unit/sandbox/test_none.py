from __future__ import annotations

import pytest

from scq import sandbox
from scq.errors import UsageError
from scq.model import Limits
from scq.ports import Invocation, Mount


def test_a_command_stays_as_it_is() -> None:
    wrapped = sandbox.get("none").wrap(["sh", "run.sh"], work="/r/work", cwd="code", env={"A": "/r/work/x"})
    assert wrapped == Invocation(("sh", "run.sh"), {"A": "/r/work/x"}, "/r/work/code")


def test_the_plan_says_that_nothing_protects_and_that_data_stays_where_it_is() -> None:
    box = sandbox.get("none")
    given = {"work": "/r/work", "cwd": "code", "env": {"A": "/r/work/x"}, "mounts": (Mount("/srv/cohort", "/data/cohort"),)}
    plan = box.plan(["sh", "run.sh"], limits=Limits(memory=5), **given)  # type: ignore[arg-type]
    wrapped = box.wrap(["sh", "run.sh"], **given)  # type: ignore[arg-type]
    assert (plan.command, plan.environment, plan.cwd) == (wrapped.argv, wrapped.env, wrapped.cwd)
    assert plan.mounts == (Mount("/r/work", "/r/work", True), Mount("/srv/cohort", "/srv/cohort"))
    assert plan.network
    assert plan.limits == Limits(memory=5)
    assert "nothing protects this machine" in plan.notes[0]
    assert "their own places" in plan.notes[1]


def test_there_is_nothing_to_prove_and_no_other_folder() -> None:
    box = sandbox.get("none", user="nobody")
    assert list(box.check()) == []
    assert box.scratch("/r") == "/r"


@pytest.mark.parametrize("cwd", ["", ".", "./", "a/.."])
def test_the_top_of_the_job_has_several_names(cwd: str) -> None:
    assert sandbox.get("none").wrap(["true"], work="/r/work", cwd=cwd, env={}).cwd == "/r/work"


@pytest.mark.parametrize("name", ["none", "bwrap"])
@pytest.mark.parametrize("cwd", ["..", "../x", "a/../../x", "/etc", "//etc", "a\0b"])
def test_a_working_folder_outside_the_job_is_refused(name: str, cwd: str, tmp_path: object) -> None:
    with pytest.raises(UsageError, match="not inside the job"):
        sandbox.get(name, user="nobody").wrap(["true"], work=str(tmp_path), cwd=cwd, env={})
