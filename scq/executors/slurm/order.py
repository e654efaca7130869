"""What travels to a node: the order in the control folder, and the batch script that names it.

The script goes through the controller and carries the digest of the order, so an order that was changed in the shared folder is
noticed on the node.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from scq import __version__
from scq.errors import ConfigError, IntegrityError, InvalidFileError
from scq.files import read_bytes, write_atomic
from scq.model import Problem
from scq.ports import Task

ORDER, NODE, OUTPUT, ANSWER = "order.json", "node", "slurm.txt", "answer.json"
"""Files of the control folder: what to do, the name of the node that took it, what Slurm or the node itself had to say about the
start, and what a probe found."""
REVOKED = b"revoked"
"""Beginning of a `started` in the control folder that was made by a later call, so that nothing can begin any more."""
SUFFIX = ".run"
"""The control folder has the name of the folder of the private copy and this behind it."""
ORDER_LIMIT = 8 << 20
ENVIRONMENT = ("LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
"""On the node, whatever the cluster or the calling machine has there."""


class Probe(Struct, frozen=True):
    """What `scq doctor` wants to know of a node."""

    sandbox: str
    settings: dict[str, Any]
    """Keyword arguments of the sandbox."""
    paths: tuple[str, ...] = ()
    """Absolute; have to be there."""
    programs: tuple[str, ...] = ()
    """Names; have to be found in `path`."""
    path: str = ""


class Answer(Struct, frozen=True):
    """What a probe found on a node. `at` is aware UTC, by the clock of the node."""

    node: str
    version: str
    python: str
    at: datetime
    uid: int
    problems: tuple[Problem, ...] = ()
    missing: tuple[str, ...] = ()
    """Those of the paths and programs that were not found."""


class Order(Struct, frozen=True, omit_defaults=True):
    """What a node is to do: run a task, or answer a probe; exactly one of them. The directory of the task is the control folder.

    `version` is that of the scq that wrote it.
    """

    version: str
    task: Task | None = None
    probe: Probe | None = None


def control_of(scratch: str) -> str:
    """The control folder that belongs to the folder of a private copy."""
    return scratch + SUFFIX


def write_order(control: str, what: Task | Probe) -> str:
    """Write an order into its control folder, durably; the sha256 of the file in hex. Raises OSError and InvalidFileError."""
    if isinstance(what, Probe):
        order = Order(__version__, probe=what)
    else:
        order = Order(__version__, task=replace(what, directory=control))
    content = msgspec.json.encode(order)
    if len(content) > ORDER_LIMIT:
        advice = "Its settings and metadata are too much to be sent."
        raise InvalidFileError(f"the order of {os.path.basename(control)} is larger than {ORDER_LIMIT} bytes", advice)
    write_atomic(os.path.join(control, ORDER), content)
    return hashlib.sha256(content).hexdigest()


def read_order(control: str, sha256: str) -> Order:
    """The order of a control folder.

    Raises InvalidFileError when there is none that can be read, IntegrityError when it is not the one that was sent, ConfigError
    when another version of scq wrote it.
    """
    content = read_bytes(os.path.join(control, ORDER), ORDER_LIMIT)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise IntegrityError("the order is not the one that was sent", "Somebody changed it in the shared folder.")
    try:
        # The version first: another one may have meant something else by the rest.
        version = msgspec.json.decode(content, type=_Version).version
        if version != __version__:
            advice = "Install the same version of scq on every node, or set executor.slurm.python."
            raise ConfigError(f"the order was written by scq {version[:40]}, and this node has scq {__version__}", advice)
        order = msgspec.json.decode(content, type=Order)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise IntegrityError("the order cannot be understood", "This is a fault of scq; please report it.") from error
    if (order.task is None) == (order.probe is None):
        raise IntegrityError("the order holds not exactly one thing to do", "This is a fault of scq; please report it.")
    return order


def batch_script(python: str, control: str, sha256: str) -> bytes:
    """What Slurm starts on the node. `python` and `control` are absolute; it becomes Python, so that signals reach it."""
    words = (python, "-I", "-m", "scq.node", control, sha256)
    return f"#!/bin/sh\nexport {shlex.join(ENVIRONMENT)}\nexec {shlex.join(words)}\n".encode("utf-8", "surrogateescape")


class _Version(Struct, frozen=True):
    version: str
