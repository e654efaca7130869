"""The page as markup: it needs nothing else, nothing in it can act, and everybody can read it."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import get_args

import pytest
from msgspec.structs import replace

from scq.model import Cause
from scq.timeline import Story
from scq.web.page import CAUSES, FILES, JOBS, LONGEST, PEOPLE, ROWS, render
from tests.unit.web.samples import HOSTILE, NOW, OWNER, history, hostile, own, page
from tests.unit.web.samples import PEOPLE as SUBMITTERS

VOID = {"meta", "link", "input"}
LOADING = {"src", "srcset", "data", "action", "formaction", "poster", "background", "ping", "xlink:href"}


class Markup(HTMLParser):
    """What a page is made of. Fails the test where tags are not nested as they should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Tags and the names of their attributes."""
        return [(tag, tuple(attributes)) for tag, attributes in self.tags]

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module", params=["own", "public", "empty", "hostile"])
def shown(request: pytest.FixtureRequest) -> str:
    made = {
        "own": lambda: page(history(60)),
        "public": lambda: page(history(60), public=True),
        "empty": lambda: page(()),
        "hostile": lambda: page(hostile(), text=HOSTILE[0]),
    }
    return render(made[request.param]())


def test_the_policy_allows_the_one_style_and_the_one_script_and_nothing_else(shown: str) -> None:
    policies = [meta["content"] for meta in Markup(shown).named("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    (policy,) = policies
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", shown, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules.pop(rule) == f"'sha256-{digest}'"
    assert rules.keys() == {"default-src", "img-src", "base-uri", "form-action"}
    assert shown.index("Content-Security-Policy") < shown.index("<style>")


def test_nothing_is_loaded_and_no_attribute_can_act(shown: str) -> None:
    for tag, attributes in Markup(shown).tags:
        assert not LOADING & attributes.keys(), (tag, attributes)
        assert "style" not in attributes, (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        link = attributes.get("href")
        assert link is None or link == "data:," or re.fullmatch("#[a-z]+", link), (tag, link)
    assert not {"iframe", "object", "embed", "base", "img", "video", "foreignobject"} & {tag for tag, _ in Markup(shown).tags}
    assert "url(" not in shown
    assert "@import" not in shown


def test_a_page_is_not_passed_on_and_not_found(shown: str) -> None:
    metas = {meta.get("name"): meta.get("content") for meta in Markup(shown).named("meta")}
    assert metas["referrer"] == "no-referrer"
    assert "noindex" in (metas["robots"] or "")


def test_the_markup_can_be_found_ones_way_in_without_eyes(shown: str) -> None:
    found = Markup(shown)
    tags = [tag for tag, _ in found.tags]
    assert [tags.count(tag) for tag in ("h1", "main", "header", "footer", "nav")] == [1, 1, 1, 1, 1]
    assert found.named("html")[0]["lang"] == "en"
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for _, attributes in found.tags:
        for name in (attributes.get("aria-labelledby") or "").split():
            assert name in ids
        link = attributes.get("href") or ""
        assert not link.startswith("#") or link[1:] in ids
    assert all("scope" in head for head in found.named("th"))
    assert tags.count("caption") == tags.count("table")
    for picture in found.named("svg"):
        assert picture.get("aria-hidden") == "true" or (
            picture["role"] == "img" and {"aria-label", "aria-labelledby"} & picture.keys()
        )
    for field in ("input", "select"):
        assert tags.count(field) <= tags.count("label")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_of_a_stranger_becomes_markup(text: str) -> None:
    """A page with a hostile text everywhere has the very same tags and attributes as one with a harmless text."""

    def made(word: str) -> Story:
        known = {
            "name": word,
            "submitter": word,
            "description": word,
            "tags": (word,),
            "digest": word,
            "detail": word,
            "notes": (word,),
        }
        base = hostile()[1]
        assert base.verdict is not None
        return replace(
            base,
            **known,
            verdict=replace(base.verdict, by=word, reason=word),
            results=replace(base.results, by=word, reason=word),
        )

    bad, good = Markup(render(page([made(text)], text=text))), Markup(render(page([made("harmless")], text="harmless")))
    assert bad.shape == good.shape
    values = [
        value
        for _, attributes in bad.tags
        for name, value in attributes.items()
        if value and name in ("data-from", "value", "aria-label")
    ]
    for shown in (*bad.texts[bad.texts.index("Skip to the content") :], *values):
        assert not re.search("[\u0000-\u0008\u000b-\u001f\u200b\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]", shown)
        assert "a" * (LONGEST + 1) not in shown


def test_the_page_of_a_submitter_names_nobody_else_and_nothing_of_the_owner() -> None:
    secret = "something-of-the-owner"
    stories = tuple(replace(one, description=secret if one.submitter != SUBMITTERS[0] else "") for one in history(80))
    shown = render(page(stories, public=True))
    assert SUBMITTERS[0] in shown
    assert not [address for address in SUBMITTERS[1:] if address in shown]
    for word in (secret, own().run_id, own().audit.head, "channel owner-mail", "scq review", "wait for you"):
        assert word not in shown
    assert shown.count(OWNER) == 2  # in the title and the heading


def test_an_owner_sees_what_waits_with_the_command_that_shows_it() -> None:
    waiting = next(one for one in history(60) if one.status == "pending")
    shown = render(page(history(60)))
    assert f"scq review {waiting.short_id}" in shown
    assert waiting.digest[:12] in shown
    assert "d" * 64 in shown


def test_a_log_that_was_changed_and_a_folder_that_cannot_be_read_stand_on_the_page() -> None:
    changed = own()
    changed = replace(changed, audit=replace(changed.audit, wrong="line 3 was changed"))
    shown = render(replace(page(history(5)), own=changed, complete=False))
    assert "not as it was written: <bdi>line 3 was changed</bdi>" in shown
    assert "Not everything could be read" in shown


def test_ten_thousand_jobs_make_a_page_of_a_few_megabytes_that_says_what_it_leaves_out() -> None:
    many = page(history(10_000, days=900))
    submitters = tuple(replace(many.summary.people[0], address=f"p{number}@example.org") for number in range(PEOPLE + 5))
    shown = render(replace(many, summary=replace(many.summary, people=submitters)))
    assert len(shown) < 2_500_000
    assert shown.count("data-status=") == JOBS
    assert f"The newest {JOBS} of 10000 jobs are shown. Figures count all of them." in shown
    assert f"The newest {ROWS} of" in shown
    assert f"The {PEOPLE} with the most jobs of {PEOPLE + 5} submitters are shown." in shown
    newest = max(many.stories, key=lambda one: one.submitted_at)
    assert shown.index('id="jobs-table"') < shown.rindex(newest.short_id)


def test_many_files_of_one_release_and_many_problems_are_cut_with_a_note() -> None:
    released = next(one for one in history(60) if one.results.outcome == "released")
    files = released.results.files[:1] * (FILES + 3)
    mine = replace(own(), problems=own().problems * (FILES + 2))
    shown = render(replace(page([replace(released, results=replace(released.results, files=files))]), own=mine))
    assert "and 3 more" in shown
    assert "And 2 more" in shown


def test_every_cause_has_its_words() -> None:
    assert set(CAUSES) == {*get_args(Cause), ""}


def test_where_a_job_is_or_was_on_a_cluster_stands_with_its_run() -> None:
    waits = Story("aaaa1111-x", "count", "s@example.com", "running", NOW, where="waits on the cluster: job 412")
    ran = replace(waits, id="bbbb2222-x", status="failed", began_at=NOW, ended_at=NOW, cause="node", where="on n1")
    shown = " ".join(re.sub("<[^>]*>", " ", render(page([waits, ran]))).split())
    assert "waits on the cluster: job 412" in shown
    assert "lost the machine it ran on on n1" in shown


def test_an_empty_queue_makes_a_calm_page() -> None:
    shown = render(page((), since=NOW - timedelta(days=90)))
    for words in ("No job waits for your decision.", "There are no jobs.", "Nothing was decided yet.", "since 23 August 2026"):
        assert words in shown
    assert 'id="find"' not in shown
    assert "Nothing happened in this time." in shown
    assert "Nothing happened yet." in render(page(()))


def test_one_job_on_one_day_is_told_in_the_singular() -> None:
    one = Story("1a2b3c4d", "count", OWNER, "pending", NOW - timedelta(hours=2))
    shown = render(page((one,)))
    assert "<b>1 job waits</b> for your decision, for <b>2 h</b>." in shown
    assert "one day: 21 November 2026" in shown


def test_text_can_be_read_against_its_ground_in_both_schemes() -> None:
    """WCAG 2.2, 1.4.3 and 1.4.11: contrast of at least 4.5, and of 3 for the parts of a chart."""
    style = render(page(())).split("<style>")[1].split("</style>")[0]
    light = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", style.split("@media", 1)[0]))
    dark = light | dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", style.split("@media", 1)[1].split("* {", 1)[0]))
    assert light["paper"] != dark["paper"]
    for colours in (light, dark):
        for ground in ("paper", "panel"):
            for word in ("ink", "soft", "accent", "pending", "approved", "running", "completed", "failed", "rejected"):
                assert contrast(colours[word], colours[ground]) >= 4.5, (word, ground, colours)
        for word in ("wait", "queue"):
            assert contrast(colours[word], colours["paper"]) >= 3, (word, colours)


def contrast(one: str, other: str) -> float:
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
