"""A real session bus with a service on it that shows notifications, as a desktop has them."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from jeepney import HeaderFields, MessageType, message_bus, new_error, new_method_return
from jeepney.io.blocking import DBusConnection, Proxy, open_dbus_connection
from jeepney.low_level import Message

NAME = "org.freedesktop.Notifications"


@dataclass(frozen=True)
class Shown:
    """A notification as the desktop got it. `urgency`: 1 normal, 2 critical."""

    app: str
    title: str
    body: str
    urgency: int


@dataclass
class Desktop:
    """`address` of the bus, the socket behind it, and what was shown. With `refuses` every notification is an error."""

    address: str
    socket: str
    shown: list[Shown] = field(default_factory=list)
    refuses: bool = False


@contextmanager
def bus(folder: Path) -> Iterator[Desktop]:
    """A session bus without anything on it. Skips the test where dbus-daemon or notify-send is not installed."""
    for program in ("dbus-daemon", "notify-send"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    socket = str(folder / "bus")
    argv = ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address", f"--address=unix:path={socket}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"]}) as daemon:
        assert daemon.stdout is not None
        try:
            yield Desktop(daemon.stdout.readline().strip(), socket)
        finally:
            daemon.terminate()


@contextmanager
def desktop(folder: Path) -> Iterator[Desktop]:
    """A session bus on which notifications are shown."""
    with bus(folder) as made, open_dbus_connection(made.address) as connection:
        Proxy(message_bus, connection).RequestName(NAME)
        end = threading.Event()
        thread = threading.Thread(target=_serve, args=(connection, made, end))
        thread.start()
        try:
            yield made
        finally:
            end.set()
            thread.join()


def _serve(connection: DBusConnection, made: Desktop, end: threading.Event) -> None:
    while not end.is_set():
        try:
            call = connection.receive(timeout=0.05)
        except TimeoutError:
            continue
        if call.header.message_type is MessageType.method_call:
            connection.send(_answer(call, made))


def _answer(call: Message, made: Desktop) -> Message:
    member = call.header.fields[HeaderFields.member]
    if member == "GetServerInformation":
        return new_method_return(call, "ssss", ("test", "scq", "1", "1.2"))
    if member == "GetCapabilities":
        return new_method_return(call, "as", (["body", "body-markup"],))
    if member != "Notify" or made.refuses:
        return new_error(call, f"{NAME}.Error", "s", ("not shown",))
    app, _, _, title, body, _, hints, _ = call.body
    made.shown.append(Shown(app, title, body, hints["urgency"][1]))
    return new_method_return(call, "u", (len(made.shown),))
