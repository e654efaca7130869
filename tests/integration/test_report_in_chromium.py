"""The report in a real browser: filtered, printed, on a phone, in the dark, without scripts, and full of hostile text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scq.web.page import render
from tests.chromium import PROGRAM, Browser
from tests.unit.web.samples import HOSTILE, PEOPLE, history, hostile, page

pytestmark = pytest.mark.skipif(not PROGRAM, reason="needs Chromium (apt-get install chromium)")

SHOWN = "[...document.querySelectorAll('#jobs-table tbody tr')].filter(row => row.checkVisibility())"
SCREENS = (("own", 1280, "light"), ("hostile", 360, "light"), ("public", 1280, "dark"), ("own", 360, "dark"))
COUNT = 24


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {
        "own": page(history(COUNT)),
        "public": page(history(COUNT), public=True),
        "hostile": page(hostile(), text=HOSTILE[0]),
    }
    places = {name: folder / f"{name}.html" for name in made}
    for name, place in places.items():
        place.write_text(render(made[name]), encoding="utf-8")
    return places


def quiet(browser: Browser) -> bool:
    """Nothing was loaded but the page, and neither it nor its policy complained."""
    loud = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Page.javascriptDialogOpening")
    events: list[dict[str, Any]] = [event for name in loud for event in browser.named(name)]
    loaded = [event["request"]["url"] for event in browser.named("Network.requestWillBeSent")]
    return not events and len(loaded) == 1 and loaded[0].startswith("file:")


@pytest.mark.parametrize(("name", "width", "scheme"), SCREENS)
def test_a_page_is_quiet_and_fits_every_screen(
    browser: Browser, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    browser.look(width, scheme=scheme)
    browser.open(pages[name])
    browser.run("for (const part of document.querySelectorAll('details')) part.open = true")
    assert browser.run("document.documentElement.scrollWidth") <= width
    red = browser.run("Number(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0])")
    assert red > 200 if scheme == "light" else red < 60
    assert browser.run("document.querySelectorAll('script').length") == 1
    assert quiet(browser)


def test_jobs_are_searched_and_filtered_with_the_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    browser.look(1280)
    browser.open(pages["own"])
    every = browser.run(f"{SHOWN}.length")
    assert every == COUNT
    assert browser.run("document.getElementById('found').textContent") == f"All {COUNT} rows"
    browser.press("/")
    assert browser.run("document.activeElement.name") == "q"
    browser.write("CURVE scientist")
    names = browser.run(f"{SHOWN}.map(row => row.textContent)")
    assert 0 < len(names) < every
    assert all("curve" in name and PEOPLE[0] in name for name in names)
    assert browser.run("document.getElementById('found').textContent") == f"{len(names)} of {COUNT} rows"
    assert browser.run("document.getElementById('found').getAttribute('aria-live')") == "polite"
    browser.press("Tab")
    assert browser.run("document.activeElement.name") == "status"
    browser.run("const s = document.activeElement; s.value = 'failed'; s.dispatchEvent(new Event('input', {bubbles: true}))")
    assert browser.run("location.hash") == "#q=CURVE+scientist&status=failed"
    assert browser.run(f"{SHOWN}.every(row => row.dataset.status === 'failed')")
    browser.run("document.querySelector('[type=reset]').click()")
    assert browser.run(f"new Promise(done => setTimeout(() => done({SHOWN}.length)))") == every
    assert browser.run("location.hash") == ""
    browser.press("/")
    browser.write("no such job")
    assert browser.run(f"{SHOWN}.length") == 0
    assert browser.run("document.querySelector('.nothing').checkVisibility()")
    browser.press("Escape")
    assert browser.run(f"{SHOWN}.length") == every
    assert quiet(browser)


def test_a_filtered_view_is_passed_on_as_an_address(browser: Browser, pages: dict[str, Path]) -> None:
    browser.look(1280)
    one = next(job for job in history(COUNT) if (job.status, job.submitter) == ("completed", PEOPLE[0]))
    browser.open(pages["own"], f"#q={one.name}&status=completed&from={PEOPLE[0]}")
    shown = browser.run(f"{SHOWN}.map(row => [row.dataset.status, row.dataset.from])")
    assert shown
    assert all(row == ["completed", PEOPLE[0]] for row in shown)
    assert browser.run("document.querySelector('[name=q]').value") == one.name
    assert browser.run("document.getElementById('jobs').getBoundingClientRect().top") < 900
    browser.open(pages["own"], "#status=no-such-status")
    assert browser.run(f"{SHOWN}.length") == COUNT
    browser.open(pages["own"], "#audit")
    assert browser.run(f"{SHOWN}.length") == COUNT
    browser.open(pages["hostile"], "#q=%3Cscript%3Ealert(1)%3C%2Fscript%3E&from=%22%3E%3Cimg%20src%3Dx%3E")
    assert browser.run(f"{SHOWN}.length") == 1
    assert quiet(browser)


def test_the_policy_stops_what_was_not_in_the_page(browser: Browser, pages: dict[str, Path]) -> None:
    """That a page is quiet says something only when its policy is in force."""
    browser.look(1280)
    browser.open(pages["own"])
    stopped = browser.run(
        """new Promise(done => {
            const stopped = [];
            document.addEventListener('securitypolicyviolation', (event) => {
                stopped.push(event.effectiveDirective);
                if (stopped.length === 4) done(stopped.sort());
            });
            const script = document.createElement('script');
            script.textContent = 'window.acted = true';
            document.body.append(script);
            const style = document.createElement('style');
            style.textContent = 'body { display: none }';
            document.body.append(style);
            const image = new Image();
            image.src = 'http://127.0.0.1:9/x.png';
            fetch('http://127.0.0.1:9/').catch(() => 0);
        })"""
    )
    assert stopped == ["connect-src", "img-src", "script-src-elem", "style-src-elem"]
    assert browser.run("window.acted === undefined && getComputedStyle(document.body).display === 'block'")


def test_a_page_is_readable_on_paper_and_without_scripts(browser: Browser, pages: dict[str, Path]) -> None:
    browser.look(700, scheme="dark", media="print")
    browser.open(pages["own"])
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("document.documentElement.scrollWidth") <= 700
    assert not browser.run("document.querySelector('nav').checkVisibility()")
    assert not browser.run("document.getElementById('find').checkVisibility()")
    assert browser.pdf().startswith(b"%PDF-")
    browser.look(1280)
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(pages["own"], "#status=failed")
        assert not browser.run("document.getElementById('find').checkVisibility()")
        assert browser.run(f"{SHOWN}.length") == COUNT
    finally:
        browser.ask("Emulation.setScriptExecutionDisabled", value=False)


def test_a_page_tells_its_structure_to_those_who_do_not_see_it(browser: Browser, pages: dict[str, Path]) -> None:
    browser.look(360)
    browser.open(pages["own"])
    nodes = browser.ask("Accessibility.getFullAXTree")["nodes"]
    told = {(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")}
    roles = [role for role, _ in told]
    assert {"main", "navigation", "banner", "contentinfo", "search", "status"} <= set(roles)
    assert ("table", "Jobs, the newest first") in told
    assert ("columnheader", "Submitted") in told
    assert ("searchbox", "Search") in told
    assert ("combobox", "Status") in told
    assert any(role == "image" and name.startswith("Submitted per day") for role, name in told)
    assert ("region", "Audit log") in told
