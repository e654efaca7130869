"""What a notebook displays of jobs: text and a static page everywhere, and the widget where somebody can be asked."""

from __future__ import annotations

import gc
import subprocess
import sys
import warnings
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import IPython
import pytest

from scq.library.client import create_client
from scq.library.jobs import CodeJob, JobCollection, LiveJobs
from scq.library.notebook import mime, widgets
from scq.library.notebook.desk import Desk
from scq.library.verbs import ProblemWarning
from scq.web import cards
from tests.people import OWNER, Person, World
from tests.unit.library.notebook.conftest import verbs_of


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    for key in list(widgets._OPEN):
        widgets._OPEN.pop(key).close()


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))


def client(person: Person) -> Any:
    return create_client(home=str(person.home), root=str(person.root), email=person.email)


def widget_of(bundle: dict[str, Any]) -> widgets.JobsWidget:
    return next(each for each in widgets._OPEN.values() if each.model_id == bundle[mime.VIEW]["model_id"])


def desk_of(widget: widgets.JobsWidget) -> Desk:
    assert widget.desk is not None
    return widget.desk


def ids(widget: widgets.JobsWidget) -> list[str]:
    reply = desk_of(widget).answer({"id": 1, "ask": "rows"})
    return [row[0] for row in reply["data"]["rows"]]


def test_without_a_kernel_a_job_is_text_and_a_static_page(world: World) -> None:
    job = client(world.owner).get_job(world.submit("<b>bold"))
    bundle = job._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/plain"] == repr(job)
    assert "&lt;b&gt;bold" in bundle["text/html"]
    assert "<b>bold" not in bundle["text/html"]
    assert bundle["text/html"] == job._repr_html_()


def test_a_collection_is_looked_at_once_for_all_its_forms(world: World) -> None:
    for name in ("first", "second"):
        world.submit(name)
    looks = 0
    live = client(world.owner).pending_for_me
    look = live._look

    def counted() -> Any:
        nonlocal looks
        looks += 1
        return look()

    live._look = counted
    bundle = live._repr_mimebundle_()
    assert looks == 1
    assert bundle["text/plain"].startswith("2 jobs")
    assert "first" in bundle["text/html"]
    assert "second" in live._repr_html_()


@pytest.mark.usefixtures("kernel")
def test_a_job_in_a_notebook_is_one_widget_however_often_it_is_shown(world: World) -> None:
    uid = world.submit()
    here = client(world.owner)
    first, again = here.get_job(uid)._repr_mimebundle_(), here.get_job(uid)._repr_mimebundle_()
    assert set(first) == {"text/plain", "text/html", mime.VIEW}
    assert first[mime.VIEW] == again[mime.VIEW]
    assert first[mime.VIEW]["version_major"] == 2
    found = widget_of(first)
    assert (found.kind, found.word, found.title) == ("job", uid, uid[:8])
    assert desk_of(found).answer({"id": 1, "ask": "job", "job": uid})["data"]["me"] == OWNER
    assert ids(found) == [uid]
    other = Person(world.folder / "other", world.root, OWNER)
    assert client(other).get_job(uid)._repr_mimebundle_()[mime.VIEW] != first[mime.VIEW]


@pytest.mark.usefixtures("kernel")
def test_what_looks_anew_does_so_in_the_notebook(world: World) -> None:
    first = world.submit("first")
    here = client(world.owner)
    bundle = here.pending_for_me._repr_mimebundle_()
    found = widget_of(bundle)
    assert (found.kind, found.word) == ("jobs", "")
    assert found.title == here.pending_for_me.title
    second = world.submit("second")
    assert ids(found) == [first, second]
    world.owner.scq("reject", first)
    assert ids(found) == [second]
    reply = desk_of(found).answer({"id": 2, "ask": "look", "job": first})
    assert reply["data"]["status"] == "rejected"
    assert here.pending_for_me._repr_mimebundle_()[mime.VIEW] == bundle[mime.VIEW]


@pytest.mark.usefixtures("kernel")
def test_a_collection_that_stays_shows_its_jobs_as_they_are_now(world: World) -> None:
    first, second = world.submit("first"), world.submit("second")
    held = client(world.owner).pending_for_me()
    found = widget_of(held._repr_mimebundle_())
    world.owner.scq("reject", first)
    world.submit("third")

    def rows() -> list[tuple[str, str]]:
        reply = desk_of(found).answer({"id": 1, "ask": "rows"})
        return [(row[0], row[3]) for row in reply["data"]["rows"]]

    assert rows() == [(first, "rejected"), (second, "pending")]
    assert [job.status for job in held] == ["pending", "pending"]


@pytest.mark.usefixtures("kernel")
def test_jobs_that_are_gone_are_counted_and_the_same_jobs_are_one_widget(world: World) -> None:
    uid = world.submit()
    verbs = verbs_of(world.owner)
    facts = client(world.owner).get_job(uid).as_dict()
    jobs = [CodeJob(facts, verbs), CodeJob(facts | {"id": "f" * 32}, verbs)]
    bundle = JobCollection(jobs, verbs)._repr_mimebundle_()
    assert bundle[mime.VIEW] == JobCollection(jobs, verbs)._repr_mimebundle_()[mime.VIEW]
    assert bundle[mime.VIEW] != JobCollection(jobs[:1], verbs)._repr_mimebundle_()[mime.VIEW]
    reply = desk_of(widget_of(bundle)).answer({"id": 2, "ask": "rows"})
    assert [row[0] for row in reply["data"]["rows"]] == [uid]
    assert reply["problems"][-1]["what"] == "1 of 2 are not there any more"


@pytest.mark.usefixtures("kernel")
def test_what_a_notebook_saves_holds_no_code_no_log_and_no_result(world: World) -> None:
    uid = world.ended("count", 'echo to-look-for; echo to-look-for > "$OUTPUT_DIR/to-look-for.txt"\n')
    here = client(world.owner)
    for shown in (here.get_job(uid), here.jobs_for_me, here.jobs_for_me()):
        bundle = shown._repr_mimebundle_()
        desk_of(widget_of(bundle)).answer({"id": 1, "ask": "outputs", "job": uid})
        assert "to-look-for" not in repr(bundle) + repr(widget_of(bundle).get_state())
        assert "count" in bundle["text/html"]


@pytest.mark.usefixtures("kernel")
def test_what_is_displayed_is_not_kept_for_it(world: World) -> None:
    world.submit()
    held = client(world.owner).pending_for_me()
    job = weakref.ref(held[0])
    found = widget_of(held._repr_mimebundle_())
    del held
    gc.collect()
    assert job() is None
    assert len(ids(found)) == 1


@pytest.mark.usefixtures("kernel")
def test_two_that_look_anew_without_a_title_are_two_widgets(world: World) -> None:
    here = client(world.owner)
    world.submit()
    pending, nothing = LiveJobs(here.pending_for_me, ""), LiveJobs(list, "")
    assert len(ids(widget_of(pending._repr_mimebundle_()))) == 1
    assert ids(widget_of(nothing._repr_mimebundle_())) == []


def test_displaying_warns_of_nothing(world: World) -> None:
    world.submit()
    world.owner.configure("sandbox: none\nno_such_key: 1\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ProblemWarning)
        assert client(world.owner).pending_for_me._repr_mimebundle_()["text/plain"].startswith("1 job")


@pytest.mark.usefixtures("kernel")
def test_without_anywidget_the_static_page_says_what_gives_buttons(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = client(world.owner).get_job(world.submit())
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "scq.library.notebook.widgets")
    monkeypatch.delattr("scq.library.notebook.widgets")
    bundle = job._repr_mimebundle_()
    assert mime.VIEW not in bundle
    assert bundle["text/html"].startswith(job._repr_html_())
    assert "pip install 'scq[notebook]'" in bundle["text/html"]


@pytest.mark.usefixtures("kernel")
def test_a_damaged_installation_of_scq_is_no_missing_package(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = client(world.owner).get_job(world.submit())
    monkeypatch.setitem(sys.modules, "scq.library.notebook.widgets", None)
    monkeypatch.delattr("scq.library.notebook.widgets")
    with pytest.raises(ImportError):
        job._repr_mimebundle_()


def test_a_long_collection_is_shown_in_part_and_counted(world: World) -> None:
    facts = client(world.owner).get_job(world.submit()).as_dict()
    many = JobCollection(CodeJob(facts | {"id": f"{number:032x}", "name": f"job-{number:04}-"}) for number in range(1_000))
    page = many._repr_html_()
    assert "1,000" in page or "1000" in page
    shown = [number for number in range(1_000) if f"job-{number:04}-" in page]
    assert shown == list(range(1_000 - cards.ROWS, 1_000))


def test_what_was_seen_is_shown_without_settings_too(world: World) -> None:
    job = client(world.owner).get_job(world.submit("count"))
    world.owner.configure("sandbox: nonsense\n")
    assert "count" in job._repr_html_()


def test_displaying_outside_of_a_notebook_loads_no_widgets(world: World) -> None:
    uid = world.submit()
    code = (
        "import sys, scq as q; q.get_job(sys.argv[1])._repr_mimebundle_();"
        "print([name for name in ('anywidget', 'ipywidgets', 'IPython') if name in sys.modules])"
    )
    place = {"SCQ_HOME": str(world.owner.home), "SCQ_ROOT": str(world.root), "SCQ_EMAIL": OWNER}
    found = subprocess.run([sys.executable, "-c", code, uid], capture_output=True, text=True, check=True, env=place)
    assert found.stdout.strip() == "[]"
