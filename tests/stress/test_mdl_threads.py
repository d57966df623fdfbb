"""MDLs from many threads: page locks are counted right, and one MDL is locked by one of them."""

from __future__ import annotations

import gc
import mmap
import random
import threading
import warnings
from collections.abc import Callable

import pytest

import membuf
from membuf.mdl import PAGE_SIZE
from tests.mdl import locked_bytes

PAGES = 64
THREADS = 6
ROUNDS = 150


def in_threads(job: Callable[[int], object]) -> list[BaseException]:
    """Run a job in threads that start together; what was raised."""
    barrier, raised = threading.Barrier(THREADS), []

    def run(number: int) -> None:
        barrier.wait()
        try:
            job(number)
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


@pytest.mark.parametrize("dropped", [False, True], ids=["unlocked", "dropped"])
def test_overlapping_locks_of_many_threads_leave_nothing_locked(dropped: bool) -> None:
    memory = mmap.mmap(-1, PAGES * PAGE_SIZE)
    gc.collect()
    before = locked_bytes()

    def job(number: int) -> None:
        choice = random.Random(number)
        for _ in range(ROUNDS):
            offset = choice.randrange(PAGES * PAGE_SIZE - 1)
            length = choice.randrange(1, PAGES * PAGE_SIZE - offset + 1)
            mdl = membuf.Mdl(memory, offset, length)
            mdl.lock(choice.choice(["read", "write"]))
            assert "resident" in mdl.guarantees
            if not dropped:
                mdl.unlock()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        assert in_threads(job) == []
        gc.collect()
    assert locked_bytes() == before


def test_one_mdl_is_locked_by_one_thread_at_a_time() -> None:
    memory = mmap.mmap(-1, PAGES * PAGE_SIZE)
    before = locked_bytes()
    mdl = membuf.Mdl(memory)
    refusals: list[int] = []

    def job(number: int) -> None:
        for _ in range(ROUNDS):
            try:
                mdl.lock()
            except membuf.MembufError as error:
                refusals.append(error.bugcheck[1])
            else:
                mdl.unlock()

    assert in_threads(job) == []
    assert set(refusals) <= {0xB0}
    assert (mdl.kind, locked_bytes()) == ("raw", before)


def test_pins_of_many_threads() -> None:
    memory = mmap.mmap(-1, PAGES * PAGE_SIZE)

    def job(number: int) -> None:
        with membuf.Mdl(memory, number * PAGE_SIZE, 3 * PAGE_SIZE) as mdl:
            for _ in range(ROUNDS):
                mdl.pin()
                assert len(mdl.frames) == 3
                mdl.unpin()

    assert in_threads(job) == []
