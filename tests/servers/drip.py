"""A server on loopback whose answer never ends: it begins it, and then sends a byte now and then."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def dripping(beginning: bytes, *, asked: bool = True) -> Iterator[int]:
    """Yields its port. Unless `asked` it speaks first. Serves one connection."""
    left = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            try:
                if asked:
                    connection.recv(65_536)
                connection.sendall(beginning)
                while not left.wait(0.02):
                    connection.sendall(b"x")
            except ConnectionError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,), daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        left.set()
        thread.join()
    for thread in threading.enumerate():
        if thread.name == "within":
            thread.join()
