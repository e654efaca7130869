from __future__ import annotations

import pytest

from scq.errors import BusyError, ConfigError
from scq.executors.slurm.refusals import refusal

FAILED = "Batch job submission failed: "


@pytest.mark.parametrize(
    ("sentence", "key"),
    [
        (FAILED + "Invalid partition name specified", "executor.slurm.partition"),
        (FAILED + "Invalid account or account/partition combination specified", "executor.slurm.account"),
        (FAILED + "Invalid qos specification", "executor.slurm.qos"),
        (FAILED + "Invalid feature specification", "executor.slurm.constraint"),
        ("Invalid generic resource (gres) specification", "executor.slurm.gres"),
        (FAILED + "Requested node configuration is not available", "executor.slurm.tmp"),
        (FAILED + "Access/permission denied", "executor.slurm.account"),
        ("Could not establish a configuration source", "executor.slurm.conf"),
    ],
)
def test_a_refusal_for_the_configuration_names_the_key(sentence: str, key: str) -> None:
    error = refusal(sentence)
    assert isinstance(error, ConfigError)
    assert sentence in str(error)
    assert key in error.advice


@pytest.mark.parametrize(
    "sentence",
    [
        FAILED + "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
        "QOSMaxSubmitJobPerUserLimit",
        "AssocMaxSubmitJobLimit",
    ],
)
def test_a_limit_of_the_cluster_may_be_over_later(sentence: str) -> None:
    error = refusal(sentence)
    assert isinstance(error, BusyError)
    assert sentence in str(error)
    assert "executor.slurm.max_queued" in error.advice


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        FAILED + "Socket timed out on send/recv operation",
        FAILED + "Unable to contact slurm controller (connect failure)",
        FAILED + "Zero Bytes were transmitted or received",
        "something new",
    ],
)
def test_what_may_have_reached_the_controller_is_no_refusal(sentence: str) -> None:
    assert refusal(sentence) is None
