from __future__ import annotations

import pytest

from scq.config_values import Slurm
from scq.executors.slurm import options
from scq.model import NO_LIMITS, Limits, Placement
from scq.ports import Invocation, Task, Traits

MIB = 1 << 20
TRAITS = Traits("code-queue", "ds@x.org", ("gpu", "long"))


def task(timeout_s: float = 600.0, limits: Limits = NO_LIMITS, traits: Traits = TRAITS) -> Task:
    return Task("job", "/home/run", Invocation((), {}, "/"), timeout_s, 1000, False, limits, "/s/t/work", traits=traits)


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (Placement(), True),
        (Placement(submitters=("ds@x.org",)), True),
        (Placement(submitters=("else@x.org",)), False),
        (Placement(tags=("cpu", "gpu")), True),
        (Placement(tags=("cpu",)), False),
        (Placement(queues=("code-queue",)), True),
        (Placement(queues=("other",)), False),
        (Placement(submitters=("ds@x.org",), tags=("gpu",), queues=("code-queue",)), True),
        (Placement(submitters=("ds@x.org",), tags=("cpu",), queues=("code-queue",)), False),
    ],
)
def test_a_rule_is_about_jobs_that_fit_all_it_names(rule: Placement, fits: bool) -> None:
    assert options.fits(rule, TRAITS) is fits


def test_the_later_rule_wins_and_what_it_leaves_unsaid_stays() -> None:
    rules = (
        Placement(partition="short", qos="low", cpus=2, devices=("/dev/a",)),
        Placement(tags=("gpu",), partition="gpu", gres="gpu:1", tmp=5),
        Placement(tags=("never",), partition="never", cpus=64),
    )
    setting = Slurm(partition="main", account="lab", constraint="avx", cpus=4, rules=rules)
    expected = Placement(
        partition="gpu", account="lab", qos="low", constraint="avx", gres="gpu:1", cpus=2, tmp=5, devices=("/dev/a",)
    )
    assert options.placed(setting, TRAITS) == expected


def test_a_job_without_rules_goes_where_all_go() -> None:
    assert options.placed(Slurm(), Traits()) == Placement(cpus=1)


@pytest.mark.parametrize(
    ("seconds", "minutes"), [(0.5, 6), (60.0, 6), (61.0, 7), (600.0, 15), (1e18, 5_256_000), (float("inf"), 5_256_000)]
)
def test_the_time_limit_of_the_cluster_is_later_than_ours(seconds: float, minutes: int) -> None:
    assert options.minutes(seconds) == minutes


def test_memory_is_rounded_up_and_has_room_for_the_supervisor() -> None:
    assert options.memory(Limits(memory=100 * MIB)) == ["--mem=356M"]
    assert options.memory(Limits(memory=100 * MIB + 1)) == ["--mem=357M"]
    assert options.memory(NO_LIMITS) == []


def test_all_words_of_a_run() -> None:
    setting = Slurm(partition="main", account="lab", qos="low", constraint="a&b", gres="gpu:1", cpus=3, tmp=MIB + 1)
    words = options.words(setting, task(limits=Limits(memory=MIB)), "scq-t", "/s/100%/scq-t.run")
    assert words == [
        "--parsable",
        "--job-name=scq-t",
        "--nodes=1",
        "--ntasks=1",
        "--no-requeue",
        "--chdir=/",
        "--output=/s/100%%/scq-t.run/slurm.txt",
        "--open-mode=append",
        "--export=ALL",
        "--propagate=NONE",
        "--cpus-per-task=3",
        "--tmp=2M",
        "--partition=main",
        "--account=lab",
        "--qos=low",
        "--constraint=a&b",
        "--gres=gpu:1",
        "--time=15",
        "--mem=257M",
    ]


def test_what_is_not_said_is_left_to_the_cluster() -> None:
    said = {word.partition("=")[0] for word in options.common(Placement(), "scq-t", "/s/scq-t.run")}
    assert said.isdisjoint({"--partition", "--account", "--qos", "--constraint", "--gres", "--tmp", "--cpus-per-task"})
