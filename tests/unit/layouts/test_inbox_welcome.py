"""The folders of an accepted peer: what they hold, whom they let in, and what stands in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scq.access import may
from scq.errors import ConfigError, IntegrityError, InvalidFileError, UsageError
from scq.layouts.inbox_welcome import welcome
from scq.permissions import grant, read_rules, rule, write_rules

OWNER = "owner@hospital.example"
ALICE = "alice@uni.example"
BOB = "bob_smith@lab.example"
QUEUE = f"{OWNER}/app_data/job"


def everything(root: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path.relative_to(root)): (path.stat().st_ino, path.read_bytes()) for path in root.rglob("*") if path.is_file()}


def test_a_peer_may_write_below_his_inbox_and_read_below_his_review_and_nobody_else(tmp_path: Path) -> None:
    welcome(str(tmp_path), OWNER, ALICE)
    assert read_rules(f"{tmp_path}/{QUEUE}/inbox/{ALICE}") == [rule("**", write=(ALICE,))]
    assert read_rules(f"{tmp_path}/{QUEUE}/review/{ALICE}") == [rule("**", read=(ALICE,))]
    datasite = str(tmp_path / OWNER)
    inbox, review = (f"app_data/job/{side}/{ALICE}/v1/job/run.sh" for side in ("inbox", "review"))
    assert [may(datasite, inbox, ALICE, OWNER, level) for level in ("write", "admin")] == [True, False]
    assert [may(datasite, review, ALICE, OWNER, level) for level in ("read", "write")] == [True, False]
    assert not may(datasite, inbox, BOB, OWNER, "read")
    assert not may(datasite, "app_data/job/inbox/x", ALICE, OWNER, "read")


def test_a_second_welcome_changes_no_file(tmp_path: Path) -> None:
    welcome(str(tmp_path), OWNER, ALICE)
    welcome(str(tmp_path), OWNER, BOB)
    before = everything(tmp_path)
    welcome(str(tmp_path), OWNER, ALICE)
    assert everything(tmp_path) == before
    assert len(before) == 4


def test_rules_that_are_there_stay(tmp_path: Path) -> None:
    inbox, review = (tmp_path / QUEUE / side / ALICE for side in ("inbox", "review"))
    inbox.mkdir(parents=True)
    review.mkdir(parents=True)
    write_rules(str(inbox), [rule("**", write=(BOB,), admin=(BOB,)), rule("a", read=(BOB,))])
    grant(str(review), "outputs/**", BOB, "read")
    welcome(str(tmp_path), OWNER, ALICE)
    assert read_rules(str(inbox)) == [rule("**", write=(BOB, ALICE), admin=(BOB,)), rule("a", read=(BOB,))]
    assert read_rules(str(review)) == [rule("outputs/**", read=(BOB,)), rule("**", read=(ALICE,))]


@pytest.mark.parametrize("side", ["inbox", "review"])
@pytest.mark.parametrize("text", ["rules: [", "- a list", "\x00"])
def test_a_damaged_permission_file_of_the_peer_is_not_written_over(tmp_path: Path, side: str, text: str) -> None:
    folder = tmp_path / QUEUE / side / ALICE
    folder.mkdir(parents=True)
    (folder / "syft.pub.yaml").write_text(text)
    before = everything(tmp_path)
    with pytest.raises(InvalidFileError, match="syft.pub.yaml"):
        welcome(str(tmp_path), OWNER, ALICE)
    assert everything(tmp_path) == before


def test_a_permission_file_further_up_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / OWNER).mkdir()
    write_rules(str(tmp_path / OWNER), [rule("public/**", read=("*",))])
    before = (tmp_path / OWNER / "syft.pub.yaml").read_bytes()
    welcome(str(tmp_path), OWNER, ALICE)
    assert (tmp_path / OWNER / "syft.pub.yaml").read_bytes() == before


@pytest.mark.parametrize("text", ["rules: []\nterminal: true\n", "rules: [damaged"])
def test_a_permission_file_further_up_that_forbids_it_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / OWNER).mkdir()
    (tmp_path / OWNER / "syft.pub.yaml").write_text(text)
    with pytest.raises(ConfigError, match=ALICE) as caught:
        welcome(str(tmp_path), OWNER, ALICE)
    assert "terminal" in caught.value.advice


@pytest.mark.parametrize("below", [OWNER, f"{OWNER}/app_data", QUEUE, f"{QUEUE}/inbox", f"{QUEUE}/review/{ALICE}"])
def test_a_link_on_the_way_is_refused_and_nothing_is_written_behind_it(tmp_path: Path, below: str) -> None:
    (tmp_path / "outside").mkdir()
    link = tmp_path / "root" / below
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "outside")
    with pytest.raises(IntegrityError):
        welcome(str(tmp_path / "root"), OWNER, ALICE)
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_link_in_place_of_a_permission_file_is_neither_followed_nor_replaced(tmp_path: Path) -> None:
    inbox = tmp_path / QUEUE / "inbox" / ALICE
    inbox.mkdir(parents=True)
    (tmp_path / "outside").write_text("rules: []\n")
    os.symlink(tmp_path / "outside", inbox / "syft.pub.yaml")
    with pytest.raises(InvalidFileError):
        welcome(str(tmp_path), OWNER, ALICE)
    assert (inbox / "syft.pub.yaml").is_symlink()
    assert (tmp_path / "outside").read_text() == "rules: []\n"


def test_an_empty_permission_file_is_filled(tmp_path: Path) -> None:
    inbox = tmp_path / QUEUE / "inbox" / ALICE
    inbox.mkdir(parents=True)
    (inbox / "syft.pub.yaml").write_text("\n")
    welcome(str(tmp_path), OWNER, ALICE)
    assert read_rules(str(inbox)) == [rule("**", write=(ALICE,))]


STRANGE = ["", "..", "a/../b@c", "/etc@x", ".hidden@x", "*@uni.example", "no address", "name", "a\0@b", "a@b\n", "v1", "{x}@y"]


@pytest.mark.parametrize("address", STRANGE)
def test_what_is_no_address_makes_no_folder(tmp_path: Path, address: str) -> None:
    for owner, submitter in ((OWNER, address), (address, ALICE)):
        with pytest.raises(UsageError, match="is not an address"):
            welcome(str(tmp_path), owner, submitter)
    assert list(tmp_path.iterdir()) == []
