"""The text of systemd units: what is filled in, how it is quoted, and whose a unit is."""

from __future__ import annotations

import pytest

from scq.errors import UsageError
from scq.ports import Entry
from scq.schedule.units import Filling, calendar, filled, seal_of, seconds, unit_name

SERVICE = """# by hand: copy it
[Unit]
Description=Look
Documentation=file:%h/.syft-creds/config.yaml

[Service]
Type=oneshot
User=scq
# What is called.
ExecStart=%h/.local/bin/scq cycle
# Read-only homes.
ProtectHome=read-only
ReadWritePaths=-%h/.syft-creds
# Nobody else.
PrivateUsers=yes
# No rights.
CapabilityBoundingSet=
AmbientCapabilities=
# Own /tmp.
PrivateTmp=yes
"""
TIMER = """[Unit]
Description=Look, every minute

[Timer]
OnCalendar=*:0/1
# Made up for.
Persistent=yes
RandomizedDelaySec=10s
"""


def unit(shipped: str = SERVICE, argv: tuple[str, ...] = ("/opt/scq", "cycle"), every: float = 60.0, **fields: object) -> str:
    home = str(fields.pop("home", "/home/me/creds"))
    entry = Entry("run", argv, every, "run", runs_jobs=True)
    return filled(shipped, Filling(home, entry, fields.pop("writable", ("/data/Box",)), **fields))  # type: ignore[arg-type]


def lines(text: str) -> list[str]:
    return text.splitlines()


def test_places_account_and_call_are_filled_in_and_the_advice_for_copying_is_left_out() -> None:
    made = lines(unit(user="alice"))
    assert "# by hand: copy it" not in made
    assert made[made.index("[Service]") + 1 :] == [
        *(
            "Type=oneshot",
            "User=alice",
            "# What is called.",
            "ExecStart=/opt/scq cycle",
            "# Read-only homes.",
            "ProtectHome=read-only",
        ),
        *(
            "ReadWritePaths=-/home/me/creds -/data/Box",
            "# Nobody else.",
            "PrivateUsers=yes",
            "# No rights.",
            "CapabilityBoundingSet=",
        ),
        *("AmbientCapabilities=", "# Own /tmp.", "PrivateTmp=yes"),
    ]
    assert "Documentation=file:/home/me/creds/config.yaml" in made


def test_nothing_in_a_path_or_an_argument_is_read_as_syntax() -> None:
    made = lines(unit(argv=("/opt/a b/scq", "--home", 'q"\\', "$HOME", "100%"), home="/home/me/50% off", writable=("/d;x",)))
    assert 'ExecStart="/opt/a b/scq" --home "q\\"\\\\" "$$HOME" 100%%' in made
    assert 'ReadWritePaths="-/home/me/50%% off" "-/d;x"' in made
    assert "Documentation=file:/home/me/50%%25%%20off/config.yaml" in made
    assert "# scq-home: /home/me/50% off" in made


@pytest.mark.parametrize(
    "fields",
    [
        {"home": "/home/me\n[Service]"},
        {"argv": ("/opt/scq", "a\nExecStart=/bin/sh")},
        {"argv": ("/opt/$x/scq",)},
        {"argv": ("scq",)},
        {"writable": ("/data\x1b",)},
        {"home": "/home/\udcff"},
        {"credentials": (("../x", "/etc/secret"),)},
        {"credentials": (("x:y", "/etc/secret"),)},
        {"credentials": (("x", "secret"),)},
        {"credentials": (("x", "/etc/a\nb"),)},
    ],
)
def test_what_a_unit_cannot_hold_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        unit(**fields)  # type: ignore[arg-type]


def test_secrets_are_handed_over_by_name_and_place() -> None:
    assert "LoadCredential=smtp.password:/etc/my %%secrets/p" in lines(
        unit(credentials=(("smtp.password", "/etc/my %secrets/p"),))
    )


def test_a_place_below_tmp_is_not_hidden_by_a_tmp_of_its_own() -> None:
    assert "PrivateTmp=yes" not in (made := unit(writable=("/tmp/Box",)))
    assert "# Own /tmp." not in made
    assert " -/tmp -/var/tmp\n" in made, "all else is read-only, and a call needs a place for temporary files"
    assert " -/tmp" not in unit()
    assert "PrivateTmp=yes" not in unit(argv=("/var/tmp/venv/bin/scq",))
    assert "PrivateTmp=yes" in unit(writable=("/tmporary",))


def test_a_whole_home_that_is_written_to_is_not_made_read_only() -> None:
    assert "ProtectHome" not in unit(writable=("/root",))
    assert "ProtectHome" in unit(writable=("/root/Box",))


def test_root_keeps_the_rights_to_give_a_job_to_an_ordinary_account() -> None:
    made = unit(root=True)
    assert "PrivateUsers" not in made
    assert "CapabilityBoundingSet" not in made
    assert "# No rights." not in made


def test_an_interval_that_divides_the_clock_becomes_a_calendar_event_that_is_made_up_for() -> None:
    made = lines(unit(TIMER, every=300.0))
    assert {"OnCalendar=*:0/5", "# Made up for.", "Persistent=yes", "RandomizedDelaySec=50s", "Description=Look, every 300s"} <= {
        *made
    }


def test_any_other_interval_is_counted_from_the_end_of_the_last_call() -> None:
    made = lines(unit(TIMER, every=45.5))
    assert {"OnActiveSec=10s", "OnUnitInactiveSec=45.5s"} <= {*made}
    assert not {"Persistent=yes", "# Made up for.", "OnCalendar=*:0/1"} & {*made}


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        (0.5, None), (1, "*:*:0/1"), (30, "*:*:0/30"), (45, None), (60, "*:0/1"), (90, None), (1800, "*:0/30"),
        (3600, "0/1:00"), (5400, None), (25_200, None), (43_200, "0/12:00"), (86_400, "daily"), (172_800, None),
    ],
)  # fmt: skip
def test_calendar_events(every: float, expected: str | None) -> None:
    assert calendar(every) == expected


def test_spans_are_written_without_needless_digits() -> None:
    assert [seconds(value) for value in (60, 0.25, 100_000_000, 10 / 6)] == ["60s", "0.25s", "100000000s", "1.667s"]


def test_a_unit_tells_whose_it_is_and_whether_it_was_edited() -> None:
    made = unit()
    seal = seal_of(made)
    assert seal is not None
    assert (seal.home, seal.every, seal.intact) == ("/home/me/creds", 60.0, True)
    edited = seal_of(made.replace("PrivateTmp=yes", "PrivateTmp=no"))
    assert edited is not None
    assert not edited.intact
    moved = seal_of(made.replace("# scq-home: /home/me", "# scq-home: /home/you"))
    assert moved is not None
    assert not moved.intact
    assert seal_of(SERVICE) is None


def test_names_are_plain_for_the_usual_home_and_differ_for_others() -> None:
    assert unit_name("notify", "/h/.syft-creds", "/h/.syft-creds") == "scq-notify"
    names = {unit_name("notify", home, "/h") for home in ("/a/work", "/b/work", "/a/work ", "/a/…")}
    assert len(names) == 4
    assert all(name.isascii() and "/" not in name and " " not in name for name in names)
    assert unit_name("run", "/a/work", "").startswith("scq-run-work-")
