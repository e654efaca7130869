"""Giving a process data through descriptors: what an `Invocation` wants to be fed becomes memory files it inherits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from scq.ports import Invocation


@contextmanager
def opened(invocation: Invocation, report: int = -1) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """(argument vector with descriptor numbers filled in, descriptors to pass on); closed again afterwards.

    `report` is an open descriptor for what the box says of itself, -1 when nobody listens: it then goes nowhere.
    """
    numbers: dict[str, int] = {}
    opened_here: list[int] = []
    try:
        for word, data in invocation.feeds.items():
            opened_here.append(numbers.setdefault(word, _memory_file(data)))
        if invocation.report:
            if report < 0:
                report = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
                opened_here.append(report)
            numbers[invocation.report] = report
        yield [str(numbers.get(word, word)) for word in invocation.argv], tuple(numbers.values())
    finally:
        for descriptor in opened_here:
            os.close(descriptor)


def _memory_file(data: bytes) -> int:
    descriptor = os.memfd_create("scq", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
