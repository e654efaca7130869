"""Jobs as HTML for notebooks without widgets: everything that matters is there, and nothing in it can act."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import scq
from scq.library.job import CodeJob
from scq.web import cards
from scq.web.seen import ITEMS
from tests.chromium import PROGRAM, Browser
from tests.people import World
from tests.unit.web.samples import HOSTILE

OWNER, SCIENTIST = "owner@example.org", "scientist@example.com"
NOW = "2026-11-21T08:27:56.137033Z"
DIGEST = "sha256:" + "ab12cd34" * 8
JOB: dict[str, Any] = {
    "id": "a1b2c3d4-0000-4000-8000-000000000000",
    "short_id": "a1b2c3d4",
    "name": "Age groups",
    "layout": "a2",
    "owner": OWNER,
    "submitter": SCIENTIST,
    "status": "pending",
    "where": "local",
    "submitted_at": NOW,
    "updated_at": NOW,
    "first_seen_at": NOW,
    "digest": DIGEST,
    "reviewed": None,
    "description": "Counts by five-year age group,\nwithout names.",
    "tags": ["ages", "pilot"],
    "kind": "python",
    "entrypoint": "main.py",
    "dependencies": ["pandas==2.2"],
    "timeout_s": 600,
    "flags": [],
    "invalid": [],
    "changed": False,
    "reason": None,
    "approval": None,
    "run": None,
    "place": None,
    "results": {"outputs": "none", "logs": "none"},
    "problems": [],
}
APPROVAL = {
    "verdict": "approve",
    "by": OWNER,
    "at": "2026-11-21T09:00:00Z",
    "reason": "reads totals only",
    "method": "manual",
    "digest": DIGEST,
    "expires_at": "2026-12-21T09:00:00Z",
    "max_runs": 2,
    "timeout_s": 60,
    "memory": 2_000_000,
    "accepted_findings": ["network"],
}
APPROVED = JOB | {"status": "approved", "reviewed": DIGEST, "approval": APPROVAL}
RUN = {
    "attempt": 2,
    "started_at": "2026-11-21T09:01:00Z",
    "finished_at": "2026-11-21T09:11:00Z",
    "duration_s": 600.0,
    "exit_code": None,
    "cause": "timeout",
}
OUT = RUN | {"attempt": 1, "started_at": None, "finished_at": None, "duration_s": None, "exit_code": None, "cause": None}
WAITS = {"state": "waiting", "id": "412", "position": 3, "starts_at": NOW}
FAILED = APPROVED | {"status": "failed", "run": RUN, "results": {"outputs": "none", "logs": "withheld"}}
COMPLETED = APPROVED | {
    "status": "completed",
    "run": RUN | {"exit_code": 0, "cause": "exit", "attempt": 1},
    "results": {"outputs": "withheld", "logs": "withheld"},
}
RELEASED = COMPLETED | {"results": {"outputs": "released", "logs": "released"}, "answer": {"verdict": "released"}}
REJECTED = JOB | {"status": "rejected", "approval": APPROVAL | {"verdict": "reject", "reason": "reads names"}}
EACH = {
    "pending": JOB,
    "read": JOB | {"reviewed": DIGEST},
    "invalid": JOB | {"invalid": ["run.sh is missing"]},
    "on drive": JOB | {"where": "drive", "flags": ["not_a_peer"]},
    "approved": APPROVED,
    "changed": APPROVED | {"changed": True, "digest": "sha256:" + "f" * 64},
    "running": APPROVED | {"status": "running"},
    "completed": COMPLETED,
    "released": RELEASED,
    "failed": FAILED,
    "rejected": REJECTED,
}


TAGS = {"div", "style", "p", "strong", "bdi", "span", "code", "pre", "br", "time"}
TAGS |= {"table", "thead", "tbody", "tr", "th", "td"}


class Markup(HTMLParser):
    """What a fragment is made of. Fails the test where tags are not nested as they should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.shape: list[tuple[str, tuple[str, ...]]] = []
        self.values: list[str] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shape.append((tag, tuple(name for name, _ in attrs)))
        self.values.extend(value or "" for _, value in attrs)
        if tag in ("p", "br", "td", "th", "table"):
            self.texts.append(" ")
        if tag != "br":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


def words(html: str) -> str:
    return Markup(html).text


def steps(html: str) -> list[str]:
    """The lines of Python of a card, without what they are said to do."""
    found = re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", html, re.DOTALL)
    return [line.partition("#")[0].strip() for block in found for line in block.replace("&#34;", '"').split("\n")]


def test_a_card_tells_everything_that_matters_of_a_job() -> None:
    shown = words(cards.job(FAILED | {"problems": [{"where": "x", "what": "its folder is odd", "advice": "Look at it."}]}))
    for part in (
        *("Age groups", "failed", "a1b2c3d4", SCIENTIST, OWNER, "2026-11-21 08:27 UTC", "ages, pilot"),
        *("Counts by five-year age group,", "main.py", "pandas==2.2", "10 min 0 s", "ab12cd34ab12"),
        *(f"Approved {OWNER} on 2026-11-21 09:00 UTC, until 2026-12-21 09:00 UTC, 2 runs, time 1 min 0 s, memory 2.0 MB",),
        *("Reason: reads totals only", "Accepted findings: network"),
        *("ran out of time, after 10 min 0 s ended 2026-11-21 09:11 UTC attempt 2", "outputs: none, logs: held here"),
        "its folder is odd. Look at it.",
    ):
        assert part in shown
    assert DIGEST not in shown
    assert "ended well, exit code 0, after 10 min 0 s" in words(cards.job(COMPLETED))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"invalid": ["run.sh is missing", "it is too large"]},
            "Cannot be run: run.sh is missing Cannot be run: it is too large",
        ),
        ({"changed": True, "status": "approved"}, "its content is no longer what was approved"),
        ({"where": "drive", "flags": ["not_a_peer"]}, "on Google Drive, not in the SyftBox folder yet"),
        ({"flags": ["not_a_peer"]}, "its sender is not an accepted peer"),
        ({"reason": "no such column"}, "Reason no such column"),
        ({"run": RUN | {"finished_at": None, "cause": None}}, "has not ended yet, after 10 min 0 s began 2026-11-21 09:01 UTC"),
        ({"run": RUN | {"cause": "of a newer version"}}, "ended in another way"),
        ({"run": RUN | {"cause": "preempted", "node": "n1"}}, "had to make room on n1, after"),
        ({"run": OUT, "place": WAITS}, "waits on the cluster: job 412, 3rd in line, expected to start at 2026-11-21 08:27 UTC"),
        ({"run": OUT, "place": {"state": "running", "node": "n1"}}, "runs on n1"),
        ({"run": OUT, "place": {"state": "of a newer version"}}, "has not ended yet"),
        ({"approval": APPROVAL | {"method": "cancel", "verdict": "reject"}}, f"Rejected (cancelled) {OWNER}"),
        ({"approval": APPROVAL | {"max_runs": 1}}, "1 run,"),
        ({"tags": [str(number) for number in range(ITEMS + 5)]}, "18, 19, and 5 more"),
    ],
)
def test_what_is_special_about_a_job_stands_on_its_card(changes: dict[str, Any], said: str) -> None:
    assert said in words(cards.job(JOB | changes))
    assert said not in words(cards.job(JOB))


@pytest.mark.parametrize(
    ("reviewed", "me", "said"),
    [
        (None, OWNER, "not read here yet"),
        (None, SCIENTIST, ""),
        (None, "", ""),
        (DIGEST, OWNER, "read here"),
        (DIGEST, "", "read here"),
        ("sha256:00", OWNER, "changed since it was read here"),
    ],
)
def test_only_its_owner_is_told_whether_a_job_was_read(reviewed: str | None, me: str, said: str) -> None:
    facts = JOB | {"reviewed": reviewed}
    assert f"Content ab12cd34ab12 {said}".strip() in words(cards.job(facts, me=me))
    assert ("read here" in words(cards.job(facts, me=me))) is bool(said)
    assert said in words(cards.jobs([facts], me=me))


OWNERS = {
    "pending": ["review()", "diff()", 'approve("reason")', 'reject("reason")'],
    "read": ["diff()", 'approve("reason")', 'reject("reason")'],
    "invalid": ["review()", 'reject("reason")'],
    "on drive": ["review()", "q.check(fetch=True)", 'reject("reason")'],
    "approved": ["q.run_approved()", 'reject("reason")'],
    "changed": ["review()", "diff()", 'approve("reason")', 'reject("reason")'],
    "running": ["wait()"],
    "completed": ["get_logs()", "output_files()", 'release("reason")', 'withhold("reason")', "rerun()"],
    "released": ["get_logs()", "output_files()", "rerun()"],
    "failed": ["get_logs()", 'release("reason", outputs=False, logs=True)', 'withhold("reason")', "rerun()"],
    "rejected": [],
}
SUBMITTERS = {
    **{state: ["wait()", 'cancel("reason")'] for state in ("pending", "read", "invalid", "on drive", "approved", "changed")},
    "running": ["wait()"],
    "released": ["get_logs()", "get_output()"],
}


@pytest.mark.parametrize("state", EACH)
def test_the_next_steps_are_those_of_whoever_looks(state: str) -> None:
    def expected(calls: list[str]) -> list[str]:
        lines = [call if call.startswith("q.") else f"job.{call}" for call in calls]
        return ['job = q.get_job("a1b2c3d4")', *lines] if lines else []

    owners, submitters = expected(OWNERS[state]), expected(SUBMITTERS.get(state, []))
    assert steps(cards.job(EACH[state], me=OWNER.upper())) == owners
    assert steps(cards.job(EACH[state], me=SCIENTIST)) == submitters
    assert steps(cards.job(EACH[state])) == owners + submitters
    assert steps(cards.job(EACH[state], me="third@example.net")) == []


def test_who_sends_a_job_to_himself_reads_each_step_once() -> None:
    found = steps(cards.job(RELEASED | {"submitter": OWNER}, me=OWNER))
    assert len(found) == len(set(found)) == 5


def test_a_job_that_its_submitter_cannot_withdraw_has_no_such_step() -> None:
    assert steps(cards.job(JOB | {"layout": "b1"}, me=SCIENTIST))[1:] == ["job.wait()"]


@pytest.mark.parametrize("state", EACH)
def test_every_step_is_a_call_of_the_library(state: str) -> None:
    for line in steps(cards.job(EACH[state])):
        (statement,) = ast.parse(line).body
        assert isinstance(statement, ast.Expr | ast.Assign)
        call = statement.value
        assert isinstance(call, ast.Call)
        assert isinstance(call.func, ast.Attribute)
        assert isinstance(call.func.value, ast.Name)
        named = {keyword.arg: None for keyword in call.keywords}
        receiver = {"job": CodeJob, "q": scq}[call.func.value.id]
        bound = [None] if receiver is CodeJob else []
        inspect.signature(getattr(receiver, call.func.attr)).bind(*bound, *call.args, **named)  # type: ignore[arg-type]


def test_a_step_never_holds_what_is_no_id() -> None:
    assert 'get_job("' not in cards.job(JOB | {"short_id": 'x"); q.approve("'}).replace("&#34;", '"')


def test_a_table_shows_the_newest_jobs_first_and_counts_them_all() -> None:
    rows = [JOB | {"short_id": f"{number:08d}", "name": f"job-{number}", "status": "failed"} for number in range(10_000)]
    rows[0] = JOB
    html = cards.jobs(rows, title="All jobs", me=OWNER)
    shown = words(html)
    assert "All jobs 10,000 jobs pending 1, failed 9,999" in shown
    assert re.findall(r"job-\d+", shown) == [f"job-{number}" for number in range(9_999, 9_899, -1)]
    assert "And 9,900 more: filter the collection, or install scq[notebook] for a table with search." in shown
    assert 'One of them: job = q.get_job("00009999")' in shown
    assert len(html) < 100_000


def test_a_table_of_the_newest_of_many_counts_no_status_it_has_not_seen() -> None:
    shown = words(cards.jobs([JOB, APPROVED], total=10_000))
    assert shown.startswith("Jobs 10,000 jobs Job Id Status")
    assert "And 9,998 more" in shown
    assert "more" not in words(cards.jobs([JOB], total=0))


def test_a_table_leaves_out_the_column_that_is_always_you() -> None:
    assert "Status From Submitted Tags" in words(cards.jobs([JOB, APPROVED], me=OWNER))
    assert "Status For Submitted Tags" in words(cards.jobs([JOB], me=SCIENTIST))
    assert "Status From For Submitted Tags" in words(cards.jobs([JOB]))
    assert "Status From For Submitted Tags" in words(cards.jobs([JOB, JOB | {"owner": SCIENTIST, "submitter": OWNER}], me=OWNER))


def test_a_table_says_what_is_wrong_with_a_job() -> None:
    shown = words(cards.jobs([EACH["invalid"], EACH["changed"], JOB | {"reviewed": "sha256:0"}], me=OWNER))
    assert "pending cannot be run not read here yet" in shown
    assert "approved changed since it was approved" in shown
    assert "pending changed since it was read here" in shown


def test_a_table_says_where_a_job_on_a_cluster_is() -> None:
    assert "waits (3rd)" in words(cards.jobs([JOB | {"status": "running", "run": OUT, "place": WAITS}]))


def test_a_table_of_nothing_says_so() -> None:
    assert words(cards.jobs([], title="Waiting for you")) == "Waiting for you 0 jobs There is nothing here."


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_of_a_stranger_becomes_markup(text: str) -> None:
    """With a hostile text everywhere a fragment has the very same tags and attributes as with a harmless text."""

    def made(word: str) -> tuple[Markup, Markup]:
        facts = dict.fromkeys(
            ("short_id", "name", "owner", "submitter", "status", "digest", "description", "kind", "entrypoint"), word
        )
        facts |= {"tags": [word, word], "dependencies": [word], "invalid": [word], "flags": [word], "changed": True}
        facts |= {"reviewed": word, "where": word, "layout": word, "id": word, "submitted_at": NOW, "reason": word}
        facts |= {
            "approval": APPROVAL | {"verdict": word, "by": word, "reason": word, "method": word, "accepted_findings": [word]}
        }
        facts |= {"run": RUN | {"cause": word}, "problems": [{"where": word, "what": word, "advice": word}]}
        return Markup(cards.job(facts)), Markup(cards.jobs([facts], title=word))

    for bad, good in zip(made(text), made("a harmless word"), strict=True):
        assert bad.shape == good.shape
        assert bad.values == good.values
        assert not re.search(
            "[\u0000-\u0008\u000b-\u001f\u200b\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]", "".join(bad.texts)
        )
        assert "a" * (cards.LONG_TEXT + 1) not in "".join(bad.texts)


def test_nothing_is_loaded_and_nothing_can_act() -> None:
    for html in (*(cards.job(facts) for facts in EACH.values()), cards.jobs(list(EACH.values()))):
        found = Markup(html)
        assert {tag for tag, _ in found.shape} <= TAGS
        names = {name for _, attributes in found.shape for name in attributes}
        assert names <= {"class", "datetime", "scope", "data-label"}
        assert not re.search(r"url\(|@import|@font-face|expression|http", html)


def test_the_style_touches_nothing_outside() -> None:
    (style,) = re.findall("<style>(.*?)</style>", cards.job(JOB), re.DOTALL)
    style = re.sub(r"/\*.*?\*/", "", style)
    selectors = [part.strip() for rule in re.findall(r"([^{};]+)\{", style) for part in rule.split(",")]
    assert all(part.startswith((".scq-static", "& ", "@media", "@container")) for part in selectors)


def test_a_description_of_a_megabyte_is_cut() -> None:
    for letter in ("x", "<", "\u202e", "\n", "x "):
        html = cards.job(JOB | {"description": letter * (1 << 20)})
        assert len(html) < 30_000
    assert "x" * (cards.LONG_TEXT - 1) + "…" in cards.job(JOB | {"description": "x" * (1 << 20)})


PLACE = ("state", "id", "partition", "node", "why", "position", "starts_at", "since")
ANYTHING: some.SearchStrategy[Any] = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats()
    | some.text(max_size=20)
    | some.binary(max_size=5)
    | some.just(NOW)
    | some.sampled_from(["waiting", "running", "ending", "unknown"]),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(some.sampled_from([*APPROVAL, *RUN, *PLACE, "outputs", "logs", "what", "advice"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(some.dictionaries(some.sampled_from([*JOB, "answer"]), ANYTHING, max_size=12))
@settings(max_examples=40, deadline=None)
def test_facts_of_any_other_type_are_left_out(facts: dict[str, Any]) -> None:
    facts = {key: value for key, value in facts.items() if key != "status"} | {"status": facts.get("status", "failed")}
    for html in (cards.job(facts), cards.job(JOB | facts, me=OWNER), cards.jobs([facts, JOB])):
        assert Markup(html).shape[0] == ("div", ("class",))


def test_a_job_that_says_nothing_is_a_card_too() -> None:
    assert words(cards.job({})) == "(no name) unknown From (unknown)"
    assert "(no name)" in words(cards.jobs([{}]))
    assert "unknown 1" in words(cards.jobs([{}]))


def test_a_job_of_the_folders_is_a_card(tmp_path: Path) -> None:
    world = World(tmp_path)
    facts = world.owner.job(world.submit("Age groups"))
    shown = words(cards.job(facts, me=facts["owner"]))
    assert shown.startswith("Age groups pending")
    assert facts["digest"][7:19] in shown
    assert "not read here yet" in shown


def test_an_exported_notebook_shows_them() -> None:
    import nbformat  # loading these two takes longer than most tests
    from nbconvert import HTMLExporter

    outputs = [nbformat.v4.new_output("display_data", {"text/html": html}) for html in (cards.job(JOB), cards.jobs([JOB]))]
    cell = nbformat.v4.new_code_cell("q.pending_for_me", outputs=outputs, id="first")
    page, _ = HTMLExporter(embed_images=True).from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    (style,) = re.findall("<style>(.*?)</style>", cards.job(JOB), re.DOTALL)
    assert page.count('<div class="scq-static">') == page.count(style) == 2
    assert 'job.approve("reason")' in page


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not PROGRAM:
        pytest.skip("no Chromium here")
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        opened.ask("Accessibility.disable")
        yield opened


def test_a_browser_shows_them_on_every_screen_and_asks_for_nothing(browser: Browser, tmp_path: Path) -> None:
    hostile = [JOB | dict.fromkeys(("name", "description", "submitter"), text) | {"tags": [text]} for text in HOSTILE]
    every = [cards.job(facts, me=OWNER) for facts in (*EACH.values(), *hostile)]
    page = tmp_path / "page.html"
    head = '<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>Jobs</title>'
    text = head + '<link rel="icon" href="data:,">' + "".join(every) + cards.jobs([*EACH.values(), *hostile])
    page.write_text(text, "utf-8")
    colours = set()
    for width, scheme in ((1200, "light"), (1200, "dark"), (360, "light")):
        browser.look(width, scheme=scheme)
        browser.open(page)
        assert browser.run("document.documentElement.scrollWidth") <= width
        paper, ink = browser.run(
            "(style => [style.backgroundColor, style.color])(getComputedStyle(document.querySelector('.scq-static')))"
        )
        assert paper != ink
        colours.add((scheme, paper, ink))
        for event in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Page.javascriptDialogOpening"):
            assert browser.named(event) == []
        asked = [event["request"]["url"].split(":")[0] for event in browser.named("Network.requestWillBeSent")]
        assert set(asked) <= {"file", "data"}
        assert asked.count("file") == 1
    assert len(colours) == 2
