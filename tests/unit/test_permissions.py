"""Permission files as syft-perms writes them, and granting something to one address."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from scq.permissions import FILE_NAME, grant, grant_read, read_rules, rule, write_rules

DS = "scientist@example.com"
OTHER = "second@example.net"


def content(folder: Path) -> object:
    return yaml.safe_load((folder / FILE_NAME).read_text("utf-8"))


def test_a_rule_has_every_level_and_a_pattern() -> None:
    assert rule("**", read=(DS,)) == {"access": {"admin": [], "read": [DS], "write": []}, "pattern": "**"}
    assert rule("a", write=(DS,), admin=(OTHER,))["access"] == {"admin": [OTHER], "read": [], "write": [DS]}


def test_the_file_is_byte_for_byte_what_syft_perms_writes(tmp_path: Path) -> None:
    write_rules(str(tmp_path), [rule("**", write=(DS,))])
    expected = f"rules:\n- access:\n    admin: []\n    read: []\n    write:\n    - {DS}\n  pattern: '**'\nterminal: false\n"
    assert (tmp_path / FILE_NAME).read_text() == expected
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o644


def test_rules_written_are_rules_read(tmp_path: Path) -> None:
    rules = [rule("outputs/**", read=(DS,)), rule("stdout.txt", read=(DS, OTHER))]
    write_rules(str(tmp_path), rules)
    assert read_rules(str(tmp_path)) == rules


def test_writing_the_same_rules_leaves_the_file_alone(tmp_path: Path) -> None:
    write_rules(str(tmp_path), [rule("**")])
    before = (tmp_path / FILE_NAME).stat()
    write_rules(str(tmp_path), [rule("**")])
    assert (tmp_path / FILE_NAME).stat().st_ino == before.st_ino


def test_a_grant_creates_the_file_and_a_second_one_changes_nothing(tmp_path: Path) -> None:
    grant_read(str(tmp_path), "outputs/**", DS)
    before = (tmp_path / FILE_NAME).stat()
    grant_read(str(tmp_path), "outputs/**", DS)
    assert content(tmp_path) == {"rules": [rule("outputs/**", read=(DS,))], "terminal": False}
    assert (tmp_path / FILE_NAME).stat().st_ino == before.st_ino


def test_a_grant_keeps_other_rules_and_other_readers(tmp_path: Path) -> None:
    write_rules(str(tmp_path), [rule("a", read=(OTHER,)), rule("b", read=(OTHER,), write=(OTHER,))])
    grant_read(str(tmp_path), "b", DS)
    grant_read(str(tmp_path), "c", DS)
    assert read_rules(str(tmp_path)) == [
        rule("a", read=(OTHER,)),
        rule("b", read=(OTHER, DS), write=(OTHER,)),
        rule("c", read=(DS,)),
    ]


def test_a_grant_fills_a_rule_without_lists(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("rules:\n- pattern: a\n- pattern: b\n  access:\n    read:\n")
    grant_read(str(tmp_path), "a", DS)
    grant_read(str(tmp_path), "b", DS)
    assert [item["access"]["read"] for item in read_rules(str(tmp_path))] == [[DS], [DS]]


def test_each_level_has_its_own_list(tmp_path: Path) -> None:
    for level in ("read", "write", "admin"):
        grant(str(tmp_path), "**", DS if level == "write" else OTHER, level)
    assert read_rules(str(tmp_path)) == [rule("**", read=(OTHER,), write=(DS,), admin=(OTHER,))]


def test_a_grant_leaves_a_file_that_ends_the_search_as_it_is(tmp_path: Path) -> None:
    write_rules(str(tmp_path), [rule("a", read=(OTHER,))], terminal=True)
    grant_read(str(tmp_path), "b", DS)
    assert content(tmp_path) == {"rules": [rule("a", read=(OTHER,)), rule("b", read=(DS,))], "terminal": True}
    write_rules(str(tmp_path), read_rules(str(tmp_path)))
    assert content(tmp_path) == {"rules": [rule("a", read=(OTHER,)), rule("b", read=(DS,))], "terminal": False}


DAMAGED = ["", "[]", "rules: 5\n", "rules: [unclosed", "rules:\n- 5\n- {access: {}}\n- {pattern: 5}\n", "\0", "x" * (2 << 20)]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_file_has_no_rules_and_a_grant_mends_it(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    assert read_rules(str(tmp_path)) == []
    grant_read(str(tmp_path), "a", DS)
    assert read_rules(str(tmp_path)) == [rule("a", read=(DS,))]


def test_a_missing_file_has_no_rules(tmp_path: Path) -> None:
    assert read_rules(str(tmp_path)) == []


def test_a_link_is_neither_read_nor_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("rules:\n- {pattern: '**', access: {read: ['*']}}\n")
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / FILE_NAME).symlink_to(victim)
    before = victim.read_text()
    assert read_rules(str(folder)) == []
    grant_read(str(folder), "a", DS)
    assert victim.read_text() == before
    assert not (folder / FILE_NAME).is_symlink()
    assert read_rules(str(folder)) == [rule("a", read=(DS,))]


def test_a_fifo_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE_NAME)
    assert read_rules(str(tmp_path)) == []
