"""Whatever stands in the place of an answer of Drive: it is read safely, or refused in one way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scq.clean import is_address
from scq.drive import reading
from scq.drive.items import Change, File

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
GOOD: dict[str, Any] = {
    "id": "1aB-_",
    "name": "msgv2_1.5_x.tar.gz",
    "mimeType": "application/octet-stream",
    "trashed": False,
    "parents": ["2"],
    "createdTime": "2026-11-21T10:00:00.000Z",
    "modifiedTime": "2026-11-21T11:00:00+02:00",
    "size": "12",
    "md5Checksum": "0" * 32,
    "owners": [{"emailAddress": "Alice@Uni.Example"}],
}
ODD = st.builds(lambda change: GOOD | change, st.dictionaries(st.sampled_from(sorted(GOOD)), JSON, max_size=3))


def is_sound(file: File) -> bool:
    times = [time for time in (file.created_at, file.modified_at) if time is not None]
    return (
        all(reading.is_identity(id) for id in (file.id, *file.parents))
        and file.name.isprintable()
        and len(file.name) <= reading.NAME_LIMIT + 1
        and all(is_address(owner) and owner == owner.lower() for owner in file.owners)
        and (file.size is None or file.size >= 0)
        and all(time.utcoffset() == timedelta(0) for time in times)
    )


def refusal(read: Callable[[], object]) -> str:
    """How it is refused; empty when it is read."""
    try:
        read()
    except ValueError as error:
        return str(error)
    return ""


@given(ODD | JSON)
def test_a_file_is_sound_or_refused(row: Any) -> None:
    refused = refusal(lambda: reading.file_of(row))
    assert refused.isprintable()
    assert refused or is_sound(reading.file_of(row))


@given(
    st.builds(lambda file, change: {"fileId": "1aB-_", "file": file} | change, ODD, st.dictionaries(st.just("removed"), JSON))
    | JSON
)
def test_a_change_is_sound_or_refused(row: Any) -> None:
    refused = refusal(lambda: reading.change_of(row))
    assert refused.isprintable()
    change = None if refused else reading.change_of(row)
    assert change is None or (reading.is_identity(change.id) and (change.file is None or is_sound(change.file)))


@given(JSON, st.dictionaries(st.sampled_from(["files", "nextPageToken"]), JSON))
def test_permissions_pages_and_tokens_are_sound_or_refused(row: Any, page: dict[str, Any]) -> None:
    assert refusal(lambda: reading.permission_of(row)).isprintable()
    assert refusal(lambda: reading.rows_of(page, "files")).isprintable()
    assert refusal(lambda: reading.identity_of(row)).isprintable()
    refused = refusal(lambda: reading.token_of(page, "nextPageToken"))
    assert refused or reading.token_of(page, "nextPageToken").isascii()


def test_what_drive_really_says_is_read_whole() -> None:
    file = reading.file_of(GOOD)
    assert (file.id, file.name, file.owner, file.parents, file.size) == ("1aB-_", GOOD["name"], "alice@uni.example", ("2",), 12)
    assert file.created_at is not None
    assert file.modified_at is not None
    assert (file.created_at.hour, file.modified_at.hour, file.modified_at.tzinfo) == (10, 9, UTC)
    assert reading.change_of({"fileId": "1aB-_", "removed": False, "file": GOOD}) == Change("1aB-_", file)
    assert reading.same("1aB-_", GOOD) == file
    assert reading.permission_of({"emailAddress": "A@x.org", "role": "writer"}) == ("a@x.org", "writer")
    assert reading.rows_of({"files": [1]}, "files") == [1]
    assert reading.token_of({"t": "x1"}, "t") == reading.needed("x1") == "x1"


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda: reading.needed(""), "no token"),
        (lambda: reading.same("other", GOOD), "another id"),
        (lambda: reading.change_of({"fileId": "x", "file": GOOD}), "ids differ"),
        (lambda: reading.rows_of({"files": {}}, "files"), "not a list"),
        (lambda: reading.token_of({"t": "a b"}, "t"), "not a token"),
    ],
)
def test_what_is_wrong_is_said_shortly(read: Callable[[], object], said: str) -> None:
    assert said in refusal(read)
    assert len(refusal(read)) < 60
