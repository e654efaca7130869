"""Who may read and change what, by permission files written by hand, damaged or made to mislead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scq import access
from scq.access import LEVELS, Rules, may
from scq.permissions import Level

OWNER = "owner@hospital.example"
ALICE = "alice@uni.example"
BOB = "bob_smith@lab.example"


def write(folder: Path, *rules: str, terminal: bool = False) -> None:
    """Each rule as `pattern level,level: address address`."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["rules:"]
    for text in rules:
        pattern, _, rest = text.partition(" ")
        levels, _, addresses = rest.partition(": ")
        lists = ", ".join(f"{level}: [{', '.join(map(repr, addresses.split()))}]" for level in levels.split(","))
        lines.append(f"- {{pattern: '{pattern}', access: {{{lists}}}}}")
    text = "\n".join(lines) if rules else "rules: []"
    (folder / "syft.pub.yaml").write_text(f"{text}\nterminal: {str(terminal).lower()}\n", encoding="utf-8")


def allowed(datasite: Path, path: str, address: str = ALICE) -> list[str]:
    """The levels an address has, and that the short form says the same."""
    levels: tuple[Level, ...] = ("read", "write", "admin")
    rules = Rules(str(datasite), OWNER)
    found = [level for level in levels if rules.may(path, address, level)]
    assert found == [level for level in levels if may(str(datasite), path, address, OWNER, level)]
    return found


def test_without_any_permission_file_all_is_the_owners(tmp_path: Path) -> None:
    assert allowed(tmp_path, "a/b") == []
    assert allowed(tmp_path / "absent", "a/b") == []
    assert allowed(tmp_path, "a/b", OWNER) == list(LEVELS)
    assert allowed(tmp_path, "a/b", "Owner@Hospital.Example") == list(LEVELS)


def test_a_level_includes_the_lower_ones(tmp_path: Path) -> None:
    write(tmp_path, f"r read: {ALICE}", f"w write: {ALICE}", f"a admin: {ALICE}")
    assert [allowed(tmp_path, name) for name in "rwa"] == [["read"], ["read", "write"], ["read", "write", "admin"]]
    assert [allowed(tmp_path, name, BOB) for name in "rwa"] == [[], [], []]


def test_the_inbox_of_a_peer_is_open_to_him_alone(tmp_path: Path) -> None:
    write(tmp_path / "app_data/job/inbox" / ALICE, f"** write: {ALICE}")
    path = f"app_data/job/inbox/{ALICE}/v1/job/code/main.py"
    assert (allowed(tmp_path, path), allowed(tmp_path, path, BOB)) == (["read", "write"], [])
    assert allowed(tmp_path, f"app_data/job/inbox/{BOB}/v1/job/run.sh") == []


def test_the_nearest_file_decides_alone(tmp_path: Path) -> None:
    write(tmp_path, "** read: *")
    write(tmp_path / "a", f"b write: {BOB}")
    write(tmp_path / "empty")
    (tmp_path / "blank").mkdir()
    (tmp_path / "blank/syft.pub.yaml").write_text("\n")
    assert allowed(tmp_path, "x") == ["read"]
    assert [allowed(tmp_path, path) for path in ("a/b", "a/c", "empty/c", "blank/c")] == [[], [], [], []]
    assert allowed(tmp_path, "a/b", BOB) == ["read", "write"]


def test_a_terminal_file_decides_for_all_below_it(tmp_path: Path) -> None:
    write(tmp_path / "a", "** read: *", terminal=True)
    write(tmp_path / "a/b", "** admin: *")
    assert (allowed(tmp_path, "a/b/c"), allowed(tmp_path, "b/c")) == (["read"], [])


def test_the_most_specific_rule_decides_even_when_it_grants_nothing(tmp_path: Path) -> None:
    write(tmp_path, "** admin: *", "a/* read: *", f"a/x.csv read: {BOB}", "a/*/** write: *")
    assert allowed(tmp_path, "a/x.csv") == []
    assert allowed(tmp_path, "a/x.csv", BOB) == ["read"]
    assert allowed(tmp_path, "a/y.csv") == ["read"]
    assert allowed(tmp_path, "b/x.csv") == ["read", "write", "admin"]


def test_of_equal_patterns_the_first_in_the_file_decides(tmp_path: Path) -> None:
    write(tmp_path, "x?z read: *", "x*z admin: *")
    assert allowed(tmp_path, "xyz") == ["read"]


GLOBS = [
    ("**", "a/b/c", True),
    ("**", "a/.b", False),
    ("a/**", "a/b/c", True),
    ("a/**", "b/a/c", False),
    ("**/b", "b", True),
    ("**/b", "a/x/b", True),
    ("**/b", "a/b/c", False),
    ("a/**/b", "a/b", True),
    ("a/**/b/**", "a/x/b/c", True),
    ("a/**/b/**", "a/x/b", False),
    ("*", "a/b", False),
    ("*", ".a", False),
    (".*", ".a", True),
    ("?/b", "a/b", True),
    ("?/b", "aa/b", False),
    ("*.csv", "x.csv", True),
    ("*.csv", "X.CSV", False),
    ("a*c/d", "abbc/d", True),
    ("a {b}", "a {b}", True),
    ("a", "a/b", False),
    ("a//*", "a/b", False),
    ("/a/*", "a/b", False),
    ("./*", "a", False),
    ("a/../*", "a", False),
    ("[ab]", "a", False),
    ("a\\*", "a*", False),
]


@pytest.mark.parametrize(("pattern", "path", "matching"), GLOBS)
def test_patterns_match_as_the_clients_do_it(tmp_path: Path, pattern: str, path: str, matching: bool) -> None:
    write(tmp_path / "top")
    file = tmp_path / "top/syft.pub.yaml"
    file.write_text(f"rules:\n- pattern: '{pattern}'\n  access: {{read: ['*']}}\n")
    assert (allowed(tmp_path, f"top/{path}") == ["read"]) is matching


def test_a_pattern_that_scq_does_not_read_hides_the_wider_ones(tmp_path: Path) -> None:
    """It may match, and then the engine stops at it."""
    write(tmp_path, "** read: *", "a/[xy] read: nobody", "a/b/c read: *")
    assert (allowed(tmp_path, "a/x"), allowed(tmp_path, "a/b/c")) == ([], ["read"])


def test_many_stars_cost_little(tmp_path: Path) -> None:
    write(tmp_path, f"{'*a' * 60}b read: *", f"{'**/' * 400}x read: *")
    write(tmp_path / "b", f"{'**/' * 4_000}x admin: *")
    assert allowed(tmp_path, "a" * 200) == []
    assert allowed(tmp_path, "a/" * 99 + "x") == ["read"]
    assert allowed(tmp_path, "b/x") == []


def test_addresses_can_be_whole_domains_everybody_or_the_one_who_asks(tmp_path: Path) -> None:
    write(tmp_path, "domain read: *@uni.example", "all read: USER", "one read: ?lice@uni.example", "case read: ALICE@Uni.Example")
    assert [allowed(tmp_path, name) for name in ("domain", "all", "one", "case")] == [["read"]] * 4
    assert [allowed(tmp_path, name, BOB) for name in ("domain", "all", "one", "case")] == [[], ["read"], [], []]


def test_a_class_in_a_list_is_nobody(tmp_path: Path) -> None:
    write(tmp_path, "a read: *[a-z]@uni.example")
    assert allowed(tmp_path, "a") == []


def test_the_address_in_a_pattern_opens_a_folder_for_each(tmp_path: Path) -> None:
    write(tmp_path, "** read: *", "inbox/{{.UserEmail}}/** write: USER", "all/{{.UserEmail}} read: *")
    assert allowed(tmp_path, f"inbox/{ALICE}/x") == ["read", "write"]
    assert allowed(tmp_path, f"inbox/{ALICE}/x", BOB) == ["read"]
    assert allowed(tmp_path, f"all/{BOB}", BOB) == ["read"]


STRANGE = [
    "",
    "*",
    "USER",
    "a",
    "*@uni.example",
    "?lice@uni.example",
    "[a]@b",
    "a b@c",
    "a@b@c",
    "a/b@c",
    "a@b\n",
    "..",
    "\udcff@b",
]


@pytest.mark.parametrize("address", STRANGE)
def test_what_is_no_plain_address_gets_nothing(tmp_path: Path, address: str) -> None:
    write(tmp_path, "** admin: * USER", "{{.UserEmail}}/** admin: *")
    assert allowed(tmp_path, "x/y", address) == []
    assert allowed(tmp_path, "x/y", ALICE) != []


FORBIDDEN = ["", "/", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/./b", ".", "a\0b", "a/\udcff", "a" * 5_000, "a/" * 100 + "a"]


@pytest.mark.parametrize("path", FORBIDDEN)
def test_a_path_that_climbs_or_cannot_be_is_nobodys(tmp_path: Path, path: str) -> None:
    write(tmp_path, "** admin: *")
    assert allowed(tmp_path, path) == allowed(tmp_path, path, OWNER) == []


PERMISSION_FILES = ["syft.pub.yaml", "b/syft.pub.yaml", "SYFT.PUB.YAML", "syftperm.yaml", "syft.pub.yaml/x", "xsyft.pub.yaml"]


@pytest.mark.parametrize("path", PERMISSION_FILES)
def test_permission_files_are_for_admins_only(tmp_path: Path, path: str) -> None:
    write(tmp_path, f"a/** write: {ALICE}", f"b/** admin: {ALICE}")
    assert allowed(tmp_path, f"a/{path}") == []
    assert allowed(tmp_path, f"b/{path}") == ["read", "write", "admin"]


DAMAGED = [
    "rules: [unclosed",
    "rules: 5",
    "- a list",
    "# nothing but a comment",
    "rules: null",
    "rules: []\nterminal: 1",
    "rules:\n- 5",
    "rules:\n- pattern: '**'",
    "rules:\n- pattern: 5\n  access: {}",
    "rules:\n- pattern: '**'\n  access: {read: '*'}",
    "rules:\n- pattern: '**'\n  access: {read: [5]}",
    "rules:\n- pattern: '**'\n  access: {read: null}",
    "rules:\n- pattern: '{{.Year}}'\n  access: {}",
    "rules: &a\n- *a",
    "[" * 5_000,
    "\0",
    "#" * (2 << 20),
]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_file_closes_everything_below_it(tmp_path: Path, text: str) -> None:
    write(tmp_path, "** admin: *")
    write(tmp_path / "a/b", "** admin: *")
    (tmp_path / "a/syft.pub.yaml").write_text(text)
    assert [allowed(tmp_path, path) for path in ("a/x", "a/b/x")] == [[], []]
    assert allowed(tmp_path, "x") != []
    assert allowed(tmp_path, "a/x", OWNER) == list(LEVELS)


def test_a_file_that_is_not_text_or_cannot_be_opened_closes_everything_below_it(tmp_path: Path) -> None:
    write(tmp_path, "** admin: *")
    for name in ("bytes", "link", "pipe", "folder"):
        (tmp_path / name).mkdir()
    (tmp_path / "bytes/syft.pub.yaml").write_bytes(b"rules: []\n# \xff\n")
    (tmp_path / "link/syft.pub.yaml").symlink_to(tmp_path / "syft.pub.yaml")
    os.mkfifo(tmp_path / "pipe/syft.pub.yaml")
    (tmp_path / "folder/syft.pub.yaml").mkdir()
    assert [allowed(tmp_path, f"{name}/x") for name in ("bytes", "link", "pipe", "folder")] == [[], [], [], []]


def test_nothing_is_granted_through_a_link_or_through_a_file(tmp_path: Path) -> None:
    write(tmp_path / "site", "** admin: *")
    (tmp_path / "site/real").mkdir()
    (tmp_path / "site/link").symlink_to("real")
    (tmp_path / "site/file").write_text("")
    (tmp_path / "site/last").symlink_to("file")
    (tmp_path / "other").symlink_to("site")
    assert [allowed(tmp_path / "site", path) for path in ("link/x", "last", "file/x")] == [[], [], []]
    assert allowed(tmp_path / "other", "x") == []
    assert [allowed(tmp_path / "site", path) for path in ("real/x", "file")] == [["read", "write", "admin"]] * 2


def test_a_name_too_long_for_the_disk_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "** admin: *")
    assert allowed(tmp_path, "a" * 300) == []


def test_of_a_folder_that_is_there_the_files_in_it_are_meant(tmp_path: Path) -> None:
    write(tmp_path / "a", f"** read: {ALICE}")
    write(tmp_path / "b", f"b read: {ALICE}")
    assert (allowed(tmp_path, "a"), allowed(tmp_path, "b")) == (["read"], [])


def test_each_permission_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "** read: *")
    write(tmp_path / "a", "** read: *")
    opened: list[str] = []
    read = access.read_text
    monkeypatch.setattr(access, "read_text", lambda path, limit: opened.append(path) or read(path, limit))
    rules = Rules(str(tmp_path), OWNER)
    assert all(rules.may(f"a/{number}/x", ALICE, "read") for number in range(50))
    assert opened == [f"{tmp_path}/syft.pub.yaml", f"{tmp_path}/a/syft.pub.yaml"]
