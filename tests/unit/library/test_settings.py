"""`QueueConfig` and `configure`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import scq as q
from scq.config_values import Config
from scq.errors import ConfigError
from scq.library.settings import QueueConfig, configure, in_force
from scq.library.verbs import HERE
from tests.people import OWNER, SCIENTIST, code_folder
from tests.unit.library.conftest import Desk


@pytest.fixture(autouse=True)
def nothing_configured() -> Iterator[None]:
    yield
    configure(None)


def test_the_defaults_are_the_documented_ones() -> None:
    config = QueueConfig()
    assert (config.queue_name, config.max_concurrent_jobs) == ("code-queue", 3)
    assert (config.job_timeout, config.cleanup_completed_after) == (600, 86_400)


def test_the_defaults_are_those_of_the_configuration() -> None:
    assert in_force(Config()) == Config()
    configure(QueueConfig())
    assert in_force(Config()) == Config()


def test_what_is_configured_is_in_force_until_it_is_taken_back(desk: Desk) -> None:
    desk.configure(SCIENTIST, "job_timeout: 7\n")
    assert HERE.context().config.job_timeout == 7
    configure(QueueConfig("lab", 5, 60, 0))
    config = HERE.context().config
    assert (config.queue_name, config.max_concurrent_jobs) == ("lab", 5)
    assert (config.job_timeout, config.cleanup_completed_after) == (60, 0)
    assert config.email == SCIENTIST
    configure(None)
    assert HERE.context().config.job_timeout == 7


def test_durations_may_have_a_unit() -> None:
    configure(QueueConfig(job_timeout="10m", cleanup_completed_after="7d"))
    found = in_force(Config())
    assert (found.job_timeout, found.cleanup_completed_after) == (600.0, 7 * 86_400.0)


def test_the_queue_name_reaches_the_folders(desk: Desk) -> None:
    configure(QueueConfig(queue_name="lab"))
    (desk.root / "datasites" / OWNER / "app_data" / "lab" / "jobs" / "pending").mkdir(parents=True)
    q.submit_job(OWNER, code_folder(desk.folder / "code"), "survey")
    assert list(desk.root.glob("**/lab/jobs/pending/*/metadata.json"))


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"queue_name": "../up"}, ["queue_name"]),
        ({"queue_name": 3}, ["queue_name"]),
        ({"max_concurrent_jobs": 0}, ["max_concurrent_jobs"]),
        ({"max_concurrent_jobs": True}, ["max_concurrent_jobs"]),
        ({"max_concurrent_jobs": 2.5}, ["max_concurrent_jobs"]),
        ({"job_timeout": 0}, ["job_timeout"]),
        ({"job_timeout": float("nan")}, ["job_timeout"]),
        ({"job_timeout": "often"}, ["job_timeout"]),
        ({"cleanup_completed_after": -1}, ["cleanup_completed_after"]),
        ({"cleanup_completed_after": None}, ["cleanup_completed_after"]),
        ({"job_timeout": -1, "max_concurrent_jobs": "3"}, ["job_timeout", "max_concurrent_jobs"]),
        ({"job_timeoot": 3}, ["job_timeoot", "did you mean job_timeout"]),
        ({"colour\n": 3, "job_timeout": -1}, [r"colour\n", "job_timeout"]),
    ],
)
def test_every_mistake_is_named(settings: dict[str, Any], names: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        QueueConfig(**settings)
    assert all(name in str(caught.value) for name in names)
    assert len(str(caught.value).splitlines()) == len(settings)


def test_a_value_changed_later_is_checked_when_it_is_put_in_force() -> None:
    config = QueueConfig()
    config.job_timeout = -1
    with pytest.raises(ConfigError, match="job_timeout"):
        configure(config)
    assert in_force(Config()) == Config()


def test_changing_the_object_afterwards_changes_nothing() -> None:
    config = QueueConfig(job_timeout=5)
    configure(config)
    config.job_timeout = 6
    assert in_force(Config()).job_timeout == 5


@pytest.mark.parametrize("config", [{}, {"job_timeout": 3}, 5, "code-queue"])
def test_something_else_is_not_taken_for_a_configuration(config: Any) -> None:
    with pytest.raises(ConfigError, match="QueueConfig|queue settings"):
        configure(config)


def test_configurations_are_the_same_when_their_settings_are() -> None:
    assert QueueConfig(job_timeout=5) == QueueConfig(job_timeout=5.0)
    assert QueueConfig() != QueueConfig(job_timeout=5)
    assert QueueConfig() != 5
    assert eval(repr(QueueConfig("lab", 5, "10m", 0))) == QueueConfig("lab", 5, "10m", 0)


def test_threads_never_see_half_a_configuration() -> None:
    pairs = set()
    ended = threading.Event()

    def change() -> None:
        while not ended.is_set():
            for number in (1, 2, 3):
                configure(QueueConfig(max_concurrent_jobs=number, job_timeout=number))

    changer = threading.Thread(target=change)
    changer.start()
    try:
        while len(pairs) < 3:
            found = in_force(Config())
            if found.job_timeout <= 3:
                pairs.add((found.max_concurrent_jobs, found.job_timeout))
    finally:
        ended.set()
        changer.join()
    assert pairs == {(1, 1.0), (2, 2.0), (3, 3.0)}
