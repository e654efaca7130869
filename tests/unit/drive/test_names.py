"""Names of folders and files on Drive, and paths inside messages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from scq.drive import names
from scq.drive.names import FolderName, folder_of, message_of, path_fault

ME = "owner@hospital.example"
ALICE = "alice@uni.example"
BOB = "bob_smith@lab.example"
UID = "3c7db404-a886-4ac9-81f7-2bb2fea3249a"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (f"syft_datasite#0.10.0#{ME}#inbox#{ALICE}", FolderName(ME, "inbox", ALICE, "0.10.0")),
        (f"syft_datasite#0.10.0#{ME}#outbox#{BOB}", FolderName(ME, "outbox", BOB, "0.10.0")),
        (f"syft_datasite#{ME}#inbox#{BOB}", FolderName(ME, "inbox", BOB)),
        (f"syft_datasite#{ME.upper()}#outbox#Bob@Lab.example", FolderName(ME.upper(), "outbox", "Bob@Lab.example")),
        (f"syft_outbox_inbox_{BOB}_to_{ME}", FolderName(ME, "inbox", BOB)),
        (f"syft_outbox_inbox_{ME}_to_{BOB}", FolderName(ME, "outbox", BOB)),
        (f"syft_outbox_inbox_{BOB}_to_{ME.title()}", FolderName(ME.title(), "inbox", BOB)),
    ],
)
def test_folders_of_all_three_generations_are_read(name: str, found: FolderName) -> None:
    assert folder_of(name, ME) == found


@pytest.mark.parametrize(
    "name",
    [
        f"syft_datasite#0.10.0#{ALICE}#inbox#{ME}",
        f"syft_datasite#0.10.0#x{ME}#inbox#{ALICE}",
        f"syft_datasite#0.10.0#{ME}#Inbox#{ALICE}",
        f"syft_datasite#0.10.0#{ME}#archive#{ALICE}",
        f"syft_datasite#0.10.0#{ME}#inbox#alice",
        f"syft_datasite#0.10.0#{ME}#inbox#a@b@c",
        f"syft_datasite#0.10.0#{ME}#inbox#a b@c",
        f"syft_datasite#0.10.0#{ME}#inbox#{ALICE}#more",
        f"syft_datasite##{ME}#inbox#{ALICE}",
        f"syft_datasite#1\n2#{ME}#inbox#{ALICE}",
        f"syft_datasites#0.10.0#{ME}#inbox#{ALICE}",
        "syft_datasite",
        f"syft_outbox_inbox_{ALICE}_to_x{ME}",
        f"syft_outbox_inbox_{ALICE}{ME}",
        f"syft_outbox_inbox_x@y_to_{ALICE}_to_{ME}",
        f"syft_outbox_inbox_{ME}",
        "syft_outbox_inbox_",
        f"syft_{ALICE}_to_{ME}_archive",
        "",
    ],
)
def test_every_other_name_is_not_a_peer_folder(name: str) -> None:
    assert folder_of(name, ME) is None


def test_an_address_is_never_cut_at_its_underscores() -> None:
    assert folder_of("syft_outbox_inbox_a_to_b@x.example_to_c_to_d@y.example", "c_to_d@y.example") == FolderName(
        "c_to_d@y.example", "inbox", "a_to_b@x.example"
    )


@pytest.mark.parametrize("version", ["0.10.0", ""])
@pytest.mark.parametrize("kind", ["inbox", "outbox"])
def test_a_folder_name_that_is_made_is_read_again(version: str, kind: names.Kind) -> None:
    assert folder_of(names.folder_name(version, ME, kind, BOB), ME) == FolderName(ME, kind, BOB, version)


def test_the_owners_own_folders_have_the_names_of_the_clients() -> None:
    assert names.archive_name(ALICE, ME) == f"syft_{ALICE}_to_{ME}_archive"


def test_a_message_name_gives_its_time_and_id() -> None:
    found = message_of(f"msgv2_1795248841.5_{UID}.tar.gz")
    assert found == names.MessageName(1795248841.5, UID)
    assert found.at == datetime(2026, 11, 21, 8, 14, 1, 500_000, UTC)


@pytest.mark.parametrize(
    "name",
    [
        f"msgv2_yesterday_{UID}.tar.gz",
        f"msgv2_1795248841._{UID}.tar.gz",
        f"msgv2_-1_{UID}.tar.gz",
        f"msgv2_1e9_{UID}.tar.gz",
        f"msgv2_nan_{UID}.tar.gz",
        f"msgv2_\u0661\u0662_{UID}.tar.gz",
        f"msgv2_{'9' * 400}_{UID}.tar.gz",
        f"msgv2_1795248841.5_{UID.upper()}.tar.gz",
        f"msgv2_1795248841.5_{UID}.tar.gz\n",
        f" msgv2_1795248841.5_{UID}.tar.gz",
        f"msgv2_1795248841.5_{UID}.tar",
        f"msgv1_1795248841.5_{UID}.tar.gz",
        "msgv2_1795248841.5_abc.tar.gz",
    ],
)
def test_a_message_name_is_read_strictly(name: str) -> None:
    assert message_of(name) is None


def test_a_number_no_calendar_has_is_no_time() -> None:
    found = message_of(f"msgv2_999999999999999_{UID}.tar.gz")
    assert found is not None
    assert found.at is None
    for seconds in (None, float("nan"), float("inf"), -1e300, 1e17, -62135596800.0):
        assert names.moment(seconds) is None


def test_an_event_name_keeps_every_decimal_and_is_known_again() -> None:
    name = names.event_name(1795248841.6956627, UID)
    assert name == f"syfteventsmessagev3_1795248841.6956627_{UID}.tar.gz"
    assert names.is_event(name)
    assert not names.is_event(f"msgv2_1795248841.6956627_{UID}.tar.gz")
    assert not names.is_event("syfteventsmessagev3_notes.txt")


@pytest.mark.parametrize(
    "path", ["a", "app_data/job/x/run.sh", "a b/ü.md", "a/...", "a/..b", "ab:c/d", "名\u3000前/👩\u200d💻.py"]
)
def test_plain_paths_have_no_fault(path: str) -> None:
    assert path_fault(path) == ""


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("../etc", "climbs"),
        ("a/../../b", "climbs"),
        ("a/..", "climbs"),
        ("a\\..\\b", "climbs"),
        ("/etc/passwd", "climbs"),
        ("\\\\server\\x", "climbs"),
        ("", "climbs"),
        ("C:/x", "climbs"),
        ("c:x", "climbs"),
        ("a\\b", "characters"),
        ("a\nb", "characters"),
        ("a\0b", "characters"),
        ("a\x1b[2Jb", "characters"),
        ("a\u2028b", "characters"),
        ("a\x85b", "characters"),
        ("a//b", "plain"),
        ("a/./b", "plain"),
        ("a/", "plain"),
        ("a/D:/b", "plain"),
        ("a/" + "b" * 256, "long"),
        ("ü" * 128, "long"),
        ("a/" * 600 + "b", "long"),
    ],
)
def test_every_other_path_has_a_fault_that_shows_nothing_of_it(path: str, fault: str) -> None:
    assert fault in path_fault(path)
    assert path_fault(path).isprintable()


def test_folders_of_tools_are_known_anywhere_in_a_path() -> None:
    assert names.is_generated("code/__pycache__/x.pyc")
    assert names.is_generated(".venv/bin/python")
    assert not names.is_generated("code/venv/git.py")
