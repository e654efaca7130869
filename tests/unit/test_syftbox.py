"""Finding the SyftBox folder and its owner from what the SyftBox client left on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scq.syftbox import ClientConfig, expand, identity_of, lies_inside, read_client_config

FIXTURES = Path(os.environ.get("SCQ_FIXTURES", str(Path(__file__).resolve().parents[2].parent / "shared" / "fixtures")))
CASES = FIXTURES / "disk" / "syftbox-config"


def write(folder: Path, name: str, content: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.skipif(not CASES.is_dir(), reason="no fixtures beside the repository")
@pytest.mark.parametrize("case", ["written-by-syft-core", "legacy-client-config", "only-email"])
def test_files_of_the_real_client_are_read_as_expected(case: str, tmp_path: Path) -> None:
    expected = json.loads((CASES / case / "expected.json").read_text())
    named = str(CASES / case / "tree" / ".syftbox" / "config.json")
    found = read_client_config({"SYFTBOX_CLIENT_CONFIG_PATH": named, "HOME": str(tmp_path)})
    assert found.email == expected["email"]
    assert found.root == expected["root"].replace("~", str(tmp_path))
    assert found.problems == ()


def test_without_a_variable_the_file_in_the_home_folder_is_read(tmp_path: Path) -> None:
    write(tmp_path / ".syftbox", "config.json", {"email": "Owner@Example.org", "data_dir": "~/Box"})
    found = read_client_config({"HOME": str(tmp_path)})
    assert (found.email, found.root) == ("owner@example.org", f"{tmp_path}/Box")


def test_the_variable_may_begin_with_a_tilde(tmp_path: Path) -> None:
    write(tmp_path / "else", "config.json", {"email": "owner@example.org", "data_dir": "/srv/Box"})
    found = read_client_config({"HOME": str(tmp_path), "SYFTBOX_CLIENT_CONFIG_PATH": "~/else/config.json"})
    assert found.root == "/srv/Box"


def test_nothing_there_is_no_problem(tmp_path: Path) -> None:
    assert read_client_config({"HOME": str(tmp_path)}) == ClientConfig()


def test_a_variable_that_names_nothing_is_a_problem(tmp_path: Path) -> None:
    found = read_client_config({"HOME": str(tmp_path), "SYFTBOX_CLIENT_CONFIG_PATH": str(tmp_path / "gone.json")})
    assert found.root == ""
    assert "SYFTBOX_CLIENT_CONFIG_PATH" in found.problems[0].what


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("[]", "expected a mapping"),
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"email": 7, "data_dir": "/srv/Box"}', "email"),
        ('{"email": "no address", "data_dir": "/srv/Box"}', "email"),
        ('{"email": "a/../b@example.org", "data_dir": "/srv/Box"}', "email"),
        ('{"email": "owner@example.org", "data_dir": ["/srv"]}', "data_dir"),
        ('{"email": "owner@example.org", "data_dir": "relative"}', "data_dir"),
        ('{"email": "owner@example.org", "data_dir": "/srv\\u0000x"}', "data_dir"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_damaged_file_is_a_problem_and_never_an_error(content: str, word: str, tmp_path: Path) -> None:
    path = write(tmp_path, "config.json", content)
    found = read_client_config({"HOME": str(tmp_path), "SYFTBOX_CLIENT_CONFIG_PATH": str(path)})
    assert [problem for problem in found.problems if word in problem.what]
    assert all(problem.advice for problem in found.problems)


def test_a_fifo_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    os.mkfifo(path)
    found = read_client_config({"HOME": str(tmp_path), "SYFTBOX_CLIENT_CONFIG_PATH": str(path)})
    assert "not a regular file" in found.problems[0].what


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with path.open("wb") as file:
        file.truncate(50 << 20)
    found = read_client_config({"HOME": str(tmp_path), "SYFTBOX_CLIENT_CONFIG_PATH": str(path)})
    assert "larger than" in found.problems[0].what


def test_tokens_are_not_kept(tmp_path: Path) -> None:
    path = write(tmp_path, "config.json", {"email": "o@example.org", "data_dir": "/srv", "client_token": "SECRET"})
    assert "SECRET" not in repr(read_client_config({"SYFTBOX_CLIENT_CONFIG_PATH": str(path)}))


def test_only_a_leading_tilde_is_expanded() -> None:
    env = {"HOME": "/home/me"}
    assert expand("~", env) == "/home/me"
    assert expand("~/x", env) == "/home/me/x"
    assert expand("/a/~/x", env) == "/a/~/x"
    assert expand("~other/x", env) == "~other/x"


def test_the_folder_name_says_whose_it_is(tmp_path: Path) -> None:
    assert identity_of(str(tmp_path / "SyftBox_Owner@Example.org")) == "owner@example.org"


@pytest.mark.parametrize("below", ["", "datasites"])
def test_the_only_person_in_it_is_the_owner(below: str, tmp_path: Path) -> None:
    (tmp_path / below / "Owner@example.org").mkdir(parents=True)
    (tmp_path / "apps").mkdir()
    assert identity_of(str(tmp_path)) == "owner@example.org"


def test_the_same_person_in_both_places_is_one_person(tmp_path: Path) -> None:
    (tmp_path / "owner@example.org").mkdir()
    (tmp_path / "datasites" / "owner@example.org").mkdir(parents=True)
    assert identity_of(str(tmp_path)) == "owner@example.org"


def test_two_people_leave_it_open(tmp_path: Path) -> None:
    (tmp_path / "owner@example.org").mkdir()
    (tmp_path / "other@example.org").mkdir()
    assert identity_of(str(tmp_path)) == ""


def test_a_folder_that_is_not_there_leaves_it_open(tmp_path: Path) -> None:
    assert identity_of(str(tmp_path / "gone")) == ""


def test_files_and_links_with_an_at_sign_are_nobody(tmp_path: Path) -> None:
    (tmp_path / "file@example.org").touch()
    (tmp_path / "link@example.org").symlink_to("/")
    assert identity_of(str(tmp_path)) == ""


def test_lying_inside_sees_through_links(tmp_path: Path) -> None:
    box = tmp_path / "box"
    (box / "home").mkdir(parents=True)
    (tmp_path / "way-in").symlink_to(box)
    assert lies_inside(str(tmp_path / "way-in" / "home"), str(box))
    assert lies_inside(str(box), str(box))
    assert not lies_inside(str(tmp_path / "box2"), str(box))
    assert not lies_inside(str(tmp_path), str(box))


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root can mount a folder a second time")
def test_a_second_name_that_a_mount_gives_the_folder_counts_too(tmp_path: Path) -> None:
    box, again = tmp_path / "box", tmp_path / "again"
    for folder in (box / "inner", again):
        folder.mkdir(parents=True)
    ask = "import sys; from scq.syftbox import lies_inside; print([lies_inside(path, sys.argv[1]) for path in sys.argv[2:]])"
    script = f'mount --bind {box} {again} && exec "$@"'
    words = [sys.executable, "-c", ask, str(box), str(again / "inner"), str(again / "not-there"), str(tmp_path / "box2")]
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", *words], capture_output=True, text=True, check=False)
    assert done.stdout == "[True, True, False]\n", done.stderr
