"""What the names of result files tell. A job chooses them freely, so data can leave in them as well as in the files."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scq.findings.known import Known, fingerprint, pieces
from scq.findings.personal import emails, phones
from scq.findings.sink import Sink

MOST_COMPONENTS = 3
_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_plain(path: str) -> bool:
    """Whether a path is short and simple enough to leave without anybody looking at it.

    At most 3 components, each of at most 64 letters, digits, `.`, `_` and `-`, the first of which is a letter or a digit.
    """
    components = path.split("/")
    return len(components) <= MOST_COMPONENTS and all(_COMPONENT.fullmatch(component) for component in components)


def in_name(path: str, known: Known, sink: Sink) -> None:
    """Personal data and values of the declared data in the path of a file. One such value is enough: names are no tables."""
    # Telephone numbers stand between blanks; in names other marks take their place.
    addresses, numbers = emails(path), phones(path.replace("/", "\n").replace("_", " "))
    if addresses[0]:
        sink.add(0, "email", f"its name has an e-mail address: {addresses[1]}")
    if numbers[0]:
        sink.add(0, "phone", f"its name has a telephone number: {numbers[1]}")
    if known.hashes and any(fingerprint(piece) in known.hashes for text in _readings(path) for piece in pieces(text)):
        sink.add(0, "copied", "its name has a line or value of the declared data")


def _readings(path: str) -> Iterator[str]:
    """The path and its components as they stand, without endings, and with the usual marks for blanks read as blanks."""
    for part in dict.fromkeys((path, path.replace("/", ""), *path.split("/"))):
        for text in (part, part.rpartition(".")[0]):
            yield from (text, text.replace("_", " "), text.replace("_", " ").replace("-", " "))
