"""Threads that do the same work: they end together, fail as one, and can be stopped."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Callable

import pytest

from membuf.cli.copying import Silent
from membuf.cli.copying.crew import Crew
from membuf.cli.failure import CommandError, Interrupted
from membuf.cli.signals import Signals


def nothing() -> None:
    """Nobody waits."""


def countdown(count: int, work: Callable[[int], object]) -> Callable[[], bool]:
    """Work that is done `count` times, with the number of the time."""
    numbers = iter(range(count))
    lock = threading.Lock()

    def step() -> bool:
        with lock:
            number = next(numbers, None)
        if number is None:
            return False
        work(number)
        return True

    return step


@pytest.mark.parametrize("size", [1, 4, 20])
def test_all_work_is_done_once(size: int) -> None:
    done: list[int] = []
    Crew(Silent(), nothing).run(size, countdown(1000, done.append))
    assert sorted(done) == list(range(1000))


def test_members_work_at_the_same_time() -> None:
    together = threading.Barrier(4)
    Crew(Silent(), nothing).run(4, countdown(8, lambda _: together.wait(10)))
    assert not together.broken


def test_of_several_failures_the_lowest_is_raised() -> None:
    together = threading.Barrier(3)

    def fail(number: int) -> None:
        together.wait(10)
        raise CommandError("planted", 1, offset=100 - number)

    with pytest.raises(CommandError) as failure:
        Crew(Silent(), nothing).run(3, countdown(9, fail))
    assert failure.value.offset == 98


def test_a_failure_ends_the_work() -> None:
    done = itertools.count()

    def fail(number: int) -> None:
        next(done)
        if number == 10:
            raise CommandError("planted", 1)
        time.sleep(0.001)

    with pytest.raises(CommandError):
        Crew(Silent(), nothing).run(2, countdown(100_000, fail))
    assert next(done) < 100


def test_the_impatient_cancel_who_may_wait_for_ever() -> None:
    cancelled = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            assert cancelled.wait(10)
            raise OSError("cancelled")
        raise CommandError("planted", 1, offset=7)

    with pytest.raises(CommandError) as failure:
        Crew(Silent(), cancelled.set, patient=False).run(2, countdown(2, work))
    assert failure.value.offset == 7


def test_a_defect_is_raised_as_it_is() -> None:
    def work(number: int) -> None:
        if number == 1:
            raise ZeroDivisionError
        raise CommandError("planted", 1)

    together = threading.Barrier(2)

    def both(number: int) -> None:
        together.wait(10)
        work(number)

    with pytest.raises(ZeroDivisionError):
        Crew(Silent(), nothing).run(2, countdown(2, both))


@pytest.mark.parametrize("seconds", [0, 0.3], ids=["while they start", "while they are awaited"])
def test_a_signal_stops_the_work_and_waits_for_its_end(seconds: float) -> None:
    cancelled = threading.Event()
    ended = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            time.sleep(seconds)
            signal.raise_signal(signal.SIGTERM)
            assert cancelled.wait(10)
            signal.raise_signal(signal.SIGTERM)  # one is enough
            time.sleep(0.05)
            ended.set()

    with Signals(), pytest.raises(Interrupted) as interrupted:
        Crew(Silent(), cancelled.set).run(2, countdown(2, work))
    assert interrupted.value.number == signal.SIGTERM
    assert ended.is_set()


def test_the_watcher_is_told_that_time_passes() -> None:
    class Watcher(Silent):
        ticks = 0

        def tick(self) -> None:
            self.ticks += 1

    watcher = Watcher()
    Crew(watcher, nothing).run(1, countdown(3, lambda _: time.sleep(0.12)))
    assert watcher.ticks >= 3


def test_signals_are_let_pass_in_the_last_step() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Signals() as signals:
        with signals.held_back():
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before
