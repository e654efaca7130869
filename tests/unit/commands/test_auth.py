"""`scq auth`: signing in, looking at sign-ins, giving them back, through the real command line."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scq.signin import listener
from tests.people import OWNER, World
from tests.servers.google import CLIENT_SECRET, DRIVE_READ, READ, SEND, Google, google_on_loopback
from tests.servers.http import Answer

GMAIL = "sandbox: none\nchannels:\n  mine: {type: gmail}\n"
DRIVE_WRITE = "https://www.googleapis.com/auth/drive"
ENDED = "2020-01-01T00:00:00Z"


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    (tmp_path / "google").mkdir()
    with google_on_loopback(tmp_path / "google", monkeypatch) as server:
        yield server


@pytest.fixture
def gmail_token(world: World) -> Path:
    return world.owner.home / "gmail_token.json"


@pytest.fixture
def drive_token(world: World) -> Path:
    return world.owner.home / "token_do.json"


def signs_in(world: World, google: Google, monkeypatch: pytest.MonkeyPatch, *options: str, code: int | None = 0) -> str:
    """One `scq auth google` whose person has a browser; what was said."""
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", google.browser)
    answer = world.owner.scq("auth", "google", "--credentials", str(google.client_file()), *options, code=code)
    google._visit.join()
    return answer.out + answer.err


def test_a_sign_in_for_sending_mail_is_saved_for_its_owner_alone(
    world: World, google: Google, monkeypatch: pytest.MonkeyPatch, gmail_token: Path, drive_token: Path
) -> None:
    said = signs_in(world, google, monkeypatch)
    saved = json.loads(gmail_token.read_text())
    assert (saved["token"], saved["refresh_token"], saved["scopes"]) == ("access-0", "refresh-0", [SEND])
    assert stat.S_IMODE(gmail_token.stat().st_mode) == 0o600
    assert not drive_token.exists()
    assert google.consent["login_hint"] == OWNER
    assert "signed in for gmail.send" in said
    assert not any(secret in said for secret in ("access-0", "refresh-0", CLIENT_SECRET))


def test_the_json_of_a_sign_in_holds_no_secret(world: World, google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    said = signs_in(world, google, monkeypatch, "--json")
    row = json.loads(said[said.index("{") : said.rindex("}") + 1])["data"]["saved"][0]
    assert (row["purpose"], row["scopes"], row["renewable"]) == ("gmail", [SEND], True)
    assert not any(secret in said for secret in ("access-0", "refresh-0", CLIENT_SECRET))


@pytest.mark.parametrize(("options", "scope"), [(("--drive",), DRIVE_READ), (("--drive", "--write"), DRIVE_WRITE)])
def test_a_sign_in_for_drive_has_a_file_of_its_own(
    world: World,
    google: Google,
    monkeypatch: pytest.MonkeyPatch,
    gmail_token: Path,
    drive_token: Path,
    options: tuple[str, ...],
    scope: str,
) -> None:
    signs_in(world, google, monkeypatch, *options)
    assert json.loads(drive_token.read_text())["scopes"] == [scope]
    assert not gmail_token.exists()


def test_both_at_once_are_one_question(
    world: World, google: Google, monkeypatch: pytest.MonkeyPatch, gmail_token: Path, drive_token: Path
) -> None:
    signs_in(world, google, monkeypatch, "--send", "--drive")
    assert gmail_token.read_bytes() == drive_token.read_bytes()
    assert set(json.loads(gmail_token.read_text())["scopes"]) == {SEND, DRIVE_READ}


def test_less_than_asked_is_not_saved(
    world: World, google: Google, monkeypatch: pytest.MonkeyPatch, gmail_token: Path, drive_token: Path
) -> None:
    google.granted = SEND
    said = signs_in(world, google, monkeypatch, "--send", "--drive", code=77)
    assert "not granted: drive.readonly" in said
    assert not gmail_token.exists()
    assert not drive_token.exists()


def test_without_a_screen_the_address_is_pasted(
    world: World, google: Google, monkeypatch: pytest.MonkeyPatch, gmail_token: Path
) -> None:
    class Terminal(io.StringIO):
        def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
            url = next(line for line in sys.stderr.getvalue().splitlines() if line.startswith("https://"))  # type: ignore[attr-defined]
            return google.agree(url) + "\n"

    monkeypatch.setattr(sys, "stdin", Terminal())
    world.owner.scq("auth", "google", "--no-browser", "--credentials", str(google.client_file()))
    assert json.loads(gmail_token.read_text())["token"] == "access-0"
    assert google.consent["redirect_uri"] == "http://localhost:1/"


@pytest.mark.parametrize("pasted", ["", "http://localhost:1/?state=forged&code=c", "4/0AbCode"])
def test_a_forged_or_missing_answer_saves_nothing(
    world: World, google: Google, monkeypatch: pytest.MonkeyPatch, gmail_token: Path, pasted: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(pasted))
    answer = world.owner.scq("auth", "google", "--no-browser", "--credentials", str(google.client_file()), code=2)
    assert "address" in answer.err
    assert not gmail_token.exists()
    assert google.posts("/token") == []


def test_nobody_who_answers_is_not_waited_for_for_ever(world: World, google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    monkeypatch.setattr(listener, "TIMEOUT", 0.05)
    world.owner.scq("auth", "google", "--credentials", str(google.client_file()), code=75)


def test_without_a_client_file_the_steps_are_told(world: World) -> None:
    answer = world.owner.scq("auth", "google", code=78)
    assert "credentials.json: there is no such file" in answer.err
    assert "Desktop app" in answer.err


def test_writing_is_for_drive_only(world: World) -> None:
    assert "--drive" in world.owner.scq("auth", "google", "--write", code=2).err


def test_status_without_anything_is_calm(world: World) -> None:
    answer = world.owner.scq("auth", "status")
    assert answer.out.count("not signed in") == 2
    assert answer.err == ""


def test_status_tells_what_is_missing_where_it_is_needed(world: World) -> None:
    world.owner.configure(GMAIL)
    answer = world.owner.scq("auth", "status", code=77)
    assert "scq auth google --send" in answer.err


def test_status_shows_what_a_sign_in_allows_and_no_secret(world: World, google: Google, gmail_token: Path) -> None:
    world.owner.configure(GMAIL)
    google.token_file(gmail_token, scopes=[SEND, READ])
    answer = world.owner.scq("auth", "status")
    assert "gmail.send, gmail.readonly" in answer.out
    assert "renews itself" in answer.out
    rows = {row["purpose"]: row for row in world.owner.json("auth", "status")["sign_ins"]}
    assert (rows["gmail"]["usable"], rows["gmail"]["account"]) == (True, "owner@example.org")
    assert rows["gmail"]["expires_at"] == "2999-01-01T00:00:00Z"
    assert rows["drive"]["there"] is False
    assert "access-0" not in json.dumps(rows)
    assert google.http.requests == []


@pytest.mark.parametrize(
    ("changes", "word"), [({"refresh_token": None}, "until 2999-01-01"), ({"refresh_token": None, "expiry": None}, "unknown")]
)
def test_status_tells_the_end_of_one_that_cannot_be_renewed(
    world: World, google: Google, gmail_token: Path, changes: dict[str, None], word: str
) -> None:
    google.token_file(gmail_token, **changes)
    assert word in world.owner.scq("auth", "status").out


def test_status_online_renews_and_saves(world: World, google: Google, gmail_token: Path) -> None:
    google.token_file(gmail_token, expiry=ENDED)
    world.owner.scq("auth", "status", "--online")
    assert json.loads(gmail_token.read_text())["token"] == "access-1"


def test_status_online_of_a_dead_one_that_is_needed(world: World, google: Google, gmail_token: Path) -> None:
    world.owner.configure(GMAIL)
    google.token_file(gmail_token, refresh_token="revoked")
    answer = world.owner.scq("auth", "status", "--online", code=77)
    assert "no longer accepts" in answer.err
    assert "not usable" in answer.out
    world.owner.configure("sandbox: none\n")
    assert "no longer accepts" in world.owner.scq("auth", "status", "--online").err


def test_status_online_without_a_network_is_tried_later(world: World, google: Google, gmail_token: Path) -> None:
    google.token_file(gmail_token, token_uri="https://127.0.0.1:1/token")
    world.owner.scq("auth", "status", "--online", code=75)


def test_status_leaves_the_file_of_another_program_alone(world: World, google: Google, tmp_path: Path) -> None:
    theirs = google.token_file(tmp_path / "theirs.json", expiry=ENDED)
    before = theirs.read_bytes()
    world.owner.configure(f"sandbox: none\ngmail_token_path: {theirs}\n")
    world.owner.scq("auth", "status", "--online")
    assert google.refreshes == 1
    assert theirs.read_bytes() == before


@pytest.mark.parametrize("kind", ["a file", "a link to it"])
def test_signing_in_never_writes_over_the_file_of_another_program(
    world: World, google: Google, tmp_path: Path, drive_token: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    theirs = google.token_file(tmp_path / "theirs.json")
    before = theirs.read_bytes()
    if kind == "a file":
        world.owner.configure(f"sandbox: none\ndrive_token_path: {theirs}\n")
    else:
        drive_token.symlink_to(theirs)
    answer = world.owner.scq("auth", "google", "--drive", "--credentials", str(google.client_file()), code=78)
    assert "drive_token_path" in answer.err
    answer = world.owner.scq("auth", "revoke", "--drive", "--yes", code=78)
    assert "another program" in answer.out + answer.err
    assert theirs.read_bytes() == before
    assert google.revoked == []
    theirs.unlink()
    drive_token.unlink(missing_ok=True)
    signs_in(world, google, monkeypatch, "--drive")
    assert (theirs if kind == "a file" else drive_token).exists()


def test_status_names_the_scope_that_is_missing(world: World, google: Google, gmail_token: Path) -> None:
    world.owner.configure(GMAIL)
    google.token_file(gmail_token, scopes=[DRIVE_READ])
    assert "lacks the scope gmail.send" in world.owner.scq("auth", "status", code=77).err


def test_status_says_when_a_renewed_one_cannot_be_saved(
    world: World, google: Google, gmail_token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(gmail_token))

    google.token_file(gmail_token, expiry=ENDED)
    monkeypatch.setattr("scq.signin.tokens.write_atomic", full)
    assert "No space left" in world.owner.scq("auth", "status", "--online").err


def test_a_damaged_drive_sign_in_is_needed_because_it_is_there(world: World, drive_token: Path) -> None:
    drive_token.write_text("{")
    assert "is not JSON" in world.owner.scq("auth", "status", code=77).err


def test_giving_back_asks_first(world: World, google: Google, gmail_token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    google.token_file(gmail_token)
    assert "--yes" in world.owner.scq("auth", "revoke", code=2).err
    monkeypatch.setattr("scq.cli.auth.asking", lambda: lambda question: False)
    assert "nothing was changed" in world.owner.scq("auth", "revoke").out
    assert gmail_token.exists()
    monkeypatch.setattr("scq.cli.auth.asking", lambda: lambda question: str(gmail_token) in question)
    assert "given back" in world.owner.scq("auth", "revoke").out
    assert not gmail_token.exists()
    assert google.revoked == ["refresh-0"]


def test_one_sign_in_in_two_files_is_given_back_once(world: World, google: Google, gmail_token: Path, drive_token: Path) -> None:
    google.token_file(gmail_token)
    google.token_file(drive_token)
    world.owner.scq("auth", "revoke", "--yes")
    assert google.revoked == ["refresh-0"]
    assert not gmail_token.exists()
    assert not drive_token.exists()


def test_only_the_named_one_is_given_back(world: World, google: Google, gmail_token: Path, drive_token: Path) -> None:
    google.token_file(gmail_token)
    google.token_file(drive_token, refresh_token="refresh-drive")
    world.owner.scq("auth", "revoke", "--drive", "--yes")
    assert google.revoked == ["refresh-drive"]
    assert gmail_token.exists()


def test_a_dead_one_is_removed(world: World, google: Google, gmail_token: Path) -> None:
    google.token_file(gmail_token)
    google.next_revocations = [Answer(400, {"error": "invalid_token"})]
    assert "no longer valid" in world.owner.scq("auth", "revoke", "--yes").out
    assert not gmail_token.exists()


def test_without_a_network_the_file_stays_unless_forced(world: World, google: Google, gmail_token: Path) -> None:
    google.token_file(gmail_token)
    google.next_revocations = [Answer(503, ""), Answer(503, "")]
    assert "--force" in world.owner.scq("auth", "revoke", "--yes", code=75).err
    assert gmail_token.exists()
    row = world.owner.json("auth", "revoke", "--yes", "--force")["revoked"][0]
    assert (row["removed"], row["what"]) == (True, "removed, but not given back")
    assert not gmail_token.exists()


def test_nothing_to_give_back_is_said(world: World) -> None:
    assert "no saved sign-in" in world.owner.scq("auth", "revoke", "--yes", code=77).err


def test_status_loads_nothing_of_google(world: World, google: Google, gmail_token: Path) -> None:
    google.token_file(gmail_token)
    program = (
        "import sys\n"
        "from scq.cli.app import call\n"
        f"code = call(['--home', {str(world.owner.home)!r}, 'auth', 'status', '--quiet'])\n"
        "print(code, sorted({'google', 'googleapiclient', 'requests', 'httplib2', 'oauthlib', 'asyncio'} & set(sys.modules)))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.stdout == "0 []\n", ran.stderr


def test_a_real_browser_program_brings_the_answer(world: World, google: Google, tmp_path: Path, gmail_token: Path) -> None:
    follows = tmp_path / "follows.py"
    follows.write_text(
        "import ssl, sys\n"
        "from urllib.request import urlopen\n"
        f"urlopen(sys.argv[1], context=ssl.create_default_context(cafile={str(google.ca_file)!r})).close()\n"
    )
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nexec {sys.executable} {follows} "$1"\n')
    browser.chmod(0o755)
    environment = {**os.environ, "BROWSER": f"{browser} %s &", "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-m", "scq", "--home", str(world.owner.home), "auth", "google"]
    ran = subprocess.run(
        [*command, "--credentials", str(google.client_file())], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(gmail_token.read_text())["token"] == "access-0"
