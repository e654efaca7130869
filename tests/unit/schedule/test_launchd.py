"""launchd: agents as property lists, and a stand-in for `launchctl` that does what is documented of it."""

from __future__ import annotations

import os
import plistlib
from pathlib import Path
from typing import Any

import pytest

from scq import schedule
from scq.errors import ConfigError, ScqError, UsageError
from scq.ports import Entry, Schedule
from scq.schedule import launchd
from scq.schedule.launchd import Launchd

# Keeps the agents it was given as files `LABEL`, those that rest for good as `LABEL.disabled`. As the real one: `bootstrap` of an
# agent it has, or that is disabled, is an input/output error (5); one it does not have is not found (113); an agent that was
# booted out is still known for a moment.
LAUNCHCTL = """#!/bin/sh
PATH=/usr/bin:/bin
echo "$*" >>"$AGENTS/asked"
fails() { echo "$2" >&2; exit "$1"; }
[ -z "$NOBODY" ] || fails 125 "Bootstrap failed: 125: Domain does not support specified action"
domain=gui/$(id -u)
case "$2" in "$domain"*) ;; *) exit 112 ;; esac
label=${2#"$domain/"}
[ "$1" != bootstrap ] || label=$(sed -n '/<key>Label/{n;s/.*<string>//;s/<.*//;p;}' "$3")
agent=$AGENTS/$label
case "$1" in
  bootstrap)
    if [ -e "$agent" ] || [ -e "$agent.disabled" ]; then fails 5 "Bootstrap failed: 5: Input/output error"; fi
    : >"$agent" ;;
  enable) rm -f "$agent.disabled" ;;
  disable) : >"$agent.disabled" ;;
  print)
    if [ -e "$agent.leaving" ]; then rm "$agent.leaving"; exit 0; fi
    [ -e "$agent" ] || fails 113 "Could not find service in domain"
    echo "$label = {"; echo "	state = running"; cat "$agent"; echo "}" ;;
  bootout) mv "$agent" "$agent.leaving" ;;
  *) exit 64 ;;
esac
"""


class Mac:
    """A home with a launchd of its own."""

    def __init__(self, folder: Path) -> None:
        self.agents = folder / "agents"
        self.agents.mkdir()
        (folder / "bin").mkdir()
        (folder / "bin" / "launchctl").write_text(LAUNCHCTL)
        (folder / "bin" / "launchctl").chmod(0o755)
        self.home = str(folder / "ann" / ".syft-creds")
        os.makedirs(self.home)
        self.env = {"PATH": str(folder / "bin"), "HOME": str(folder / "ann"), "AGENTS": str(self.agents)}
        self.plists = folder / "ann" / "Library" / "LaunchAgents"

    @property
    def launchd(self) -> Launchd:
        return Launchd(self.env)

    def loaded(self) -> set[str]:
        return {path.name for path in self.agents.iterdir() if path.name != "asked"}

    def asked(self) -> list[str]:
        return [line.split()[0] for line in (self.agents / "asked").read_text().splitlines()]

    def plan(self, *names: str, every: float = 60, home: str = "") -> Schedule:
        place = home or self.home
        entries = (Entry(name, ("/bin/true", "--home", place, name), every, "look & tell") for name in names or ("notify", "run"))
        return Schedule(place, tuple(entries))

    def plist(self, name: str) -> dict[str, Any]:
        with open(self.plists / f"org.scq.{name}.plist", "rb") as file:
            found: dict[str, Any] = plistlib.load(file)
        return found


@pytest.fixture
def mac(tmp_path: Path) -> Mac:
    return Mac(tmp_path)


def test_the_files_can_be_shown_anywhere(tmp_path: Path) -> None:
    made = schedule.get("launchd", {"HOME": "/Users/ann", "PATH": str(tmp_path)})
    assert (made.name, made.overlaps) == ("launchd", False)
    assert "part of macOS" in made.unusable()
    wanted = Schedule("/Users/ann/.syft-creds", (Entry("notify", ("/usr/local/bin/scq", "cycle"), 30, ""),))
    (file,) = made.files(wanted)
    assert file.path == "/Users/ann/Library/LaunchAgents/org.scq.notify.plist"
    assert plistlib.loads(file.text.encode()) == {
        "Label": "org.scq.notify",
        "ProgramArguments": ["/usr/local/bin/scq", "cycle"],
        "EnvironmentVariables": {"PATH": "/usr/local/bin:/opt/homebrew/bin:/usr/bin:/bin", "SCQ_HOME": "/Users/ann/.syft-creds"},
        "StartInterval": 30,
        "RunAtLoad": True,
        "ProcessType": "Background",
        "LowPriorityIO": True,
        "Umask": 63,
        "StandardErrorPath": "/Users/ann/.syft-creds/launchd-notify.err",
    }
    assert made.installed(wanted.home) == ()
    assert made.remove(wanted.home) == ()
    assert [problem.where for problem in made.verify(wanted)] == ["/usr/local/bin/scq", "launchd"]
    with pytest.raises(UsageError, match="no launchd"):
        made.install(wanted)


def test_installing_hands_the_agents_to_launchd_once(mac: Mac) -> None:
    said = mac.launchd.install(mac.plan())
    assert [line.split(":")[0] for line in said] == ["notify", "run"]
    assert mac.loaded() == {"org.scq.notify", "org.scq.run"}
    assert mac.plist("run")["ProgramArguments"] == ["/bin/true", "--home", mac.home, "run"]
    assert mac.launchd.install(mac.plan()) == ()
    assert mac.asked().count("bootstrap") == 2
    assert mac.launchd.verify(mac.plan()) == []
    assert [(found.name, found.state, found.every) for found in mac.launchd.installed(mac.home)] == [
        ("notify", "active", 60),
        ("run", "active", 60),
    ]


def test_a_new_interval_waits_until_the_old_agent_is_gone(mac: Mac) -> None:
    mac.launchd.install(mac.plan())
    (said,) = mac.launchd.install(mac.plan("notify", "run", every=60)) or ("",)
    assert said == ""
    mac.launchd.install(mac.plan(every=300))
    assert mac.plist("notify")["StartInterval"] == 300
    assert mac.loaded() == {"org.scq.notify", "org.scq.run"}


def test_what_is_no_longer_wanted_goes(mac: Mac) -> None:
    mac.launchd.install(mac.plan("notify", "approve"))
    mac.launchd.install(mac.plan("notify"))
    assert mac.loaded() == {"org.scq.notify"}
    assert [found.name for found in mac.launchd.installed(mac.home)] == ["notify"]


def test_removing_takes_only_what_is_ours(mac: Mac) -> None:
    other = os.path.join(os.path.dirname(mac.home), "second")
    mac.launchd.install(mac.plan())
    mac.launchd.install(mac.plan("notify", home=other))
    stranger = mac.plists / "org.scq.stranger.plist"
    stranger.write_text("<plist/>")
    assert len(mac.launchd.remove(mac.home)) == 2
    assert len(mac.loaded()) == 1
    assert [found.state for found in mac.launchd.installed(other)] == ["active"]
    assert mac.launchd.remove(other)
    assert mac.launchd.remove(other) == ()
    assert list(mac.plists.iterdir()) == [stranger]
    assert mac.loaded() == set()


def test_an_agent_of_somebody_else_is_not_written_over(mac: Mac) -> None:
    mac.plists.mkdir(parents=True)
    (mac.plists / "org.scq.run.plist").write_text("<plist/>")
    with pytest.raises(ConfigError, match=r"org\.scq\.run\.plist is not from scq"):
        mac.launchd.install(mac.plan("run"))
    assert (mac.plists / "org.scq.run.plist").read_text() == "<plist/>"
    assert mac.loaded() == set()


def test_a_stopped_agent_rests_until_it_is_started(mac: Mac) -> None:
    mac.launchd.install(mac.plan())
    mac.launchd.stop(mac.home, "run")
    assert mac.loaded() == {"org.scq.notify", "org.scq.run.disabled"}
    assert {found.name: found.state for found in mac.launchd.installed(mac.home)} == {"notify": "active", "run": "stopped"}
    (problem,) = mac.launchd.verify(mac.plan())
    assert problem.what == "rests: launchd does not have it"
    mac.launchd.start(mac.home, "run")
    mac.launchd.start(mac.home, "run")
    assert mac.loaded() == {"org.scq.notify", "org.scq.run"}
    with pytest.raises(UsageError, match="approve is not installed"):
        mac.launchd.stop(mac.home, "approve")


def test_the_process_of_a_call_is_known(mac: Mac) -> None:
    mac.launchd.install(mac.plan())
    (mac.agents / "org.scq.run").write_text("\tpid = 4711\n\tlast exit code = 0\n")
    found = {found.name: (found.state, found.pid) for found in mac.launchd.installed(mac.home)}
    assert found == {"notify": ("active", None), "run": ("running", 4711)}


@pytest.mark.parametrize("edit", [("<integer>60<", "<integer>61<"), ("</plist>", ""), ("<dict>", "<array>"), ("60", "x")])
def test_an_edited_agent_is_said_to_be_and_mended(mac: Mac, edit: tuple[str, str]) -> None:
    mac.launchd.install(mac.plan("notify"))
    path = mac.plists / "org.scq.notify.plist"
    path.write_text(path.read_text().replace(*edit))
    assert [found.state for found in mac.launchd.installed(mac.home)] == ["changed"]
    assert [problem.what for problem in mac.launchd.verify(mac.plan("notify"))] == ["is not what belongs there"]
    mac.launchd.install(mac.plan("notify"))
    assert [found.state for found in mac.launchd.installed(mac.home)] == ["active"]


def test_where_nobody_is_logged_in_it_is_said(mac: Mac) -> None:
    mac.env["NOBODY"] = "1"
    with pytest.raises(ScqError, match=r"did not take .*: Bootstrap failed: 125") as caught:
        mac.launchd.install(mac.plan())
    assert "logged in" in caught.value.advice


def test_an_agent_that_does_not_leave_is_said(mac: Mac, monkeypatch: pytest.MonkeyPatch) -> None:
    mac.launchd.install(mac.plan("notify"))
    monkeypatch.setattr(launchd, "_LEAVES_S", 0.0)
    program = Path(mac.env["PATH"]) / "launchctl"
    program.write_text(LAUNCHCTL.replace('mv "$agent" "$agent.leaving"', "true"))
    with pytest.raises(ScqError, match="launchd keeps org.scq.notify"):
        mac.launchd.remove(mac.home)


def test_an_error_file_that_grew_is_a_problem_and_begins_anew(mac: Mac) -> None:
    mac.launchd.install(mac.plan("notify"))
    log = Path(mac.home) / "launchd-notify.err"
    log.write_bytes(b"x" * ((1 << 20) + 1))
    assert [problem.where for problem in mac.launchd.verify(mac.plan("notify"))] == [str(log)]
    mac.launchd.stop(mac.home, "notify")
    mac.launchd.start(mac.home, "notify")
    assert not log.exists()


def test_it_installs_for_nobody_else_and_only_printable_paths(mac: Mac) -> None:
    with pytest.raises(UsageError, match="not as ann"):
        mac.launchd.files(Schedule(mac.home, (), user="ann"))
    assert [problem.where for problem in mac.launchd.verify(mac.plan(home="/a\nb"))] == ["launchd"]
