"""Transactions from many threads: completions, cancels, deletions and waits against each other."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import membuf
import membuf.dma as dma
from membuf.testing.device_model import DeviceModel
from tests.dma import PAGE, mdl_of
from tests.stress.test_threads import run_threads


class Copier(DeviceModel):
    """Reads what it is given on its own thread, then completes."""

    def __init__(self, enabler: dma.Enabler) -> None:
        super().__init__()
        self.attach(enabler)

    def program(self, t: Any, _: Any, seen: bytearray, __: Any, elements: Any) -> None:
        """EvtProgramDma."""
        self.later(self.transfer, t, seen, elements)

    def transfer(self, t: Any, seen: bytearray, elements: Any) -> None:
        """The device's part."""
        for address, length in elements:
            seen += self.read_memory(address, length)
        t.completed()


def test_transfers_of_many_threads_by_a_device_on_its_own() -> None:
    enabler = dma.Enabler(membuf.Object(name="device"), maximum_length=4 * PAGE)
    with Copier(enabler) as device:

        def work(number: int) -> None:
            for turn in range(30):
                size = 1 + (number * 7919 + turn * 104729) % (9 * PAGE)
                mdl = mdl_of((turn % PAGE, size), fill=number + 1)
                t, seen, ended = enabler.transaction(), bytearray(), threading.Event()
                t.initialize(device.program, dma.WRITE_TO_DEVICE, mdl)
                t.execute(seen)
                while t.state is dma.TransactionState.TRANSFER:
                    ended.wait(0.0005)
                assert t.state is dma.TransactionState.TRANSFER_COMPLETED
                assert seen == bytes([number + 1]) * size
                t.delete()

        run_threads(work)
    statistics = enabler.statistics()
    assert (statistics.free_map_registers, statistics.waiting) == (5, 0)
    assert device.faults == []


MDL = mdl_of((0x800, 5 * PAGE))


def complete(t: Any, *_: Any) -> None:
    """A device that is done at once."""
    t.completed()


def nothing(*_: Any) -> None:
    """A device that never answers; somebody else completes, or gives up."""


CALLS: tuple[Callable[[Any], object], ...] = (
    lambda t: t.initialize(complete, dma.WRITE_TO_DEVICE, MDL),
    lambda t: t.initialize(nothing, dma.READ_FROM_DEVICE, MDL),
    lambda t: t.execute(),
    lambda t: t.execute(),
    lambda t: t.completed(),
    lambda t: t.completed_with_length(1),
    lambda t: t.cancel(),
    lambda t: t.release(),
    lambda t: t.delete(),
)


def test_random_calls_from_many_threads_lose_no_map_register() -> None:
    enabler = dma.Enabler(membuf.Object(name="device"), maximum_length=2 * PAGE)
    slots = [enabler.transaction() for _ in range(8)]

    def work(number: int) -> None:
        chance = random.Random(number)
        for _ in range(1500):
            at = chance.randrange(len(slots))
            t = slots[at]
            try:
                chance.choice(CALLS)(t)
            except membuf.ObjectDeletedError:
                slots[at] = enabler.transaction()
            except membuf.MembufError:
                pass

    run_threads(work)
    for t in slots:
        if not t.deleted:
            t.release()
    for child in enabler.children:
        child.delete()
    statistics = enabler.statistics()
    assert (statistics.free_map_registers, statistics.waiting) == (3, 0)
    assert enabler.backend._windows == {}  # type: ignore[attr-defined]


def together(answers: dict[int, bool], *calls: Callable[[], bool]) -> None:
    """Make calls from threads at one moment, and keep what they answer."""

    def work(number: int) -> None:
        answers[number] = calls[number]()

    run_threads(work, len(calls))


def test_a_cancel_races_with_the_turn_that_comes() -> None:
    """Either the wait is cancelled and no callback follows, or the callback runs."""
    enabler = dma.Enabler(membuf.Object(name="device"), maximum_length=PAGE, map_registers=2)
    mdl = mdl_of((1, PAGE))
    for _ in range(300):
        programmed: list[Any] = []

        def program(t: Any, *_: Any, log: list[Any] = programmed) -> None:
            log.append(t)

        first, second = enabler.transaction(), enabler.transaction()
        for t in (first, second):
            t.initialize(program, dma.WRITE_TO_DEVICE, mdl)
            t.execute()
        answers: dict[int, bool] = {}
        together(answers, first.completed, second.cancel)
        cancelled = answers[1]
        assert (second in programmed) == (not cancelled)
        if not cancelled:
            second.completed()
        first.delete()
        second.delete()
    assert enabler.statistics().free_map_registers == 2
