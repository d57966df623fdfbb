"""Devices in a forked child: locks that a thread of the parent held are free there."""

from __future__ import annotations

import os
import threading

import membuf
from membuf.request import pending


def test_a_child_of_a_busy_parent_uses_devices() -> None:
    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with pending._ends:
            held.set()
            leave.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        os._exit(in_child())
    leave.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


def in_child() -> int:
    """0 where a device of the child's own answers."""
    device = membuf.Device("of the child")
    device.on_write(lambda request: request.complete(information=request.length))
    with device.open() as handle:
        return 0 if handle.write(b"abc") == 3 else 1
