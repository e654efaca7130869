"""`SYFT_peers.json` as text: what is kept, what is changed, what is refused; and the answer in the peer's own form."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scq.drive import granting
from scq.drive.peers_file import ADVICE, document, merged, parse
from scq.errors import InvalidFileError
from scq.state import RemoteFolder

ME, ALICE = "owner@hospital.example", "alice@uni.example"
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
VALUES = PLAIN | st.lists(PLAIN, max_size=2) | st.dictionaries(st.text(max_size=8), PLAIN, max_size=2)
ENTRIES = st.dictionaries(st.text(max_size=8), VALUES, max_size=4)


@given(ENTRIES, st.sampled_from(["accepted", "rejected"]))
def test_whatever_else_is_in_the_file_stays(entries: dict[str, Any], state: str) -> None:
    after = parse(document(merged(parse(document(entries)), {ALICE: state})))
    assert after.pop(ALICE) == {"state": state}
    assert after == entries
    assert list(after) == list(entries)


@given(ENTRIES)
def test_an_entry_keeps_everything_but_its_state(entry: dict[str, Any]) -> None:
    after = merged({ALICE: entry}, {ALICE: "accepted"})
    assert after == {ALICE: entry | {"state": "accepted"}}


@given(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_text_is_a_list_of_peers_or_refused_with_advice(body: bytes) -> None:
    advice = ""
    try:
        assert isinstance(parse(body), dict)
    except InvalidFileError as error:
        advice = error.advice
    assert advice in ("", ADVICE)


@pytest.mark.parametrize(
    "body", [b"\xff", b"\xef\xbb\xbf{}", b'{"a": ' + b"1" * 5000 + b"}", b"{" * 100_000, b'{"a": "\xed\xa0\x80"}']
)
def test_hostile_text_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidFileError):
        parse(body)


@pytest.mark.parametrize("entry", ["accepted", None, [], 3])
def test_an_entry_that_is_none_is_refused(entry: object) -> None:
    with pytest.raises(InvalidFileError, match="no entry of a peer"):
        merged({ALICE: entry}, {ALICE: "accepted"})


def folder(name: str, day: int | None = 1) -> RemoteFolder:
    at = None if day is None else datetime(2026, 11, day, tzinfo=UTC)
    return RemoteFolder(name=name, kind="inbox", peer=ALICE, created_at=at)


def versioned(version: str, day: int | None = 1) -> RemoteFolder:
    return folder(f"syft_datasite#{version}#{ME}#inbox#{ALICE}", day)


@pytest.mark.parametrize(
    ("folders", "version", "client", "own"),
    [
        ([versioned("0.10.0")], "0.10.0", "0.10.0", True),
        ([versioned("0.10.0", 1), versioned("0.1.117", 2)], "0.1.117", "0.1.117", True),
        ([versioned("0.10.0", None), versioned("0.1.117", 1)], "0.1.117", "0.1.117", True),
        ([versioned("0.11.4")], "0.11.4", "0.10.0", True),
        ([folder(f"syft_datasite#{ME}#inbox#{ALICE}")], "", "0.1.112", True),
        ([folder(f"syft_outbox_inbox_{ALICE}_to_{ME}")], "", "0.1.101", False),
        ([versioned("nightly", 9), versioned("0.10.0", 1)], "0.10.0", "0.10.0", True),
    ],
)
def test_the_answer_has_the_form_of_the_newest_folder(folders: list[RemoteFolder], version: str, client: str, own: bool) -> None:
    pair = granting.pair_of(folders, ME)
    assert pair == granting.Pair(ALICE, ME, version, own)
    assert pair.client == client


@pytest.mark.parametrize(
    "folders", [[], [versioned("nightly")], [folder("holidays")], [folder(f"syft_datasite#{ALICE}#inbox#{ME}")]]
)
def test_without_a_folder_that_is_understood_there_is_no_form(folders: list[RemoteFolder]) -> None:
    assert granting.pair_of(folders, ME) is None


@pytest.mark.parametrize(("version", "least"), [("0.10.0", "0.10.0"), ("0.10.7", "0.10.0"), ("0.1.117", "0.1.93")])
def test_the_version_file_is_that_of_the_client(version: str, least: str) -> None:
    made = json.loads(granting.version_document(version, datetime(2026, 11, 21, 8, 13, 48, 5, tzinfo=UTC)))
    assert (made["syft_client_version"], made["min_supported_syft_client_version"]) == (version, least)
    assert made["updated_at"] == "2026-11-21T08:13:48.000005Z"
    assert ("attestation_token" in made) == version.startswith("0.10")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"syft_client_version": 3}', b'{"syft_client_version": "\\u001b[2J"}', b"[" * 9999]
)
def test_a_version_file_that_says_none_is_no_error(body: bytes) -> None:
    assert granting.declared(body) == ""
