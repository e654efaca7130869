"""The site of the documents: links lead where they do in the repository, and files are enough to read and search it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.chromium import PROGRAM, Browser

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])
HOME = """# Home

See [the start](../README.md#install), [another](other.md) and
[a file](../LICENSE).

```
[no link](../README.md)
```
"""
FOUND = """
(async () => {
  for (let tries = 0; tries < 200; tries++) {
    const found = document.querySelector(".md-search-result__item a")
    if (found) return found.href.split("/").pop().split("?")[0]
    await new Promise(done => setTimeout(done, 50))
  }
})()
"""


@pytest.fixture(scope="module")
def hook() -> Any:
    spec = spec_from_file_location("site_hook", ROOT / "docs" / "site.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of two pages, made with the settings of the real one but for the reference."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "docs").mkdir()
    (folder / "docs" / "index.md").write_text(HOME)
    (folder / "docs" / "other.md").write_text("# Other\n\nAbout wombats.\n")
    settings = (ROOT / "mkdocs.yml").read_text("utf-8")
    for name in ("nav", "watch", "site_dir", "docs_dir", "extra_css"):
        settings = re.sub(rf"^{name}:.*\n(?:[ ].*\n)*", "", settings, flags=re.M)
    settings = re.sub(r"^  - mkdocstrings:\n(?:    .*\n)*", "", settings, flags=re.M)
    settings = settings.replace("docs/site.py", str(ROOT / "docs" / "site.py"))
    (folder / "docs" / "assets").mkdir()
    (folder / "docs" / "assets" / "iframe-worker.js").write_bytes((ROOT / "docs" / "assets" / "iframe-worker.js").read_bytes())
    (folder / "mkdocs.yml").write_text(settings)
    command = [sys.executable, "-m", "mkdocs", "build", "--config-file", str(folder / "mkdocs.yml")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, env={"NO_MKDOCS_2_WARNING": "1"})
    assert done.returncode == 0, done.stderr
    assert "index.md' contains a link" not in done.stderr
    return folder / "site"


def test_links_to_other_documents_of_the_repository_lead_to_pages(site: Path) -> None:
    page = (site / "index.html").read_text("utf-8")
    assert 'href="repository/index.html#install"' in page
    assert 'href="other.html"' in page
    assert 'href="repository/LICENSE"' in page
    assert "[no link](../README.md)" in page
    assert "make demo" in (site / "repository" / "index.html").read_text("utf-8")
    assert (site / "repository" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.skipif(not PROGRAM, reason="no Chromium on this machine")
def test_opened_as_files_it_can_be_searched_and_asks_nobody_else(site: Path, tmp_path: Path) -> None:
    with Browser(tmp_path) as browser:
        browser.look(1280)
        browser.open(site / "index.html")
        browser.run('document.querySelector(".md-search__input").focus()')
        browser.write("wombat")
        browser.press("s", "s")
        assert browser.run(FOUND) == "other.html"
        asked = {event["request"]["url"].partition(":")[0] for event in browser.named("Network.requestWillBeSent")}
    assert asked <= {"file", "data", "blob", "about"}


def test_a_page_that_would_load_something_from_elsewhere_is_told(hook: Any, caplog: pytest.LogCaptureFixture) -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="index.md"))
    hook.on_post_page('<a href="https://example.org">x</a><img src="assets/x.png">', page, None)
    assert caplog.messages == []
    hook.on_post_page('<script async src="https://cdn.example.org/x.js"></script>', page, None)
    assert caplog.messages == ["index.md would load https://cdn.example.org/x.js"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_list_begins_after_a_blank_line_or_it_is_none_on_the_site(document: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.S | re.M)
    begins = re.findall(r"^(?![ *#>|<]|\d+\. |- )\S.*\n(?:[*-]|1\.) .*", prose, re.M)
    assert begins == []
