"""One browser for all tests of the notebook's widget."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chromium import PROGRAM, Browser
from tests.unit.web import notebook


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not PROGRAM:
        pytest.skip("no Chromium here")
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        browser.ask("Accessibility.disable")  # to keep that tree up to date costs more than all the rest
        notebook.open_page(browser, tmp_path_factory.mktemp("page") / "page.html")
        yield browser


@pytest.fixture
def browser(started: Browser) -> Iterator[Browser]:
    """The browser with the page; at the end nothing was thrown, written to the console, or asked of any network."""
    started.look(900)
    yield started
    started.run("leave()")
    for event in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Page.javascriptDialogOpening"):
        assert started.named(event) == []
    asked = [event["request"]["url"] for event in started.named("Network.requestWillBeSent")]
    assert {url.split(":")[0] for url in asked} <= {"file", "blob"}
    del started.events[:]
