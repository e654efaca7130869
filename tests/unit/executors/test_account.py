from __future__ import annotations

import pytest

from scq.executors.account import Account
from scq.executors.processes import Reaped

MB = 1 << 20
MAIN, INSIDE = 10, 11


@pytest.fixture
def account() -> Account:
    account = Account()
    account._copied = 50 * MB
    return account


def test_children_add_up_and_the_largest_counts(account: Account) -> None:
    account.note({MAIN: Reaped(0, 1.0, 60 * MB)})
    account.note({20: Reaped(0, 0.5, 70 * MB)})
    used = account.usage(MAIN, 0, 0.0, 0)
    assert (used.cpu_s, used.memory, account.cpu_s) == (1.5, 70 * MB, 1.5)


def test_the_box_does_not_count_beside_the_job_in_it(account: Account) -> None:
    account.note({MAIN: Reaped(0, 1.0, 90 * MB), INSIDE: Reaped(0, 0.5, 7 * MB)})
    used = account.usage(MAIN, INSIDE, 0.0, 0)
    assert (used.cpu_s, used.memory) == (0.5, 7 * MB)


def test_a_box_that_waited_for_the_job_itself_holds_what_the_job_used(account: Account) -> None:
    account.note({MAIN: Reaped(0, 1.0, 90 * MB)})
    used = account.usage(MAIN, INSIDE, 0.0, 0)
    assert (used.cpu_s, used.memory) == (1.0, 90 * MB)


def test_what_was_seen_counts_where_it_is_more(account: Account) -> None:
    account.note({MAIN: Reaped(0, 1.0, 60 * MB)})
    used = account.usage(MAIN, 0, 3.0, 200 * MB)
    assert (used.cpu_s, used.memory) == (3.0, 200 * MB)


def test_memory_of_the_copy_that_became_the_job_is_unknown(account: Account) -> None:
    account.note({MAIN: Reaped(0, 1.0, 50 * MB)})
    assert account.usage(MAIN, 0, 0.0, 0).memory is None
