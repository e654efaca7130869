"""Notebooks as people use them: a real JupyterLab in a real browser, with kernels of their own for scientist and owner."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.notebook.lab import PATIENCE, Desk, Lab, missing
from tests.people import OWNER, Person, World

pytestmark = pytest.mark.skipif(bool(missing()) and not os.environ.get("CI"), reason=missing())

RESTARTED = "The kernel was restarted. Run this cell again to act; searching still works."
MANY = 2_100
PAGE = 50
NAME = '<img src=x onerror="window.hit=1">'
DESCRIPTION = '"><script>window.hit=2</script><svg onload=alert(3)>'
CODE = "echo '</code></pre><script>window.hit=4</script><iframe src=\"javascript:alert(5)\">'\n"
WITHOUT_WIDGETS = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "anywidget":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
"""
MADE = f"""
from scq.library.verbs import Verbs
first = q.get_job("{{uid}}").as_dict()
made = [
    first | dict(id=f"{{{{number:08d}}}}-0000-4000-8000-000000000000", name=f"{{{{number:04d}}}} " + {NAME!r})
    for number in range({MANY})
]
class Known(Verbs, frozen=True):
    def rows(self, **options):
        return made
verbs = Known()
q.JobCollection([q.CodeJob(facts, verbs) for facts in made], verbs)
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One server and one browser for every test of this file. Where a build server lacks something, this fails."""
    assert not missing(), missing()
    expect.set_options(timeout=PATIENCE * 1000)
    with Lab(tmp_path_factory.mktemp("lab")) as lab, Desk(lab) as desk:
        yield desk


@pytest.fixture(autouse=True)
def calm(desk: Desk) -> Iterator[None]:
    """Whatever a test does, the page asks no other host for anything, opens no dialog, and throws nothing."""
    yield
    assert desk.hosts - {""} == {desk.host}  # pictures that are part of the page have none
    assert (desk.dialogs, desk.complaints) == ([], [])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def of(person: Person) -> dict[str, str]:
    """What tells a kernel who its person is."""
    return {"SCQ_HOME": str(person.home), "SCQ_ROOT": str(person.root), "SCQ_EMAIL": person.email}


def press(where: Locator, label: str) -> None:
    where.get_by_role("button", name=label, exact=True).click()


def says(where: Locator, text: str) -> None:
    expect(where.locator(".scq-message:not(.scq-empty)").filter(has_text=text)).to_have_count(1)


def names(table: Locator) -> Locator:
    return table.locator(".scq-row .scq-open")


def tick(table: Locator, *wanted: str) -> None:
    for name in wanted:
        table.get_by_role("checkbox", name=f"Select {name}", exact=True).check()


def test_a_job_goes_from_one_notebook_to_the_other_and_its_result_comes_back(desk: Desk, world: World) -> None:
    asking = desk.open("asking.ipynb", of(world.scientist))
    deciding = desk.open("deciding.ipynb", of(world.owner))
    table = deciding.run("q.jobs_for_me")
    expect(table.get_by_text("There are no jobs here.")).to_be_visible()

    script = "mkdir -p outputs; echo 42.5 > outputs/mean.txt; echo 17 visits were read"
    for number, name in enumerate(("mean-age", "mean-stay", "all-rows")):
        asking.run(f"job{number} = q.submit_bash({OWNER!r}, {script!r}, name={name!r}, tags=['cohort'])")
    deciding.show()
    press(table, "Refresh")
    expect(names(table)).to_have_text(["all-rows", "mean-stay", "mean-age"])

    press(table, "Job")
    expect(names(table)).to_have_text(["all-rows", "mean-age", "mean-stay"])
    table.get_by_role("searchbox", name="Search the jobs").fill("MEAN")
    expect(names(table)).to_have_text(["mean-age", "mean-stay"])
    tick(table, "mean-age", "mean-stay")
    press(table, "Approve…")
    table.get_by_label("Reason", exact=False).fill("a mean is fine")
    press(table, "Approve 2 jobs")
    expect(table.get_by_text("2 of 2 were never read here. Approve them unread?")).to_be_visible()
    assert {row["status"] for row in world.owner.json("list")["jobs"]} == {"pending"}
    press(table, "Approve 2 unread")
    says(table, "Approved 2 jobs.")
    table.get_by_role("searchbox", name="Search the jobs").fill("")
    press(table, "pending 1")
    expect(names(table)).to_have_text(["all-rows"])
    press(table, "approved 2")
    expect(names(table)).to_have_text(["mean-age", "mean-stay"])

    ran = deciding.run("sorted(run['name'] for run in q.run_approved())")
    expect(ran).to_contain_text("['mean-age', 'mean-stay']")
    table.scroll_into_view_if_needed()
    press(table, "Refresh")
    press(table, "completed 2")
    press(table, "mean-age")
    expect(table.locator(".scq-card")).to_contain_text("a mean is fine")
    press(table, "Logs")
    expect(table.locator(".scq-log")).to_contain_text(["17 visits were read"])
    press(table, "Results")
    expect(table.locator(".scq-output")).to_contain_text(["mean.txt"])
    press(table, "Release…")
    table.get_by_role("checkbox", name="mean.txt").check()
    table.get_by_label("Reason", exact=False).fill("one number of many people")
    press(table, "Release")
    says(table, "Released.")

    read = "print((job{}.refresh().get_output() / 'mean.txt').read_text()) if job{}.refresh().get_output() else print('nothing')"
    expect(asking.run(read.format(0, 0))).to_contain_text("42.5")
    expect(asking.run(read.format(1, 1))).to_contain_text("nothing")


def test_what_changed_since_it_was_shown_is_not_decided_and_a_lost_kernel_is_told(desk: Desk, world: World) -> None:
    swapped, wanted = world.submit("swapped"), world.submit("wanted")
    here = desk.open("here.ipynb", of(world.owner))
    there = desk.open("there.ipynb", of(world.owner))

    card = here.run(f"q.get_job({swapped!r})")
    press(card, "Review")
    card.locator(".scq-file", has_text="code/run.sh").click()
    expect(card.locator(".scq-line", has_text="echo done")).to_have_count(1)
    press(card, "Approve…")
    (world.place(swapped) / "code" / "run.sh").write_text("#!/bin/bash\necho other\n")
    changed = card.locator(".scq-trouble, .scq-why, .scq-reasons").filter(has_text=re.compile("changed", re.IGNORECASE))
    press(card, "Approve this job")
    expect(changed.first).to_be_visible()
    assert world.owner.job(swapped)["status"] == "pending"

    table = here.run("q.pending_for_me")
    tick(table, "wanted")
    other = there.run(f"q.get_job({wanted!r})")
    press(other, "Reject…")
    other.get_by_label("Reason", exact=False).fill("not this year")
    press(other, "Reject this job")
    says(other, "Rejected 1 job.")
    here.show()
    press(table, "Approve…")
    press(table, "Approve this job")
    says(table, "Refused: 1 job.")
    expect(table.locator(".scq-message")).to_contain_text(f"{OWNER} rejected it (not this year)")
    assert world.owner.job(wanted)["status"] == "rejected"

    names(table).first.click()
    here.restart_kernel()
    expect(table.locator(".scq-notice")).to_contain_text(RESTARTED)
    for label in ("Refresh", "Review", "Approve…", "Reject…"):
        expect(table.locator(".scq-card").get_by_role("button", name=label, exact=True)).to_have_attribute("title", RESTARTED)
    table.get_by_role("searchbox", name="Search the jobs").fill("nothing is called so")
    expect(names(table)).to_have_count(0)
    table.get_by_role("searchbox", name="Search the jobs").fill("swap")
    expect(names(table)).to_have_text(["swapped"])
    again = here.run("q.pending_for_me")
    expect(names(again)).to_have_text(["swapped"])
    tick(again, "swapped")
    press(again, "Reject…")
    again.get_by_label("Reason", exact=False).fill("it changed")
    press(again, "Reject this job")
    says(again, "Rejected 1 job.")


def test_strangers_texts_stay_texts_and_thousands_of_jobs_stay_pages(desk: Desk, world: World) -> None:
    uid = world.submit(NAME, CODE, "--description", DESCRIPTION)
    notebook = desk.open("many.ipynb", of(world.owner))

    card = notebook.run(f"q.get_job({uid!r})")
    expect(card.locator(".scq-description")).to_have_text(DESCRIPTION)
    press(card, "Review")
    card.locator(".scq-file", has_text="code/run.sh").click()
    expect(card.locator(".scq-code")).to_contain_text(CODE.strip())

    table = notebook.run(MADE.format(uid=uid))
    expect(names(table)).to_have_count(PAGE)
    expect(table.get_by_text(f"{MANY:,} jobs")).to_be_visible()
    press(table, "Next")
    expect(table.get_by_role("textbox", name="Page")).to_have_value("2")
    expect(names(table)).to_have_count(PAGE)
    table.get_by_role("searchbox", name="Search the jobs").fill("2099")
    expect(names(table)).to_have_text([f"2099 {NAME}"])
    assert desk.page.evaluate("window.hit") is None
    assert desk.page.locator(".scq-root").locator("img, script, svg, iframe").count() == 0

    waiting = notebook.start(f"q.wait_for_completion({uid!r}, interval=0.05, progress=True);")
    for call, status in ((("approve", uid), "approved"), (("run-approved",), "completed")):
        world.owner.scq(*call)
        expect(waiting.locator(".jp-OutputArea-child")).to_have_text([re.compile(status)])
    notebook.finish()

    saved = notebook.saved()
    states = str(saved["metadata"]["widgets"])
    assert "JobsWidget" in states or "anywidget" in states
    for secret in ("window.hit", "2099", "alert", DESCRIPTION, "echo", world.scientist.email):
        assert secret not in states

    plain = desk.open("plain.ipynb", of(world.owner))
    plain.run(WITHOUT_WIDGETS)
    page = plain.run("q.jobs_for_me")
    expect(page).to_contain_text(NAME)
    expect(page).to_contain_text("pip install 'scq[notebook]'")
    assert page.locator(".scq-root").count() == 0
    assert desk.page.evaluate("window.hit") is None
