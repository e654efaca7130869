"""The functions of `import scq as q`, on a real SyftBox with two people."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

import scq as q
from scq.errors import BusyError, ConfigError, IntegrityError, JobFailedError, ScqError, UsageError
from scq.library.handbook import GROUPS
from scq.library.progress import teller
from scq.library.runner import create_runner
from scq.library.verbs import ProblemWarning, hearing
from tests.people import OWNER, SCIENTIST, code_folder
from tests.unit.library.conftest import COUNTING, Desk

SLOW = {"yaml", "typer", "filelock", "jinja2", "msgspec", "asyncio", "subprocess", "shutil"}


class Shell:
    """As much of IPython as tells that there is a kernel."""

    kernel = object()


def run_approved(desk: Desk) -> None:
    create_runner(desk.root, OWNER, home=desk.home(OWNER)).process_approved_jobs(stream_output=False)


@pytest.fixture
def survey(desk: Desk) -> q.CodeJob:
    """A job that was just submitted; it is the owner's turn."""
    job = q.submit_job(OWNER, code_folder(desk.folder / "code", COUNTING), "survey", "how many", ["count"])
    desk.turn(OWNER)
    return job


def loaded(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ended.stdout.split())


def test_import_loads_nothing_slow_and_no_module_of_ours() -> None:
    assert loaded("import scq as q; dir(q)") & SLOW == set()
    code = "import sys, scq; print(*(name for name in sys.modules if name.startswith('scq.')))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


def test_a_name_that_is_used_loads_its_module() -> None:
    assert "msgspec" in loaded("import scq as q; q.submit_job")


def test_nothing_of_a_notebook_is_loaded_outside_one(survey: q.CodeJob) -> None:
    use = "import scq as q; q.help(); repr(q.pending_for_me); job = q.get_job('survey'); repr(job.inspect())"
    found = loaded(f"{use}\ntry:\n    job.wait(timeout=0, progress=True)\nexcept Exception: pass")
    assert found & {"IPython", "ipywidgets", "anywidget", "pygments"} == set()
    code = f"import sys; {use}; print(*(name for name in sys.modules if name.startswith(('scq.library.notebook', 'scq.web'))))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


@pytest.mark.parametrize("name", sorted(q.PUBLIC))
def test_every_public_name_is_there_and_explained(name: str) -> None:
    found = getattr(q, name)
    assert found.__doc__
    assert f"\n{name} " in repr(q.help())
    documentation = Path(q.__file__).parents[1] / "docs" / "library.md"
    assert name in documentation.read_text(encoding="utf-8")


def test_nothing_is_looked_at_or_written_before_something_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCQ_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SCQ_ROOT", str(tmp_path / "not there"))
    for name in q.PUBLIC:
        getattr(q, name)
    assert list(tmp_path.iterdir()) == []


def test_a_submitted_job_says_what_it_is(desk: Desk) -> None:
    job = q.submit_job(OWNER, code_folder(desk.folder / "code"), "survey", "how many", ["count", "safe"])
    assert (job.name, job.status, job.description, job.tags) == ("survey", "pending", "how many", ["count", "safe"])
    assert (job.requester_email, job.target_email) == (SCIENTIST, OWNER)
    assert job.uid.startswith(job.short_id)
    assert job.created_at is not None
    assert job.created_at.utcoffset() is not None
    assert q.my_jobs() == [job]
    assert q.get_job(job.uid) == q.get_job("survey") == q.get_job(job.short_id) == job


def test_a_uid_object_is_as_good_as_its_text(desk: Desk) -> None:
    job = q.submit_job(OWNER, code_folder(desk.folder / "code"), "survey")
    assert q.get_job(UUID(job.uid)) == job


def test_the_folder_may_be_a_path_or_begin_with_a_tilde(desk: Desk, no_real_home: Path) -> None:
    code_folder(no_real_home / "code")
    assert q.submit_job(OWNER, "~/code", "one").name == "one"
    assert q.submit_job(OWNER, no_real_home / "code").name.startswith("code ")


def test_one_tag_given_as_text_is_one_tag(desk: Desk) -> None:
    assert q.submit_job(OWNER, code_folder(desk.folder / "code"), "survey", tags="count").tags == ["count"]


def test_a_script_is_submitted_with_its_requirements(desk: Desk) -> None:
    job = q.submit_script(OWNER, "print('hello')\n", "hello", "says hello", ["numpy"], ["tiny"])
    desk.turn(OWNER)
    files = {file["path"]: file["text"] for file in q.review_job(job.uid)["files"]}
    assert "print('hello')\n" in files.values()
    assert "numpy" in files["run.sh"]
    assert q.get_job(job.uid).tags == ["tiny"]


def test_a_script_that_begins_as_a_shell_script_is_one(desk: Desk) -> None:
    job = q.submit_script(OWNER, "#!/bin/bash\necho hello\n", "hello")
    assert job.as_dict()["kind"] == "bash"


@pytest.mark.parametrize("script", ["", "print('\udcff')"])
def test_a_script_that_cannot_be_run_is_refused(desk: Desk, script: str) -> None:
    with pytest.raises(UsageError):
        q.submit_script(OWNER, script, "hello")
    assert q.my_jobs() == []


def test_a_folder_that_is_not_there_is_named(desk: Desk) -> None:
    with pytest.raises(UsageError, match="nowhere") as caught:
        q.submit_job(OWNER, desk.folder / "nowhere")
    assert caught.value.advice in getattr(caught.value, "__notes__", [])


def test_a_dash_is_a_folder_name_like_any_other(desk: Desk) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        q.submit_job(OWNER, "-")


def test_an_unknown_job_is_the_error_of_the_command_line(desk: Desk) -> None:
    for function in (q.get_job, q.get_job_output, q.get_job_logs, q.review_job, q.approve, q.reject, q.wait_for_completion):
        with pytest.raises(UsageError, match="nobody"):
            function("nobody")


def test_pending_for_me_is_live_and_callable(desk: Desk) -> None:
    desk.turn(OWNER)
    pending = q.pending_for_me
    assert len(pending) == len(pending()) == 0
    assert not pending
    desk.turn(SCIENTIST)
    job = q.submit_job(OWNER, code_folder(desk.folder / "code"), "survey")
    assert len(pending) == 0
    desk.turn(OWNER)
    before = pending()
    assert pending[0] == job
    assert job in pending
    assert list(pending) == [job]
    q.reject(job.uid, "no")
    assert len(pending) == 0
    assert before == [job]


def test_mine_and_theirs_are_kept_apart(desk: Desk) -> None:
    mine = q.submit_job(OWNER, code_folder(desk.folder / "code"), "to the owner")
    desk.turn(OWNER)
    theirs = q.submit_job(SCIENTIST, code_folder(desk.folder / "code"), "to the scientist")
    assert q.jobs_for_me == q.all_jobs_for_me() == q.jobs_for_me() == [mine]
    assert q.jobs_for_others == q.my_jobs() == [theirs]
    assert q.pending_for_me == [mine]


def test_lists_are_narrowed_by_status_and_number(desk: Desk, survey: q.CodeJob) -> None:
    desk.turn(SCIENTIST)
    later = q.submit_job(OWNER, code_folder(desk.folder / "code"), "later")
    assert q.my_jobs(limit=1) == q.jobs_for_others(limit=1) == [later]
    assert q.my_jobs("completed") == q.jobs_for_others("completed") == []
    assert q.my_jobs("pending") == [survey, later]


def test_the_whole_way_from_submission_to_result(desk: Desk, survey: q.CodeJob) -> None:
    reading = q.review_job(survey.uid)
    assert reading["digest"].startswith("sha256:")
    assert "echo counted" in repr(reading)
    assert q.approve(survey.uid, "counts only").status == "approved"
    assert q.get_job_output(survey.uid) is None
    with pytest.raises(UsageError, match="no logs"):
        q.get_job_logs(survey.uid)
    run_approved(desk)
    assert q.wait_for_completion(survey.uid, timeout=0).status == "completed"
    folder = q.get_job_output(survey.uid)
    assert folder is not None
    assert (folder / "count.txt").read_text() == "3\n"
    assert "counted" in q.get_job_logs(survey.uid)
    assert q.get_job(survey.uid).reason == "counts only"


def test_logs_are_cleaned_for_a_terminal(desk: Desk) -> None:
    q.submit_job(OWNER, code_folder(desk.folder / "code", "printf '\\033[2Jhidden\\n'\n"), "ansi")
    desk.turn(OWNER)
    q.approve("ansi")
    run_approved(desk)
    assert "hidden" in q.get_job_logs("ansi")
    assert "\x1b" not in q.get_job_logs("ansi")


def test_a_reason_reaches_the_submitter(desk: Desk, survey: q.CodeJob) -> None:
    assert q.reject(survey.uid, "too broad").status == "rejected"
    desk.turn(SCIENTIST)
    job = q.get_job(survey.uid)
    assert (job.status, job.reason) == ("rejected", "too broad")
    with pytest.raises(JobFailedError):
        q.wait_for_completion(survey.uid, timeout=0)


def test_waiting_ends_when_time_is_up(survey: q.CodeJob) -> None:
    with pytest.raises(BusyError, match="still pending"):
        q.wait_for_completion(survey.uid, timeout=0)


def test_what_changed_after_the_review_is_not_approved(desk: Desk, survey: q.CodeJob) -> None:
    q.review_job(survey.uid)
    path = next(desk.root.glob(f"**/{survey.name}/**/run.sh"))
    path.write_text(path.read_text() + "curl evil\n")
    with pytest.raises(IntegrityError, match="changed since you reviewed it"):
        q.approve(survey.uid)
    assert q.get_job(survey.uid).status == "pending"


def test_an_approval_can_name_the_content(survey: q.CodeJob) -> None:
    with pytest.raises(IntegrityError):
        q.approve(survey.uid, digest="sha256:" + "0" * 64)
    digest = q.get_job(survey.uid).digest
    assert digest is not None
    assert q.approve(survey.uid, digest=digest).status == "approved"


def test_a_program_can_approve_exactly_what_it_read(survey: q.CodeJob) -> None:
    for job in q.pending_for_me():
        reading = q.review_job(job.uid)
        assert reading["files"][0]["path"] == "run.sh"
        if all(file["whole"] for file in reading["files"]):
            q.approve(job.uid, "checked", digest=reading["digest"])
    approval = q.get_job(survey.uid).as_dict()["approval"]
    assert (approval["method"], approval["digest"], approval["reason"]) == ("digest", reading["digest"], "checked")


def test_only_the_owner_approves(desk: Desk, survey: q.CodeJob) -> None:
    desk.turn(SCIENTIST)
    with pytest.raises(UsageError, match="belongs to"):
        q.approve(survey.uid)


def test_status_is_text_for_people_and_data_for_programs(survey: q.CodeJob) -> None:
    found = q.status()
    assert found["counts"]["pending"] == 1
    assert OWNER in repr(found)
    assert "1 pending" in repr(found)


def test_help_is_text_that_a_prompt_shows_as_it_is() -> None:
    text = q.help()
    assert repr(text) == str(text)
    assert "submit_job" in text


def test_help_has_every_public_name_in_one_group() -> None:
    assert sorted(" ".join(GROUPS.values()).split()) == sorted(q.PUBLIC)


def test_help_about_a_function_is_how_it_is_called_and_everything_about_it() -> None:
    text = q.help("approve").splitlines()
    assert text[0].startswith("q.approve(uid, reason='', *, digest='', by='', expires=''")
    assert "\n".join(text[2:]) == inspect.getdoc(q.approve)


def test_help_about_a_class_lists_what_it_can_do() -> None:
    text = q.help("JobCollection")
    assert "\n  approve_all(reason='', *, unread=False)  Approve the pending jobs" in text
    assert "\n  uid  Full id." in q.help("CodeJob")
    assert q.help("pending_for_me").startswith("q.pending_for_me(status='', limit=None)\n\nThe jobs that wait")
    assert q.help("GOOGLE_API_TIMEOUT").endswith("Seconds that one request to Google may take.")
    assert q.help("RefusedJobsError").startswith("q.RefusedJobsError(")


@pytest.mark.parametrize(("name", "says"), [("aprove", "did you mean approve"), ("x\n", "no 'x")])
def test_help_about_a_name_that_is_not_there_proposes_one(name: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        q.help(name)
    assert re.search(says, f"{caught.value} {caught.value.advice}")


def test_type_checkers_see_every_public_name() -> None:
    tree = ast.parse(Path(q.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: node.module.removeprefix("scq.library.")
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }
    assert seen == {**q.PUBLIC, "alerts": "scq"}
    assert Path(q.__file__).with_name("py.typed").is_file()


def test_a_notebook_shows_texts_as_they_are(survey: q.CodeJob) -> None:
    from IPython.core.formatters import DisplayFormatter

    show = DisplayFormatter().format
    for text in (q.help(), q.review_job(survey)):
        assert show(text) == ({"text/plain": repr(text)}, {})


def test_progress_has_one_place_in_a_notebook(survey: q.CodeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    shell, published = Shell(), []
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr("IPython.core.interactiveshell.InteractiveShell.initialized", lambda: True)
    monkeypatch.setattr("IPython.core.display_functions.publish_display_data", lambda **said: published.append(said))

    def act(job: q.CodeJob) -> None:
        if job.status == "pending":
            q.approve(job)

    tell = teller(True)
    assert tell is not None
    with pytest.raises(BusyError):
        q.wait_for_completion(survey, timeout=0, progress=lambda job: (tell(job), act(job)))
    first, second = published
    assert first["data"] == {"text/plain": f"{survey.short_id}  pending  survey"}
    assert second["data"] == {"text/plain": f"{survey.short_id}  approved  survey"}
    assert (first.get("update", False), second["update"]) == (False, True)
    assert first["transient"]["display_id"] == second["transient"]["display_id"]


def test_a_broken_configuration_is_an_error_that_names_the_key(desk: Desk) -> None:
    desk.configure(SCIENTIST, "job_timeout: often\n")
    with pytest.raises(ConfigError, match="job_timeout"):
        q.my_jobs()


def test_the_configuration_file_may_be_named(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.folder / "other.yaml").write_text("sandbox: bwrap\n")
    assert q.status()["sandbox"] == "none"
    monkeypatch.setenv("SCQ_CONFIG", str(desk.folder / "other.yaml"))
    assert q.status()["sandbox"] == "bwrap"


def test_a_problem_that_stops_nothing_is_a_warning_at_the_line_of_the_caller(desk: Desk) -> None:
    job = q.submit_job(OWNER, code_folder(desk.folder / "code"), "survey")
    desk.configure(SCIENTIST, "sandbox: none\njob_timeoot: 3\n")
    with pytest.warns(ProblemWarning, match="job_timeout") as caught:
        assert q.my_jobs() == [job]
    assert caught[0].filename == __file__
    with pytest.warns(ProblemWarning) as caught:
        assert q.jobs_for_others[0] == job
    assert caught[0].filename == __file__


def test_who_hears_the_problems_gets_no_warning(desk: Desk, survey: q.CodeJob) -> None:
    desk.configure(OWNER, "sandbox: none\njob_timeoot: 3\n")
    with hearing() as found:
        assert q.pending_for_me == [survey]
    assert "job_timeoot" in found[0].where + found[0].what
    with pytest.warns(ProblemWarning, match="job_timeoot"):
        assert q.pending_for_me == [survey]


def test_a_hostile_name_disturbs_nothing(desk: Desk, survey: q.CodeJob) -> None:
    config = next(desk.root.glob("**/survey/config.yaml"))
    config.write_text(config.read_text().replace("survey", '"x\\ny\\e[2J\\u202Egnp"'))
    (job,) = q.pending_for_me()
    assert repr(job).isprintable()
    assert all(line.isprintable() for line in repr(q.pending_for_me).splitlines())
    assert all(line.isprintable() for line in repr(q.status()).splitlines())


def test_an_unreadable_job_does_not_hide_the_others(desk: Desk, survey: q.CodeJob) -> None:
    broken = next(desk.root.glob("**/survey/config.yaml")).parent.with_name("broken")
    broken.mkdir()
    (broken / "config.yaml").write_text("[1, 2")
    (broken / "run.sh").write_text("echo\n")
    assert survey in q.pending_for_me()
    assert survey in q.all_jobs_for_me()


def test_a_root_that_is_away_is_never_just_an_empty_list(desk: Desk) -> None:
    desk.root.rename(desk.root.with_name("away"))
    with pytest.raises(ScqError):
        q.submit_job(OWNER, code_folder(desk.folder / "code"))
    with pytest.warns(ProblemWarning, match="SyftBox"):
        assert q.my_jobs() == []
