"""No call on a stack of targets leaks, whether it succeeds, fails, or is cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.bus import DeviceTarget, RemoteTarget
from membuf.request import Request
from tests.leak.calls import refused
from tests.leak.meters import leak_of

DEVICE = membuf.Device("leak-target")
MEMORY = membuf.Memory(512)


@DEVICE.on_default
def answer(request: Any) -> None:
    """Complete everything, with all of its bytes."""
    request.complete(information=request.length)


def transfers(target: Any) -> None:
    """Every way to move bytes, and two that are refused."""
    target.write(MEMORY, 0)
    target.read([MEMORY], 0)
    target.read_many([(MEMORY, 0), (MEMORY, 512)])
    ended = threading.Event()
    target.read_nowait(MEMORY, 0, lambda *_: ended.set())
    assert ended.wait(30)
    with refused(membuf.IntegerOverflowError):
        target.read(MEMORY, 0, memory_offset=513)
    target.flush()


def requests(target: Any) -> None:
    """A request sent, cancelled, refused and dropped while it waits."""
    request = Request(target)
    request.format_write(MEMORY, 0)
    request.send(synchronous=True)
    target.stop()
    for _ in range(2):
        request.format_read(MEMORY, 0)
        request.send()
        request.cancel()
        request.reuse()
    request.format_read(MEMORY, 0)
    request.send()
    target.purge()
    with refused(membuf.InvalidDeviceStateError):
        request.format_read(MEMORY, 0)
        request.send()
    request.delete()
    target.start()


def opened(stack: str) -> Callable[[Path], None]:
    """A stack over a file, opened, used and closed."""

    def call(path: Path) -> None:
        with membuf.open_target(f"{stack}+file:{path}", engine="threads") as target:
            transfers(target)
            requests(target)

    return call


def failing(path: Path) -> None:
    """Errors that a filter injects and that a name has."""
    with membuf.open_target(f"log+error(rate=1)+file:{path}", engine="threads") as target:
        for call in (target.read, target.write):
            with refused(membuf.TargetError):
                call(MEMORY, 0)
    with refused(membuf.InvalidParameterError):
        membuf.open_target(f"checksum(block=0)+file:{path}")


def device(_: Path) -> None:
    """A device by name, and control requests to it."""
    with membuf.open_target("stats+device:leak-target") as target:
        transfers(target)
        requests(target)
        target.ioctl(0x222001, MEMORY, MEMORY)
        request = Request(target)
        request.format_internal_ioctl_others(1, MEMORY, None, MEMORY)
    with DeviceTarget(DEVICE, local=True) as target:
        transfers(target)


def remote(path: Path) -> None:
    """A remote target opened twice, with a request that outlives it."""
    target = RemoteTarget()
    target.open(f"file:{path}", engine="threads")
    transfers(target)
    target.close_for_query_remove()
    target.reopen()
    request = Request(target)
    request.format_read(MEMORY, 0)
    target.close()
    with refused(membuf.InvalidDeviceStateError):
        request.send()


CALLS = {
    "stats": opened("stats"),
    "cow": opened("cow"),
    "checksum": opened("checksum"),
    "stack": opened("log+delay(time=0s)+stats+rate"),
    "failing": failing,
    "device": device,
    "remote": remote,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_a_target_leaves_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(4096))
    leak = leak_of(lambda: CALLS[name](path))
    assert not leak, leak
