"""No call of DMA leaks: no object, no view, no device address, no map register, no descriptor."""

from __future__ import annotations

import logging
import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
import membuf.dma as dma
from tests.leak.calls import refused
from tests.leak.meters import leak_of

PAGES = mmap.mmap(-1, 16 * 4096)


def nothing(*_: Any) -> None:
    """A callback."""


def complete(t: dma.Transaction, *_: Any) -> None:
    """A device that is done at once."""
    t.completed()


def started(**options: Any) -> tuple[membuf.Object, dma.Transaction]:
    """A device and a transaction that is under way."""
    device = membuf.Object(name="device")
    t = dma.Enabler(device, **options).transaction()
    t.initialize(nothing, dma.READ_FROM_DEVICE, membuf.Mdl(PAGES, 100, 50000))
    t.execute()
    return device, t


def completed() -> None:
    device, t = started()
    t.completed()
    t.release()
    device.delete()


def bounced() -> None:
    device, t = started(profile=dma.PACKET, maximum_length=8192)
    while not t.completed():
        pass
    device.delete()


def failed() -> None:
    device, t = started()
    with refused(membuf.InvalidParameterError):
        t.completed_with_length(1 << 30)
    t.release()
    with refused(membuf.BufferTooSmallError):
        t.initialize(nothing, dma.READ_FROM_DEVICE, membuf.Mdl(PAGES), length=1 << 20)
    with refused(membuf.AccessViolationError):
        t.initialize(nothing, dma.READ_FROM_DEVICE, membuf.Mdl(b"abc"))
    device.delete()


def deleted_under_way() -> None:
    device, _ = started(profile=dma.SCATTER_GATHER)
    device.delete()


def waiting() -> None:
    device, t = started(map_registers=14)
    other = t.enabler.transaction()
    other.initialize(nothing, dma.WRITE_TO_DEVICE, membuf.Mdl(PAGES))
    other.execute()
    assert other.cancel()
    last = t.enabler.transaction()
    last.initialize(nothing, dma.WRITE_TO_DEVICE, membuf.Mdl(PAGES))
    last.execute()
    device.delete()


def reserved() -> None:
    device = membuf.Object(name="device")
    t = dma.Enabler(device, dma.PACKET_64).transaction()
    t.allocate_resources(dma.WRITE_TO_DEVICE, 4, nothing)
    t.initialize(complete, dma.WRITE_TO_DEVICE, membuf.Mdl(PAGES))
    t.execute()
    device.delete()


def common() -> None:
    device = membuf.Object(name="device")
    enabler = dma.Enabler(device)
    buffer = enabler.common_buffer(5000, alignment=65536)
    view = enabler.translate(buffer.logical_address, 10)
    view.release()
    with refused(dma.TranslationFaultError):
        enabler.translate(buffer.logical_address + 5000)
    device.delete()


def refused_enablers() -> None:
    device = membuf.Object(name="device")
    with refused(membuf.InvalidParameterError):
        dma.Enabler(device, 9)
    with refused(dma.BackendNotAvailableError):
        dma.Enabler(device, backend="cuda")
    device.delete()


def dropped() -> None:
    started()


CALLS = (completed, bounced, failed, deleted_under_way, waiting, reserved, common,
         refused_enablers, dropped)  # fmt: skip


def open_descriptors() -> int:
    """How many there are."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture(autouse=True)
def _without_log() -> Iterator[None]:
    """The log would keep every line."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_nothing_leaks(call: Callable[[], None]) -> None:
    call()
    descriptors = open_descriptors()
    assert leak_of(call) is None
    assert open_descriptors() == descriptors


def test_the_meters_see_a_device_address_that_is_kept() -> None:
    sim = dma.Sim()

    def keep() -> None:
        sim.attach(memoryview(bytes(100)), 0, contiguous=True, owner="kept")

    assert leak_of(keep) is not None
