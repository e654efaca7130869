"""Bodies of messages: what is read of them, and why nothing else is."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import tracemalloc
from typing import Any

import pytest

from scq.drive import messages
from scq.drive.messages import Edit
from scq.drive.names import path_fault
from scq.errors import InvalidFileError
from tests.drive_world import ALICE, AT, MEMBER, NAMES, OWNER, change, job, message, pack, pack_members

LIMIT = 1 << 20


def why(body: bytes, limit: int = LIMIT) -> str:
    with pytest.raises(InvalidFileError) as error:
        messages.read(body, limit)
    assert error.value.advice
    assert str(error.value).isprintable()
    return str(error.value)


def one(**fields: Any) -> Edit:
    """The only change of a message, with some fields replaced."""
    (edit,) = messages.read(pack(message([change("public/a.txt", "text") | fields])), LIMIT).edits
    return edit


def test_a_message_is_read_as_its_sender_wrote_it() -> None:
    text, raw, gone = change("public/ü.md", "grüße"), change("public/x.png", b"\x89\0"), change("public/old", None)
    found = messages.read(pack(message([text, raw, gone])), LIMIT)
    assert (found.sender, found.id, found.warnings) == (ALICE, message([])["id"], ())
    assert [(edit.path, edit.content, edit.deleted, edit.fault) for edit in found.edits] == [
        ("public/ü.md", "grüße".encode(), False, ""),
        ("public/x.png", b"\x89\0", False, ""),
        ("public/old", None, True, ""),
    ]
    assert found.edits[0].new_hash == hashlib.sha256("grüße".encode()).hexdigest()
    assert (found.edits[0].datasite, found.edits[0].sent_at, found.edits[0].id) == (OWNER, AT, text["id"])


def test_a_message_of_the_first_clients_lacks_fields_and_is_read() -> None:
    old = {key: value for key, value in change("a", "text").items() if key not in ("content_type", "is_deleted", "old_hash")}
    (edit,) = messages.read(pack(message([old])), LIMIT).edits
    assert (edit.content, edit.deleted, edit.fault) == (b"text", False, "")


def test_fields_of_later_clients_are_passed_over() -> None:
    found = messages.read(pack(message([change("a", "x", later={"deep": [1]})], newer=[None, 1.5])), LIMIT)
    assert found.edits[0].content == b"x"


def test_a_message_without_changes_is_no_damage() -> None:
    assert messages.read(pack(message([])), LIMIT).edits == ()


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "is empty"),
        (b"<html><body>busy</body></html>", "is not gzip"),
        (b"\x1f", "is not gzip"),
        (b"\x1f\x8b", "is cut short"),
        (pack(message(job()))[:-40], "is cut short"),
        (b"\x1f\x8b" + b"\xff" * 50, "is damaged"),
        (b"SYC2\x01rest", "is encrypted"),
        (gzip.compress(b"", mtime=0), "holds no file"),
        (gzip.compress(b"no tar at all" * 100, mtime=0), "is damaged"),
        (gzip.compress(gzip.decompress(pack(message(job())))[:700], mtime=0), "is damaged"),
        (pack(message(job()), "something_else.json"), "holds no file"),
        (pack(message(job()), f"./{MEMBER}"), "holds no file"),
        (pack(b'{"id": "x",'), "is not JSON"),
        (pack(b""), "is not JSON"),
        (pack(b"\xff\xfe{}"), "is not JSON"),
        (pack(b'{"id": "\xff"}'), "is not JSON"),
        (pack(b'{"proposed_file_changes": NaN}'), "is not JSON"),
        (pack(b'{"proposed_file_changes": [1e999]}'), "is not JSON"),
        (pack(b'{"proposed_file_changes": ["\\ud800"]}'), "is not JSON"),
        (pack(b"[" * 200_000), "is not JSON"),
        (pack(b"[]"), "lacks a list"),
        (pack({"id": "x"}), "lacks a list"),
        (pack(message(None)), "lacks a list"),
        (pack(message({"0": change("a")})), "lacks a list"),
        (pack(message(["x", 1, None, {}, {"path_in_datasite": 5}])), "nothing that can be read"),
        (pack(message([change("a")] * 10_001)), "more than 10000 changes"),
    ],
)
def test_what_is_no_message_says_why(body: bytes, what: str) -> None:
    assert what in why(body, 8 << 20)


def test_only_a_sealed_body_is_told_apart_as_sealed() -> None:
    assert messages.is_sealed(b"SYC2\x01")
    assert not messages.is_sealed(pack(message([])))
    assert not messages.is_sealed(b"SYC")


def test_a_bomb_is_stopped_at_the_limit() -> None:
    bomb = gzip.compress(bytes(200 << 20), 9)
    tracemalloc.start()
    try:
        assert "unpacks to more than" in why(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


def test_a_message_of_exactly_the_limit_is_read() -> None:
    body = pack(message(job()))
    size = len(gzip.decompress(body))
    assert messages.read(body, size).edits
    assert "unpacks to more than" in why(body, size - 1)


@pytest.mark.parametrize("filling", [b"[],", b"{},", b'"",', b"0,", b'"\\"",'])
def test_a_document_of_countless_small_values_is_not_built(filling: bytes) -> None:
    data = b'{"proposed_file_changes": [' + filling * 2_000_000 + b"1]}"
    body = pack(data)
    tracemalloc.start()
    try:
        assert "holds more than" in why(body, 64 << 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(data)


def test_a_large_text_full_of_quotes_and_commas_is_one_value() -> None:
    text = '",[{\\' * 400_000
    (edit,) = messages.read(pack(message([change("a", text)])), 64 << 20).edits
    assert edit.content == text.encode()


def test_bytes_behind_the_stream_are_not_looked_at() -> None:
    body = pack(message(job()))
    assert messages.read(body + b"trailing" * 1_000 + gzip.compress(bytes(1 << 22)), LIMIT).edits


def header(name: str, kind: bytes, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE])
def test_anything_but_a_regular_file_of_that_name_does_not_count(kind: bytes) -> None:
    assert "holds no file" in why(pack_members([(header(MEMBER, kind), b"")]))
    good = json.dumps(message([change("a", "x")])).encode()
    assert messages.read(pack_members([(header(MEMBER, kind), b""), (MEMBER, good)]), LIMIT).edits[0].content == b"x"


def test_two_files_of_that_name_are_refused_because_readers_would_differ() -> None:
    both = [(MEMBER, json.dumps(message([change(name, "x")])).encode()) for name in "ab"]
    assert "more than one file" in why(pack_members(list(both)))


def test_an_archive_of_many_files_is_refused() -> None:
    assert "more than 32 files" in why(pack_members([(f"n{number}", b"") for number in range(40)]))


def test_headers_for_long_names_are_not_obeyed() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.PAX_FORMAT, pax_headers={"path": MEMBER}) as archive:
        info = tarfile.TarInfo("other.json")
        info.pax_headers = {"path": MEMBER}
        archive.addfile(info)
    assert "holds no file" in why(packed.getvalue())


@pytest.mark.parametrize("size", [1 << 40, -1])
def test_a_header_that_lies_about_its_size_is_damage(size: int) -> None:
    block = header(MEMBER, tarfile.REGTYPE, size).tobuf(tarfile.GNU_FORMAT)
    assert "is damaged" in why(gzip.compress(block + bytes(2_048)))


def test_one_damaged_change_does_not_lose_the_others() -> None:
    found = messages.read(pack(message([7, change("a", "x"), {"content": "no path"}])), LIMIT)
    assert [edit.path for edit in found.edits] == ["a"]
    assert found.warnings == ("2 of 3 changes cannot be read",)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"content": None}, "has no content"),
        ({"content": 5}, "has no content"),
        ({"content": "no base64!", "content_type": "binary"}, "base64"),
        ({"content": "ü", "content_type": "binary"}, "base64"),
        ({"content": "YQ", "content_type": "binary"}, "base64"),
        ({"content": "other"}, "does not fit its hash"),
        ({"new_hash": "0" * 64}, "does not fit its hash"),
        ({"new_hash": "xyz"}, "hash that is none"),
        ({"new_hash": ["x"]}, "hash that is none"),
        ({"old_hash": "g" * 64}, "hash that is none"),
        ({"is_deleted": "yes"}, "whether it is deleted"),
        ({"is_deleted": None}, "whether it is deleted"),
        ({"is_deleted": 1}, "whether it is deleted"),
    ],
)
def test_a_change_that_cannot_be_trusted_says_why(fields: dict[str, Any], fault: str) -> None:
    edit = one(**fields)
    assert fault in edit.fault
    assert not edit.deleted


def test_a_hash_may_be_missing_or_written_in_capitals() -> None:
    assert one(new_hash=None).fault == ""
    assert one(new_hash=hashlib.sha256(b"text").hexdigest().upper()).fault == ""


def test_a_path_is_cut_where_it_is_too_long_anyway() -> None:
    edit = one(path_in_datasite="a/" * 10_000)
    assert path_fault(edit.path) == "is too long"
    assert len(edit.path) < 2_000


@pytest.mark.parametrize("value", [True, "now", None, 10**400, 1 << 60, -1e300, [1]])
def test_a_time_that_is_none_is_left_out(value: object) -> None:
    assert one(submitted_timestamp=value).sent_at is None


def test_values_of_a_wrong_type_are_left_out_and_long_ones_cut() -> None:
    found = messages.read(pack(message([change("a", "x", id=5, datasite_email=["y"])], sender_email=3, id="i" * 20_000)), LIMIT)
    assert (found.sender, len(found.id)) == ("", 10_000)
    assert (found.edits[0].id, found.edits[0].datasite) == ("", "")


def test_the_last_of_two_equal_keys_counts_as_for_the_clients() -> None:
    data = json.dumps(message([change("a", "x")])).replace('"id"', '"sender_email": "first", "id"', 1)
    assert messages.read(pack(data.encode()), LIMIT).sender == ALICE


def events_of(body: bytes) -> dict[str, Any]:
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as archive:
        (member,) = archive.getmembers()
        assert (member.name, member.type, member.mode, member.mtime, member.uid, member.gid) == (
            MEMBER, tarfile.REGTYPE, 0o644, 0, 0, 0,
        )  # fmt: skip
        content = archive.extractfile(member)
        assert content is not None
        value: dict[str, Any] = json.loads(content.read())
        return value


def test_events_are_packed_in_the_clients_form() -> None:
    edits = [
        Edit("review/state.yaml", b"status: done\n", id="11111111-1111-4111-8111-111111111111", old_hash="a" * 64, sent_at=AT),
        Edit("review/outputs/x.bin", b"\xff\0"),
        Edit("review/gone", None, deleted=True, old_hash="b" * 64, new_hash="c" * 64),
    ]
    found = events_of(messages.pack_events(edits, seconds=AT + 5, uid=str(NAMES), owner=OWNER))
    assert found["message_filepath"] == {"id": str(NAMES), "timestamp": AT + 5, "extension": ".tar.gz"}
    first, second, third = found["events"]
    assert first == {
        "id": "11111111-1111-4111-8111-111111111111",
        "path_in_datasite": "review/state.yaml",
        "datasite_email": OWNER,
        "content": "status: done\n",
        "old_hash": "a" * 64,
        "new_hash": hashlib.sha256(b"status: done\n").hexdigest(),
        "is_deleted": False,
        "submitted_timestamp": AT,
        "timestamp": AT + 5,
        "content_type": "text",
    }
    assert (second["content"], second["content_type"], second["submitted_timestamp"]) == ("/wA=", "binary", AT + 5)
    assert (third["content"], third["content_type"], third["is_deleted"], third["new_hash"]) == (None, None, True, None)
    assert len({first["id"], second["id"], third["id"]}) == 3


def test_the_same_events_are_packed_into_the_same_bytes() -> None:
    edits = [Edit("a", b"x"), Edit("b", b"y")]
    packed = [messages.pack_events(edits, seconds=AT, uid=str(NAMES), owner=OWNER) for _ in range(2)]
    assert packed[0] == packed[1]


def test_a_long_document_of_many_values_within_the_limit_is_read() -> None:
    found = messages.read(pack(message([change(f"public/{number}", "x" * 100) for number in range(3_000)])), 8 << 20)
    assert len(found.edits) == 3_000
