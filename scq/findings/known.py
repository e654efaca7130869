"""Fingerprints of declared data, so that copies of it can be recognized in results without keeping the data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from msgspec import Struct

SHORTEST = 24
"""Characters a normalised line or cell has to have: shorter ones are found anywhere."""
LONGEST = 4096
"""Characters of a line that count."""
CAP = 1_000_000
_BLANKS = re.compile(r"\s+")
_CELLS = re.compile(r"[,;\t|]")


class Known(Struct, frozen=True):
    """Hashes of the lines and long cells of declared data. `complete` is False when there were more than are kept."""

    hashes: frozenset[int] = frozenset()
    complete: bool = True


def fingerprints(chunks: Iterable[bytes]) -> Known:
    """Fingerprints of data read in pieces of any size. Between two files a piece that ends a line (`b"\\n"`) has to stand."""
    found: set[int] = set()
    for line in _lines(chunks):
        for piece in pieces(line):
            if len(found) >= CAP:
                return Known(frozenset(found), complete=False)
            found.add(fingerprint(piece))
    return Known(frozenset(found))


def pieces(line: str) -> Iterator[str]:
    """The normalised line and its cells, as far as they are long enough to mean something."""
    whole = _normal(line)
    if len(whole) < SHORTEST:
        return
    yield whole
    cells = _CELLS.split(whole)
    if len(cells) > 1:
        yield from (cell for cell in map(_normal, cells) if len(cell) >= SHORTEST)


def fingerprint(piece: str) -> int:
    """64 bits of a normalised line or cell."""
    return int.from_bytes(blake2b(piece.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def _normal(text: str) -> str:
    return _BLANKS.sub(" ", text[:LONGEST]).strip(" \"'").lower()


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines of a stream. A line without end is cut, so that a file without line breaks does not fill the memory."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line[: 4 * LONGEST].decode("utf-8", "replace")
        rest = rest[: 4 * LONGEST]
    if rest:
        yield rest.decode("utf-8", "replace")
