"""Spin locks and wait locks: one holder, its own thread, and time that runs out."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import membuf
from membuf import wdf

LOCKS = (membuf.SpinLock, membuf.WaitLock)


@pytest.fixture(params=LOCKS, ids=lambda kind: kind.__name__)
def lock(request: pytest.FixtureRequest) -> Any:
    return request.param("lock")


def in_thread(job: Any) -> list[Any]:
    """What a job returns or raises in another thread."""
    came: list[Any] = []

    def run() -> None:
        try:
            came.append(job())
        except Exception as error:  # noqa: BLE001 - handed to the caller
            came.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return came


def test_it_is_held_inside_of_with(lock: Any) -> None:
    with lock as held:
        assert held is lock
        assert lock.locked
        assert lock.held
        assert in_thread(lambda: lock.held) == [False]
    assert not lock.locked
    assert not lock.deleted


def test_it_is_released_when_the_body_raises(lock: Any) -> None:
    with pytest.raises(KeyError), lock:
        raise KeyError
    assert not lock.locked


def test_a_thread_cannot_have_it_twice(lock: Any) -> None:
    with lock:
        with pytest.raises(membuf.InvalidDeviceStateError, match="holds it already") as raised:
            lock.acquire()
        assert raised.value.bugcheck == (0x10D, wdf.WDF_RECURSIVE_LOCK, id(lock))
        assert lock.locked


def test_only_its_holder_releases_it(lock: Any) -> None:
    with pytest.raises(membuf.InvalidDeviceStateError, match="nobody holds it"):
        lock.release()
    with lock:
        (came,) = in_thread(lock.release)
        assert isinstance(came, membuf.InvalidDeviceStateError)
        assert "another thread holds it" in str(came)
        assert came.bugcheck == (0x10D, wdf.WDF_INVALID_LOCK_OPERATION, id(lock))
        assert lock.locked


def test_one_thread_at_a_time(lock: Any) -> None:
    count = 0

    def work() -> None:
        nonlocal count
        for _ in range(500):
            with lock:
                seen = count
                time.sleep(0)
                count = seen + 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count == 2000


def test_one_that_is_gone_cannot_be_acquired(lock: Any) -> None:
    lock.delete()
    with pytest.raises(membuf.ObjectDeletedError, match="cannot acquire"):
        lock.acquire()
    with pytest.raises(membuf.ObjectDeletedError), lock:
        pass


def test_deleting_one_that_is_held_lets_its_holder_finish(lock: Any) -> None:
    with lock:
        lock.delete()
    assert not lock.locked


@pytest.mark.parametrize("timeout", [0, -1, 0.02])
def test_a_wait_ends_when_the_time_is_up(timeout: float) -> None:
    lock = membuf.WaitLock()
    with lock:
        started = time.monotonic()
        assert in_thread(lambda: lock.acquire(timeout)) == [False]
        assert time.monotonic() - started >= timeout


def test_a_wait_without_end_is_no_overflow() -> None:
    lock = membuf.WaitLock()
    assert lock.acquire(timeout=1e300) is True
    lock.release()


def test_the_framework_takes_relative_and_absolute_times() -> None:
    with wdf.driver("Sample"):
        _, lock = wdf.WdfWaitLockCreate(None)
        assert wdf.WdfWaitLockAcquire(lock, None) == wdf.STATUS_SUCCESS
        started = time.monotonic()
        assert wdf.WdfWaitLockAcquire(lock, -200_000) == wdf.STATUS_TIMEOUT
        soon = int((time.time() + 0.02 + 11_644_473_600) * 10_000_000)
        assert wdf.WdfWaitLockAcquire(lock, soon) == wdf.STATUS_TIMEOUT
        assert 0.03 < time.monotonic() - started < 5
        assert wdf.WdfWaitLockAcquire(lock, 1) == wdf.STATUS_TIMEOUT
        assert wdf.NT_SUCCESS(wdf.STATUS_TIMEOUT)
        with pytest.raises(OverflowError):
            wdf.WdfWaitLockAcquire(lock, 2**63)
        wdf.WdfWaitLockRelease(lock)
