"""Whatever a stranger puts into a message: no surprise, no false name, nothing that a terminal would obey."""

from __future__ import annotations

import gzip
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scq.drive import jobs, messages, names
from scq.drive.items import File
from scq.errors import InvalidFileError
from tests.drive_world import ALICE, CAROL, FOLDERS, OWNER, change, file_name, job, message, pack, pack_members

LIMIT = 1 << 20
FILE = File("m1", file_name(), owners=(ALICE,))
QUICK = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

WORDS = st.sampled_from(
    [
        "app_data",
        "job",
        "inbox",
        "review",
        "v1",
        "v2",
        ALICE,
        CAROL,
        "study",
        "config.yaml",
        "run.sh",
        "code",
        "..",
        ".",
        "",
        "C:",
    ]
)
PARTS = WORDS | st.text(max_size=8) | st.sampled_from(["a\r\nb", "\x1b[31m", "\u202e", "\0", "x" * 300, "..\\.."])
PATHS = st.lists(PARTS, max_size=8).map("/".join)
JOB_PATHS = st.tuples(
    st.sampled_from(sorted(FOLDERS.values())),
    PARTS,
    st.sampled_from([ALICE, CAROL, "a\n@b"]),
    st.sampled_from(["config.yaml", "run.sh"]),
).map(lambda found: found[0].format(name=found[1], sender=found[2]) + "/" + found[3])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
CONTENT = ANYTHING | st.sampled_from(
    ["name: x\ntype: python\n", "{", "a: \x07", "name: 'a\\u001b[2J'\nsubmitted_by: 5\n", "headers: {scq: 5}"]
)


def read(body: bytes) -> messages.Proposal | str:
    """The message, or why it is none."""
    try:
        return messages.read(body, LIMIT)
    except InvalidFileError as error:
        return str(error)


def well_behaved(body: bytes) -> None:
    """Read a body; whatever is in it, everything that is said of it is safe and stands under the owner of the file."""
    proposal = read(body)
    if isinstance(proposal, str):
        assert proposal.isprintable()
        return
    for found in jobs.find(proposal, ALICE, OWNER):
        shown = jobs.sighting(found, owner=OWNER, sender=ALICE, message=FILE)
        assert shown.submitter == ALICE
        assert shown.ref.submitter.lower() == ALICE
        assert (shown.where, shown.observed) == ("drive", "pending")
        assert all(problem.where.isprintable() and problem.what.isprintable() for problem in shown.problems)
        assert ".." not in shown.path.split("/")
        assert not any(names.path_fault(path) for path in found.files)
        assert set(jobs.files_of(proposal, found)) <= set(found.files)
        str(shown.ref).encode()


@QUICK
@given(st.data())
def test_flipped_bytes_are_damage_or_nothing(data: st.DataObject) -> None:
    packed = data.draw(st.booleans(), label="flip the packed form")
    body = bytearray(pack(message([*job(), *job("two", "flat")])) if packed else gzip.decompress(pack(message(job()))))
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    well_behaved(bytes(body) if packed else gzip.compress(bytes(body), 1))


@QUICK
@given(st.integers(0, 5_000), st.binary(max_size=40))
def test_a_body_that_breaks_off_is_never_read_as_whole(length: int, rest: bytes) -> None:
    well_behaved(pack(message(job()))[:length] + rest)


@QUICK
@given(st.binary(max_size=2_000))
def test_any_bytes_are_damage_or_nothing(data: bytes) -> None:
    well_behaved(data)
    well_behaved(gzip.compress(data, 1))
    well_behaved(pack(data))


@QUICK
@given(st.data())
def test_fields_of_any_type_are_damage_or_a_warning(data: st.DataObject) -> None:
    changes: list[Any] = job(layout=data.draw(st.sampled_from(sorted(FOLDERS))))
    document = message(changes)
    for _ in range(data.draw(st.integers(1, 4))):
        target: dict[str, Any] = data.draw(st.sampled_from([document, *changes]))
        key = data.draw(st.sampled_from(sorted(target) or ["id"]))
        if data.draw(st.booleans()):
            target.pop(key, None)
        else:
            target[key] = data.draw(ANYTHING)
    well_behaved(pack(document))


@QUICK
@given(st.lists(st.tuples(PATHS | JOB_PATHS, CONTENT), max_size=8), st.text(max_size=30))
def test_paths_and_contents_of_any_kind_name_nobody_else(entries: list[tuple[str, Any]], sender: str) -> None:
    changes = [change(path, "x") | {"content": content, "new_hash": None} for path, content in entries]
    well_behaved(pack(json.dumps(message(changes, sender)).encode()))


@QUICK
@given(ANYTHING)
def test_any_document_is_damage_or_nothing(value: Any) -> None:
    well_behaved(pack(json.dumps(value).encode()))
    well_behaved(pack(json.dumps(message([value])).encode()))


@QUICK
@given(st.lists(st.tuples(st.sampled_from([messages.MEMBER, "a", "b/c"]), st.binary(max_size=700)), max_size=4))
def test_any_files_in_the_archive_are_damage_or_nothing(members: list[tuple[str, bytes]]) -> None:
    well_behaved(pack_members([*members]))


@QUICK
@given(st.text(max_size=60), st.sampled_from([OWNER, "a_to_b@x", ""]))
def test_any_folder_name_gives_an_address_or_nothing(name: str, me: str) -> None:
    for prefix in ("", "syft_datasite#", f"syft_datasite#1#{me}#inbox#", "syft_outbox_inbox_", f"syft_outbox_inbox_{me}_to_"):
        for ending in ("", f"_to_{me}"):
            found = names.folder_of(prefix + name + ending, me)
            assert found is None or (names.is_addressed(found.peer) and found.datasite.lower() == me.lower())


@QUICK
@given(st.text(max_size=40))
def test_any_message_name_gives_a_sortable_time_or_nothing(name: str) -> None:
    for text in (name, f"msgv2_{name}.tar.gz", file_name() + name):
        found = names.message_of(text)
        assert found is None or found.seconds >= 0
