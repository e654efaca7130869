"""Hook of mkdocs: documents of the repository that are not in docs/ become pages of the site as well, and links between all of
them lead there. In the repository every link stays what it is: the way from one file to another.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS, ELSEWHERE = "docs/", "repository/"
"""Where the pages of the site come from, and the part of the site that holds what else is in the repository."""
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md")
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|[#/])([^)#\s]+)")
LOADED = re.compile(r"<(?:script|link|img|iframe|source|video|audio)\b[^>]*\s(?:src|href)=\"((?:https?:)?//[^\"]+)")
FENCED = re.compile(r"^(```.*?^```)", re.S | re.M)


def on_startup(command: Literal["build", "gh-deploy", "serve"], dirty: bool) -> None:
    """Say of a build only what is wrong. With `--quiet`, `--strict` would not see warnings either."""
    if command == "build":
        logging.getLogger("mkdocs").setLevel(logging.WARNING)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add these pages and the files they, and those in docs/, lead to."""
    for name in PAGES:
        files.append(File.generated(config, ELSEWHERE + name, abs_src_path=str(ROOT / name)))
    for file in list(files.documentation_pages()):
        here = in_repository(file.src_uri)
        for target in LINK.findall(prose(file.content_string)):
            found = resolved(here, target)
            if place(found).startswith(ELSEWHERE) and not files.get_file_from_path(place(found)) and (ROOT / found).is_file():
                files.append(File.generated(config, place(found), abs_src_path=str(ROOT / found)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead each link of a page to its place on the site."""
    here = in_repository(page.file.src_uri)
    folder = posixpath.dirname(page.file.src_uri) or "."

    def led(link: re.Match[str]) -> str:
        return posixpath.relpath(place(resolved(here, link[1])), folder)

    return "".join(part if part.startswith("```") else LINK.sub(led, part) for part in FENCED.split(markdown))


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """The site loads nothing from anywhere else: a page that would is a warning, which `--strict` makes a failure."""
    for address in LOADED.findall(output):
        logging.getLogger("mkdocs.plugins.site").warning("%s would load %s", page.file.src_uri, address)
    return output


def prose(markdown: str) -> str:
    """A document without its fenced blocks."""
    return FENCED.sub("", markdown)


def resolved(here: str, target: str) -> str:
    """The file of the repository that a link in the file `here` leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(here), target))


def in_repository(uri: str) -> str:
    """The file of the repository that is at this place of the site."""
    return uri.removeprefix(ELSEWHERE) if uri.startswith(ELSEWHERE) else DOCS + uri


def place(path: str) -> str:
    """The place of the site that a file of the repository has."""
    return path.removeprefix(DOCS) if PurePosixPath(path).is_relative_to(DOCS) else ELSEWHERE + path
