from __future__ import annotations

import pytest

from scq import sandbox
from scq.errors import UsageError
from scq.ports import Invocation


def test_a_command_stays_as_it_is() -> None:
    wrapped = sandbox.get("none").wrap(["sh", "run.sh"], work="/r/work", cwd="code", env={"A": "/r/work/x"})
    assert wrapped == Invocation(("sh", "run.sh"), {"A": "/r/work/x"}, "/r/work/code")


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
