"""`scq metrics`: what Prometheus reads, and how it gets there."""

from __future__ import annotations

import os
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq import __version__, installed
from scq.commands.metrics import Family, exposition
from scq.model import Trouble
from scq.store import Store
from tests.people import OWNER, SCIENTIST, World

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\n|\\")*)"(?:,|$)')
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: str) -> Samples:
    """The samples of an exposition. Stricter than the format: HELP and TYPE once each, right before the samples they are of."""
    assert text.endswith("\n")
    found: Samples = {}
    families: list[str] = []
    lines = iter(text.removesuffix("\n").split("\n"))
    for entry in lines:
        if entry.startswith("# HELP "):
            name = entry.split(" ", 3)[2]
            assert re.fullmatch(NAME, name)
            assert name not in families
            assert next(lines) == f"# TYPE {name} gauge"
            families.append(name)
            continue
        match = SAMPLE.fullmatch(entry)
        assert match is not None, entry
        assert match[1] == families[-1]
        key = (match[1], labels(match[2] or ""))
        assert key not in found
        found[key] = float(match[3])
    assert {name for name, _ in found} == set(families)
    return found


def labels(text: str) -> tuple[tuple[str, str], ...]:
    found = []
    while text:
        match = LABEL.match(text)
        assert match is not None, text
        plain = re.sub(r"\\(.)", lambda escaped: "\n" if escaped[1] == "n" else escaped[1], match[2])
        found.append((match[1], plain))
        text = text[match.end() :]
    return tuple(found)


def value(samples: Samples, name: str, **words: str) -> float:
    return samples[(name, tuple(words.items()))]


def test_the_figures_are_there_in_the_form_prometheus_reads(world: World) -> None:
    world.submit("waiting-job")
    world.ended("done-job")
    world.owner.scq("check", "--full")
    samples = parsed(world.owner.scq("metrics").out)
    assert value(samples, "scq_build_info", version=__version__) == 1
    assert value(samples, "scq_source_up") == 1
    assert value(samples, "scq_jobs", status="pending") == 1
    assert value(samples, "scq_jobs", status="completed") == 1
    assert value(samples, "scq_jobs", status="rejected") == 0
    assert value(samples, "scq_oldest_pending_seconds") >= 0
    assert value(samples, "scq_outbox", state="queued") > 0
    assert value(samples, "scq_outbox", state="dead") == 0
    assert value(samples, "scq_outbox_oldest_seconds") >= 0
    assert value(samples, "scq_results_waiting") == 0


def test_no_name_of_a_job_or_a_person_is_in_them(world: World) -> None:
    world.submit("waiting-job")
    world.owner.scq("notify")
    text = world.owner.scq("metrics").out
    for word in ("waiting-job", OWNER, SCIENTIST, "@"):
        assert word not in text


def test_the_last_good_end_of_each_scheduled_verb_is_there(world: World) -> None:
    before = datetime.now(UTC).timestamp()
    for verb in ("check", "run-approved", "notify"):
        world.owner.scq(verb)
    samples = parsed(world.owner.scq("metrics").out)
    for verb in ("check", "run-approved", "notify"):
        assert before - 1 <= value(samples, "scq_last_success_timestamp_seconds", verb=verb) <= datetime.now(UTC).timestamp() + 1
        assert value(samples, "scq_last_success_duration_seconds", verb=verb) >= 0


def test_a_dry_run_and_a_failure_are_no_good_end(world: World) -> None:
    world.owner.scq("check", "--dry-run")
    world.root.rename(world.folder / "gone")
    world.owner.scq("notify", code=75)
    text = world.owner.scq("metrics").out
    assert "scq_last_success" not in text
    assert value(parsed(text), "scq_source_up") == 0


def test_what_does_not_work_is_there_with_its_name(world: World) -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    troubles = {"channel relay": Trouble("sign-in needed", at), 'odd "\\\n': Trouble("odd", at)}
    Store(str(world.owner.home)).update(lambda state: replace(state, troubles=troubles))
    samples = parsed(world.owner.scq("metrics").out)
    assert value(samples, "scq_troubles", what="channel relay") == 1
    assert value(samples, "scq_troubles", what='odd "\\\n') == 1


def test_an_approval_that_runs_out_is_there(world: World) -> None:
    assert "scq_approval_expiring_seconds" not in world.owner.scq("metrics").out
    world.owner.scq("approve", world.submit(), "--expires", "1h")
    assert 3500 < value(parsed(world.owner.scq("metrics").out), "scq_approval_expiring_seconds") <= 3600


def test_a_schedule_and_calls_that_are_overdue_are_there(world: World) -> None:
    samples = parsed(world.owner.scq("metrics").out)
    assert value(samples, "scq_schedule_installed") == 0
    assert not any(name == "scq_schedule_overdue_seconds" for name, _ in samples)
    at = datetime.now(UTC) - timedelta(hours=1)
    installed.write(str(world.owner.home), installed.Record("systemd", (("notify", 30.0), ("run", 60.0)), at))
    world.owner.scq("cycle", "--no-run")
    samples = parsed(world.owner.scq("metrics").out)
    assert value(samples, "scq_schedule_installed") == 1
    assert value(samples, "scq_schedule_interval_seconds", task="run") == 60
    assert value(samples, "scq_schedule_overdue_seconds", task="notify") == 0
    assert 3600 - 240 <= value(samples, "scq_schedule_overdue_seconds", task="run") < 3600


def test_room_on_the_disk_and_runs_that_were_cut_off_are_there(world: World) -> None:
    samples = parsed(world.owner.scq("metrics").out)
    assert value(samples, "scq_disk_free_bytes", folder="home") > 0
    assert value(samples, "scq_runs_cut_off") == 0


def test_programs_get_the_same_figures(world: World) -> None:
    data = world.owner.json("metrics")
    assert data["textfile"] is None
    found = {(item["name"], tuple(item["labels"].items())): item["value"] for item in data["metrics"]}
    assert found[("scq_jobs", (("status", "pending"),))] == 0
    assert {name for name, _ in found} == {name for name, _ in parsed(world.owner.scq("metrics").out)}


def test_a_text_file_is_replaced_as_a_whole_and_everybody_may_read_it(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "textfiles"
    folder.mkdir()
    path = folder / "scq.prom"
    path.write_text("old")
    before = path.stat().st_ino
    mask = os.umask(0o077)
    try:
        answer = world.owner.scq("metrics", "--textfile", str(path))
    finally:
        os.umask(mask)
    assert (answer.out, answer.err) == ("", "")
    assert os.listdir(folder) == ["scq.prom"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert path.stat().st_ino != before
    assert value(parsed(path.read_text()), "scq_jobs", status="pending") == 0
    assert world.owner.json("metrics", "--textfile", str(path))["textfile"] == str(path)


def test_a_half_written_file_never_has_a_name_a_collector_reads(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = os.replace

    def replace_(source: str, target: str) -> None:
        seen.append(source)
        real(source, target)

    monkeypatch.setattr("scq.files.os.replace", replace_)
    world.owner.scq("metrics", "--textfile", str(tmp_path / "scq.prom"))
    (name,) = [source for source in seen if "scq.prom" in source]
    assert not name.endswith(".prom")


def test_a_name_that_no_collector_reads_is_said(world: World, tmp_path: Path) -> None:
    assert "does not end in .prom" in world.owner.scq("metrics", "--textfile", str(tmp_path / "scq.txt")).err


def test_a_text_file_needs_a_folder_outside_the_syftbox(world: World, tmp_path: Path) -> None:
    assert "is not a folder" in world.owner.scq("metrics", "--textfile", str(tmp_path / "gone" / "scq.prom"), code=2).err
    assert "inside the SyftBox folder" in world.owner.scq("metrics", "--textfile", str(world.root / "scq.prom"), code=2).err
    assert not (world.root / "scq.prom").exists()


def test_what_is_no_plain_file_is_never_replaced(world: World, tmp_path: Path) -> None:
    (tmp_path / "scq.prom").mkdir()
    os.mkfifo(tmp_path / "pipe.prom")
    (tmp_path / "link.prom").symlink_to(tmp_path / "target")
    for name in ("scq.prom", "pipe.prom", "link.prom"):
        assert f"{name} is no plain file" in world.owner.scq("metrics", "--textfile", str(tmp_path / name), code=2).err
    assert (tmp_path / "link.prom").is_symlink()


def test_every_kind_of_text_and_number_is_written_so_that_it_reads_back() -> None:
    family = Family("scq_x", "a\\b\nc", (({"a": 'q"\\\n', "b": ""}, 0.5), ({"a": "ö"}, 1e9), ({}, 1_795_248_000.1234)))
    text = exposition([family])
    assert text.splitlines()[:2] == ["# HELP scq_x a\\\\b\\nc", "# TYPE scq_x gauge"]
    expected = {
        ("scq_x", (("a", 'q"\\\n'), ("b", ""))): 0.5,
        ("scq_x", (("a", "ö"),)): 1e9,
        ("scq_x", ()): 1_795_248_000.123,
    }
    assert parsed(text) == expected
