"""Settings and memory of older software, as scq reads them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from scq.errors import InvalidFileError, UsageError
from scq.legacy import Place, find, find_usual, importable, modern, read_state, subjects, with_usual_tokens
from tests.unit.library.test_state_manager import older

ENV = {"HOME": "/home/me"}


def test_flat_settings_get_the_names_of_config_yaml() -> None:
    found = modern(
        {
            "email": "o@x.org",
            "root": "~/SyftBox",
            "gmail_token_path": "token.json",
            "state_path": "mem/../memory.json",
            "interval": 30,
            "email_format": "both",
            "notify_on_new_job": False,
        },
        "/old",
        ENV,
    )
    assert found.left == ()
    assert found.values == {
        "do_email": "o@x.org",
        "syftbox_root": "/home/me/SyftBox",
        "gmail_token_path": "/old/token.json",
        "state_file": "/old/memory.json",
        "email_format": "both",
        "notify_on_new_job": False,
        "notify": {"interval": 30},
    }


def test_nested_settings_get_the_names_of_config_yaml() -> None:
    notify = {"interval": 5, "monitor_peers": False, "notify_state_path": "notify/state.json", "sync_state_path": "x"}
    found = modern({"do_email": "o@x.org", "interval": 30, "notify": notify}, "/old", ENV)
    assert found.values == {
        "do_email": "o@x.org",
        "notify": {"interval": 5, "monitor_peers": False},
        "state_file": "/old/notify/state.json",
    }


@pytest.mark.parametrize(
    ("approve", "what"),
    [
        ({"auto_approvals": {"objects": {"a": {}}}}, "1 rule for automatic approval"),
        ({"auto_approvals": {"objects": {"a": {}, "b": {}}}}, "2 rules for automatic approval"),
        ({"auto_approvals": {"objects": []}}, "(automatic approval)"),
        ({"auto_approvals": 3}, "(automatic approval)"),
        ("yes", "(automatic approval)"),
    ],
)
def test_automatic_approval_is_never_taken_over_and_this_is_said(approve: Any, what: str) -> None:
    found = modern({"approve": approve}, "/old", ENV)
    assert found.values == {}
    assert what in found.left[0].what
    assert "scq approve" in found.left[0].advice


def test_services_scq_has_not_are_named() -> None:
    services = {"sync": {}, "email_approve": {}, "approve": {"peers": {"approved_domains": ["x.org"]}}}
    assert [problem.where for problem in modern(services, "/old", ENV).left] == [
        "sync",
        "email_approve",
        "approve",
        "approve.peers",
    ]


def test_odd_types_stay_for_whoever_checks_them() -> None:
    found = modern({"notify": 3, "gmail_token_path": ["x"], "do_email": 7}, "/old", ENV)
    assert found.values == {"notify": 3, "gmail_token_path": ["x"], "do_email": 7}


def test_the_usual_folder_of_older_software_is_found(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    assert "syftbox_root" not in modern({"do_email": "o@x.org"}, "/old", env).values
    (tmp_path / "SyftBox_o@x.org").mkdir()
    assert modern({"do_email": "o@x.org"}, "/old", env).values["syftbox_root"] == str(tmp_path / "SyftBox_o@x.org")
    assert modern({"do_email": "o@x.org", "root": "/r"}, "/old", env).values["syftbox_root"] == "/r"
    assert "syftbox_root" not in modern({"do_email": "../../x"}, "/old", env).values


def test_sign_ins_that_lie_in_the_folder_are_referred_to(tmp_path: Path) -> None:
    (tmp_path / "token.json").write_text("{}")
    (tmp_path / "token_do.json").write_text("{}")
    assert with_usual_tokens({"gmail_token_path": "/named"}, str(tmp_path)) == {
        "gmail_token_path": "/named",
        "drive_token_path": str(tmp_path / "token_do.json"),
    }
    assert with_usual_tokens({}, str(tmp_path))["gmail_token_path"] == str(tmp_path / "token.json")


def test_only_what_lets_no_job_run_is_taken_over() -> None:
    taken, left = importable(
        {
            "do_email": "o@x.org",
            "sandbox": "none",
            "channels": {},
            "flying": True,
            "email_format": "carrier pigeon",
            "syftbox_root": None,
            "state_file": "/s",
            "notify": {"interval": "5s", "heartbeat_enabled": True, "odd": 1},
        }
    )
    assert taken == {"do_email": "o@x.org", "notify.interval": "5s", "notify.heartbeat_enabled": True}
    assert [(problem.where, problem.what.partition(": ")[2].split(";")[0]) for problem in left] == [
        ("sandbox", "it is not imported"),
        ("channels", "it is not imported"),
        ("flying", "it means nothing to scq"),
        ("email_format", "it is not html or text or both"),
        ("notify.odd", "it means nothing to scq"),
    ]


@pytest.mark.parametrize("names", [["config.yaml"], ["daemon.yaml"], ["config.yaml", "daemon.yaml"]])
def test_a_folder_is_searched_for_the_known_files(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "notify").mkdir()
    for name in (*names, "notify/state.json", "notification_state.json"):
        (tmp_path / name).write_text("")
    found = find(str(tmp_path))
    assert (found.folder, found.config) == (str(tmp_path), str(tmp_path / names[0]))
    assert found.states == (str(tmp_path / "notify/state.json"), str(tmp_path / "notification_state.json"))
    assert find(str(tmp_path / names[0])) == found
    state = str(tmp_path / "notification_state.json")
    assert (find(state).config, find(state).states) == ("", (state,))


def test_a_place_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        find(str(tmp_path / "nothing"))


def test_a_state_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps(older()))
    found = read_state(str(path))
    assert found.notified == {
        "income": ("new", "approved", "executed"),
        "peer_granted_x@y.org": ("peer_granted",),
        **marks_of("ana@uni.example", "old@uni.example"),
    }
    assert subjects(found.notified) == {"income", "x@y.org", "ana@uni.example", "old@uni.example"}
    assert found.threads == {"income": "18c2f"}
    assert found.approvals == 3


def marks_of(*peers: str) -> dict[str, tuple[str, ...]]:
    """What is remembered of peers who asked, and were answered."""
    words = {"peer_new_{}_to_do": "new_peer_request", "peer_new_{}_to_ds": "peer_request_sent", "peer_granted_{}": "peer_granted"}
    return {name.format(peer): (word,) for peer in peers for name, word in words.items()}


def test_peers_that_were_known_there_are_no_news(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    snapshot = {"peer_emails": ["B@x.org", 3, ""], "approved_peer_emails": ["c@x.org"], "job_names": ["later"]}
    path.write_text(json.dumps({"peer_snapshot": ["A@x.org"], "snapshot": snapshot}))
    found = read_state(str(path)).notified
    asked = {name for name, words in found.items() if words == ("new_peer_request",)}
    assert asked == {f"peer_new_{peer}@x.org_to_do" for peer in "abc"}
    assert {name for name in found if name.startswith("peer_granted_")} == {"peer_granted_c@x.org"}
    assert "later" not in found


def test_odd_peers_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"peer_snapshot": {"a@x.org": 1}, "snapshot": [], "approved_peers": ["peer_a@x.org"]}))
    assert read_state(str(path)).notified == {}


def test_older_software_is_found_where_it_usually_lies(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    with pytest.raises(UsageError, match="no older software was found in ~/.syft-bg"):
        find_usual(env)
    (tmp_path / ".syft-bg").mkdir()
    (tmp_path / ".syft-notifications").mkdir()
    (tmp_path / ".syft-notifications" / "state.json").write_text("{}")
    state = str(tmp_path / ".syft-notifications" / "state.json")
    assert find_usual(env) == Place(str(tmp_path / ".syft-notifications"), "", (state,))
    (tmp_path / ".syft-creds").mkdir()
    (tmp_path / ".syft-creds" / "daemon.yaml").write_text("")
    config = str(tmp_path / ".syft-creds" / "daemon.yaml")
    assert find_usual(env) == Place(str(tmp_path / ".syft-creds"), config, (state,))
    (tmp_path / ".syft-bg" / "approve").mkdir()
    (tmp_path / ".syft-bg" / "approve" / "state.json").write_text("{}")
    (tmp_path / ".syft-bg" / "config.yaml").write_text("")
    found = find_usual(env)
    assert (found.folder, found.config) == (str(tmp_path / ".syft-bg"), str(tmp_path / ".syft-bg" / "config.yaml"))
    assert found.states == (str(tmp_path / ".syft-bg" / "approve" / "state.json"), state)


def test_odd_entries_of_a_state_file_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    marks = {"a": ["new", 3, "", "new", "x" * 2_000], "b": "new", "": ["new"], "n" * 2_000: ["new"]}
    path.write_text(json.dumps({"notified_jobs": marks, "thread_ids": {"a": 3, "b": "t"}, "approved_jobs": 7}))
    found = read_state(str(path))
    assert found.notified == {"a": ("new",)}
    assert found.threads == {"b": "t"}
    assert found.approvals == 0


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"3", b"\xff\xfe", b'{"notified_jobs": ', b'{"notified_jobs": []}', b'{"revision": 4, "jobs": {}}'),
        *(b"[" * 100_000, b'{"thread_ids": ' + b"[" * 5_000 + b"]" * 5_000 + b"}"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(InvalidFileError, match=r"state\.json"):
        read_state(str(path))


def test_a_fifo_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "state.json")
    with pytest.raises(InvalidFileError):
        read_state(str(tmp_path / "state.json"))
