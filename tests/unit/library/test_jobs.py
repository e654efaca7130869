"""Job objects and collections of the library."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

import scq as q
from scq.errors import BusyError, IntegrityError, JobFailedError, UsageError
from scq.library.jobs import SHOWN_JOBS, CodeJob, JobCollection, LiveJobs
from scq.library.runner import create_runner
from scq.library.verbs import HERE, Verbs
from tests.people import OWNER, SCIENTIST, code_folder
from tests.unit.library.conftest import COUNTING, Desk

MADE = "2026-11-21T08:00:00Z"


def facts(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A job object as docs/json.md describes it."""
    uid = f"{number:08x}-0000-4000-8000-000000000000"
    found = {"id": uid, "short_id": uid[:8], "name": f"job {number}", "owner": OWNER, "submitter": SCIENTIST, "status": "pending"}
    found |= {"description": "", "tags": [], "digest": None, "approval": None, "run": None, "reason": None}
    found |= {"reviewed": None, "revision": "0" * 12}
    return found | {"submitted_at": MADE, "first_seen_at": MADE, "updated_at": MADE} | changes


def jobs(*changes: dict[str, Any]) -> JobCollection:
    return JobCollection(CodeJob(facts(number, **change)) for number, change in enumerate(changes, start=1))


@pytest.fixture
def job(desk: Desk) -> CodeJob:
    """A job that waits, seen by its owner."""
    q.submit_job(OWNER, code_folder(desk.folder / "code", COUNTING), "survey")
    desk.turn(OWNER)
    return q.get_job("survey")


def run_approved(desk: Desk) -> None:
    create_runner(desk.root, OWNER, home=desk.home(OWNER)).process_approved_jobs(stream_output=False)


def test_a_job_is_what_it_was_until_it_is_refreshed(job: CodeJob) -> None:
    q.approve(job.uid)
    assert job.status == "pending"
    assert job.refresh() is job
    assert job.status == "approved"


def test_a_decision_shows_in_the_object_that_made_it(job: CodeJob) -> None:
    assert job.approve("fine").status == job.status == "approved"
    assert job.reason == "fine"
    assert job.reject("on second thought").status == job.status == "rejected"
    assert job.reason == "on second thought"
    assert job.is_terminal


def test_a_refused_decision_changes_nothing(desk: Desk, job: CodeJob) -> None:
    desk.turn(SCIENTIST)
    with pytest.raises(UsageError):
        job.approve()
    desk.turn(OWNER)
    assert job.refresh().status == "pending"


def test_a_job_that_ran_has_times_logs_and_output(desk: Desk, job: CodeJob) -> None:
    assert (job.started_at, job.completed_at, job.duration, job.exit_code) == (None, None, None, None)
    assert job.get_output() is None
    assert job.output_files() == []
    job.approve()
    run_approved(desk)
    assert job.wait(timeout=0).status == "completed"
    assert job.exit_code == 0
    assert job.duration is not None
    assert job.started_at is not None
    assert job.completed_at is not None
    assert job.created_at is not None
    assert job.created_at < job.started_at <= job.completed_at
    assert "counted" in job.get_logs()
    folder = job.get_output()
    assert folder is not None
    assert [(folder / path).read_text() for path in job.output_files()] == ["3\n"]


def test_a_failed_job_raises_when_waited_for_and_is_up_to_date(desk: Desk) -> None:
    q.submit_job(OWNER, code_folder(desk.folder / "code", "exit 3\n"), "broken")
    desk.turn(OWNER)
    job = q.approve("broken")
    run_approved(desk)
    with pytest.raises(JobFailedError):
        job.wait(timeout=0)
    assert (job.status, job.exit_code) == ("failed", 3)


def test_waiting_ends_when_time_is_up(job: CodeJob) -> None:
    with pytest.raises(BusyError):
        job.wait(timeout=0)
    assert job.status == "pending"


def test_a_review_is_remembered(desk: Desk, job: CodeJob) -> None:
    assert "echo counted" in repr(job.review())
    path = next(desk.root.glob("**/survey/**/run.sh"))
    path.write_text(path.read_text() + "echo more\n")
    with pytest.raises(IntegrityError, match="changed since"):
        job.approve()


def test_a_job_that_is_gone_says_so(desk: Desk, job: CodeJob) -> None:
    create_runner(desk.root, OWNER, home=desk.home(OWNER)).reset_all_jobs()
    with pytest.raises(UsageError, match="no job"):
        job.refresh()


def test_a_job_without_a_submission_time_was_created_when_it_was_first_seen() -> None:
    moment = datetime(2026, 11, 21, 8, tzinfo=UTC)
    assert CodeJob(facts()).updated_at == moment
    assert CodeJob(facts(submitted_at=None)).created_at == moment
    assert CodeJob(facts(submitted_at=None, first_seen_at=None)).created_at is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"reason": "exit code 1"}, "exit code 1"),
        ({"approval": {"reason": "fine"}, "reason": "exit code 1"}, "fine"),
        ({"approval": {"reason": ""}, "reason": "exit code 1"}, "exit code 1"),
    ],
)
def test_the_reason_is_the_decision_s_before_the_folder_s(changes: dict[str, Any], reason: str) -> None:
    assert CodeJob(facts(**changes)).reason == reason


def test_the_text_of_a_job_is_one_clean_line() -> None:
    job = CodeJob(facts(name="a\n\x1b[2Jb\u202e" + "x" * 300, submitter="", owner="o\n@x.org"))
    assert repr(job).isprintable()
    assert len(repr(job)) < 200
    assert "(unknown)" in repr(job)
    assert job.name.startswith("a\n"), "attributes are data and stay as they are"


def test_jobs_are_the_same_when_their_ids_are() -> None:
    assert CodeJob(facts(1)) == CodeJob(facts(1, status="approved"))
    assert CodeJob(facts(1)) != CodeJob(facts(2))
    assert CodeJob(facts(1)) != facts(1)["id"]
    assert len({CodeJob(facts(1)), CodeJob(facts(1)), CodeJob(facts(2))}) == 2


def test_what_a_caller_does_with_the_facts_does_not_change_the_job() -> None:
    job = CodeJob(facts(tags=["a"]))
    job.tags.append("b")
    job.as_dict()["status"] = "approved"
    assert (job.tags, job.status) == (["a"], "pending")


def test_a_collection_is_narrowed_by_status_name_and_tags() -> None:
    found = jobs(
        {"name": "Age groups", "tags": ["count", "safe"]},
        {"name": "ages", "status": "completed", "tags": ["count"]},
        {"name": "other", "status": "running", "tags": ["model"]},
    )
    one, two, three = found
    assert found.by_name("AGE") == [one, two]
    assert found.by_tags("safe", "model") == [one, three]
    assert found.by_tags() == []
    assert found.by_status("running") == found.running() == [three]
    assert found.pending() == [one]
    assert found.completed() == (two,)
    assert found.approved() == found.failed() == found.rejected() == []
    assert found.by_tags("count").by_name("age").pending() == [one]


def test_a_summary_counts_every_status() -> None:
    found = jobs({}, {}, {"status": "failed"}).summary()
    assert found == {"total": 3, "pending": 2, "approved": 0, "running": 0, "completed": 0, "failed": 1, "rejected": 0}


def test_a_collection_is_a_sequence() -> None:
    found = jobs({}, {}, {})
    assert len(found) == 3
    assert found[-1] == found[2]
    assert isinstance(found[1:], JobCollection)
    assert found[1:] == list(found)[1:]
    assert list(reversed(found)) == list(found)[::-1]
    assert found.index(found[1]) == 1
    assert found.count(found[1]) == 1
    with pytest.raises(ValueError, match="not in"):
        found.index(found[1], 2)
    with pytest.raises(IndexError):
        found[3]
    assert found != "jobs"


@pytest.mark.parametrize(
    ("count", "head", "tail"), [(0, "0 jobs", "0 jobs"), (1, "1 job", "  <"), (SHOWN_JOBS + 7, "57 jobs", "  … and 7 more")]
)
def test_the_text_of_a_collection_stays_short(count: int, head: str, tail: str) -> None:
    lines = repr(jobs(*[{}] * count)).splitlines()
    assert lines[0] == head
    assert lines[-1].startswith(tail)
    assert len(lines) <= SHOWN_JOBS + 2


USES: tuple[Callable[[LiveJobs], object], ...] = (
    len,
    list,
    bool,
    repr,
    reversed,
    lambda live: live[0],
    lambda live: live[:1],
    lambda live: live.index(CodeJob(facts(1))),
    lambda live: live.count(CodeJob(facts(1))),
    lambda live: CodeJob(facts(1)) in live,
    lambda live: live == [],
    lambda live: live.pending(),
    lambda live: live.summary(),
    lambda live: live(),
)


@pytest.mark.parametrize("use", USES)
def test_each_use_of_a_live_collection_looks_once(use: Callable[[LiveJobs], object]) -> None:
    looks = []

    def look() -> JobCollection:
        looks.append(1)
        return jobs({}, {})

    live = LiveJobs(look, "Some jobs.")
    assert live.__doc__ == "Some jobs."
    assert looks == []
    use(live)
    assert len(looks) == (2 if use is list else 1), "a list is made by asking for the length first"


def test_the_library_is_whoever_the_environment_says_at_each_call(desk: Desk, job: CodeJob) -> None:
    assert q.pending_for_me == [job]
    desk.turn(SCIENTIST)
    assert q.pending_for_me == []
    assert q.jobs_for_others == [job]


def test_the_job_of_a_runner_stays_with_its_owner(desk: Desk, job: CodeJob, capsys: pytest.CaptureFixture[str]) -> None:
    runner = create_runner(desk.root, OWNER, home=desk.home(OWNER))
    desk.turn(SCIENTIST)
    (found,) = runner.check_for_new_jobs()
    assert found == job
    assert found.approve("by its owner").status == "approved"


class TestDecidingTogether:
    """`approve_all` and `reject_all`."""

    @pytest.fixture
    def waiting(self, desk: Desk) -> JobCollection:
        """Three jobs that wait, as their owner sees them."""
        for name in ("one", "two", "three"):
            q.submit_bash(OWNER, COUNTING, name)
        desk.turn(OWNER)
        return q.pending_for_me()

    def test_jobs_that_were_read_are_approved_in_one_call(self, waiting: JobCollection, monkeypatch: pytest.MonkeyPatch) -> None:
        for job in waiting:
            job.review()
        calls = []
        monkeypatch.setattr("scq.commands.approve.decide", _counting(calls))
        decided = waiting.approve_all("counts only")
        assert len(calls) == 1
        assert decided == waiting
        assert {(job.status, job.reason) for job in q.all_jobs_for_me()} == {("approved", "counts only")}
        assert waiting.summary()["approved"] == 3, "the collection shows what became of its jobs"
        assert waiting.approve_all() == [], "nothing waits any more"

    def test_what_was_never_read_is_refused_unless_that_is_meant(self, waiting: JobCollection) -> None:
        waiting[0].review()
        with pytest.raises(q.RefusedJobsError) as caught:
            waiting.approve_all()
        error = caught.value
        assert error.decided == waiting[:1]
        assert list(error.refused) == [job.uid for job in waiting[1:]]
        assert all("Read it first" in why for why in error.refused.values())
        assert str(error).splitlines() == ["2 of 3 jobs were not approved:", *error.refused.values()]
        assert error.exit_code == 2
        assert q.pending_for_me.approve_all(unread=True) == waiting[1:]

    def test_what_is_not_what_was_shown_is_refused_and_the_others_are_decided(self, desk: Desk, waiting: JobCollection) -> None:
        one, two, three = waiting
        path = next(desk.root.glob("**/one/**/run.sh"))
        path.write_text(path.read_text() + "curl evil\n")
        q.reject(two, "by somebody else")
        with pytest.raises(q.RefusedJobsError) as caught:
            waiting.approve_all("fine", unread=True)
        assert caught.value.decided == [three]
        assert list(caught.value.refused) == [one.uid, two.uid]
        assert "changed since it was shown" in caught.value.refused[one.uid]
        assert "by somebody else" in caught.value.refused[two.uid]
        assert caught.value.exit_code == 75
        assert [job.status for job in waiting] == ["pending", "rejected", "approved"]

    def test_all_that_wait_are_refused_with_a_reason(self, desk: Desk, waiting: JobCollection) -> None:
        waiting[0].approve()
        found = q.all_jobs_for_me()
        assert found.reject_all("too broad") == waiting[1:]
        assert [job.status for job in found] == ["approved", "rejected", "rejected"]
        assert {job.reason for job in found.rejected()} == {"too broad"}

    def test_a_reason_that_is_no_text_decides_nothing(self, waiting: JobCollection) -> None:
        with pytest.raises(UsageError, match="reason"):
            waiting.reject_all(None)  # type: ignore[arg-type]
        assert len(q.pending_for_me) == 3

    def test_somebody_else_decides_nothing(self, desk: Desk, waiting: JobCollection) -> None:
        desk.turn(SCIENTIST)
        with pytest.raises(q.RefusedJobsError, match="belongs to"):
            q.jobs_for_others().approve_all()
        with pytest.raises(q.RefusedJobsError, match="changed since it was shown"):
            waiting.approve_all()

    def test_a_collection_is_brought_up_to_date_by_one_look(self, desk: Desk, waiting: JobCollection) -> None:
        kept = waiting[0]
        q.approve("one")
        assert waiting.refresh() is waiting
        assert (waiting[0] is kept, kept.status) == (True, "approved")
        create_runner(desk.root, OWNER, home=desk.home(OWNER)).reset_all_jobs()
        assert waiting.refresh() == []


def _counting(calls: list[Any]) -> Callable[..., Any]:
    from scq.deciding import decide

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return decide(*arguments, **options)

    return counted


def test_jobs_are_sorted_and_those_without_a_value_come_last() -> None:
    ran = {"started_at": MADE, "finished_at": MADE, "exit_code": 0}
    found = jobs(
        {"name": "b", "status": "failed", "run": ran | {"duration_s": 3.0}},
        {"name": "C", "status": "pending"},
        {"name": "a", "status": "completed", "run": ran | {"duration_s": 1.0}},
    )
    assert [job.name for job in found.sorted_by("name")] == ["a", "b", "C"]
    assert [job.name for job in found.sorted_by("status", reverse=True)] == ["b", "a", "C"]
    assert [job.duration for job in found.sorted_by("duration")] == [1.0, 3.0, None]
    assert [job.duration for job in found.sorted_by("duration", reverse=True)] == [3.0, 1.0, None]
    for field in ("requester_email", "target_email", "created_at", "updated_at", "started_at", "completed_at"):
        assert len(found.sorted_by(field)) == 3
    with pytest.raises(UsageError, match="cannot be sorted by 'size'"):
        found.sorted_by("size")


def test_a_word_that_is_no_status_is_refused() -> None:
    with pytest.raises(UsageError, match="not a status"):
        jobs({}).by_status("pendign")


def test_a_live_collection_says_so() -> None:
    live = LiveJobs(lambda: jobs({}, {}), "Some jobs.", title="Some")
    assert repr(live).startswith("2 jobs at this moment (looks anew each time it is used)\n  <CodeJob")
    assert repr(live()).startswith("2 jobs\n")
    assert live.refresh() is live
    assert live.title == "Some"


def test_a_collection_has_the_place_of_its_jobs() -> None:
    here = Verbs(home="/somewhere")
    assert JobCollection([CodeJob(facts(), here)])._verbs is here
    assert JobCollection([])[:]._verbs is HERE
    assert LiveJobs(list, "None.", here)()._verbs is here


def test_a_job_tells_what_was_read_and_which_one_it_is() -> None:
    job = CodeJob(facts(reviewed="sha256:1", revision="abc"))
    assert (job.reviewed, job.revision) == ("sha256:1", "abc")


def test_in_a_notebook_a_job_is_a_card_and_a_collection_a_table() -> None:
    found = jobs({})
    for shown in (found[0], found):
        bundle = shown._repr_mimebundle_()
        assert bundle["text/plain"] == repr(shown)
        assert "job 1" in bundle["text/html"]
        assert "job 1" in shown._repr_html_()


def test_a_job_on_a_cluster_says_where_it_is_and_where_it_was() -> None:
    place = {"state": "running", "id": "412", "node": "n1\x1b[2J", "since": MADE, "position": None}
    runs = CodeJob(facts(status="running", place=place))
    assert runs.place.startswith("runs on n1")
    assert (runs.place.isprintable(), runs.node) == (True, "n1\x1b[2J")
    assert f", {runs.place}>" in repr(runs)
    was = CodeJob(facts(status="failed", place=None, run={"node": "n2"}))
    assert (was.place, was.node) == ("", "n2")
    here = CodeJob(facts())
    assert (here.place, here.node) == ("", "")
    assert repr(here).endswith(f"to {OWNER}>")
