"""Extension of griffe: docstrings are written to be read in the code; here they become Markdown."""

from __future__ import annotations

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^>>> .*?(?=\n\n|\Z)", re.S | re.M)
DOCUMENT = re.compile(r"\bdocs/([\w-]+)\.md\b")


class Docstrings(griffe.Extension):
    """Makes examples blocks of code, and names of documents links to them."""

    def on_object(self, *, obj: griffe.Object, **of_griffe: Any) -> None:
        if obj.docstring:
            fenced = EXAMPLE.sub(r"```pycon\n\g<0>\n```", obj.docstring.value)
            obj.docstring.value = DOCUMENT.sub(r"[\1.md](../\1.md)", fenced)
