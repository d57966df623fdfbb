"""Stacks of filters and devices while their targets are stopped, purged and closed."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from pathlib import Path
from typing import Any, Self

import pytest

import membuf
from membuf.bus import DeviceTarget
from membuf.request import Request
from tests.engines import ENGINES

SECONDS = 1.5
EXPECTED = (membuf.InvalidDeviceStateError, membuf.RequestCancelledError)


class Traffic:
    """Threads that send to a target in every way until they are told to stop."""

    def __init__(self, target: Any) -> None:
        self.target = target
        self.over = threading.Event()
        self.raised: list[BaseException] = []
        self.sent = self.told = 0
        self._lock = threading.Lock()
        ways = (self.plainly, self.by_request, self.with_callback, self.in_batches)
        self.threads = [threading.Thread(target=self.run, args=(way,)) for way in ways]

    def run(self, way: Any) -> None:
        rng = random.Random(way.__name__)
        while not self.over.is_set():
            try:
                way(rng)
            except EXPECTED:
                continue
            except membuf.MembufError as error:
                if error.status.name != "STATUS_WDF_DEVICE_REMOVED_NOT_SENT":
                    self.raised.append(error)
            except BaseExceptionGroup:
                continue
            except BaseException as error:  # noqa: BLE001 - handed to the test
                self.raised.append(error)
                return

    def plainly(self, rng: random.Random) -> None:
        self.target.write(membuf.Memory(512), 512 * rng.randrange(8))

    def by_request(self, rng: random.Random) -> None:
        request, ended = Request(self.target), threading.Event()
        request.format_read(membuf.Memory(512), 512 * rng.randrange(8))
        request.send(lambda *_: ended.set(), timeout=rng.choice([None, 0.001]))
        if rng.random() < 0.5:
            request.cancel()
        assert ended.wait(30)
        request.reuse()

    def with_callback(self, rng: random.Random) -> None:
        self.target.read_nowait(membuf.Memory(512), 512 * rng.randrange(8), self.tell)
        with self._lock:
            self.sent += 1
        if self.sent - self.told > 50:
            time.sleep(0.001)

    def tell(self, *_: Any) -> None:
        with self._lock:
            self.told += 1

    def in_batches(self, rng: random.Random) -> None:
        self.target.write_many([(membuf.Memory(512), 512 * i) for i in range(rng.randrange(1, 8))])

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(60)


def shake(target: Any) -> None:
    """Stop, purge and start a target at random."""
    rng, end = random.Random(5), time.monotonic() + SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(membuf.InvalidDeviceStateError):
            rng.choice([target.stop, target.purge, target.start, target.start])()
        time.sleep(rng.random() * 0.01)
        target.start()


def race(target: Any) -> Traffic:
    """Send and shake, then close; everything must have ended."""
    with Traffic(target) as traffic:
        shake(target)
        target.close()
    assert traffic.raised == []
    assert not any(thread.is_alive() for thread in traffic.threads)
    assert traffic.sent == traffic.told
    assert target.statistics().in_flight == target.statistics().waiting == 0
    return traffic


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("stack", ["stats", "log+delay(time=200us)+stats", "cow", "checksum"])
def test_filters(tmp_path: Path, stack: str, engine: str) -> None:
    (tmp_path / "image").write_bytes(bytes(8192))
    target = membuf.open_target(f"{stack}+file:{tmp_path / 'image'}", engine=engine)
    assert race(target).sent > 0


@pytest.mark.parametrize("io_type", [membuf.BUFFERED, membuf.DIRECT])
def test_a_device_that_answers_on_threads(io_type: Any) -> None:
    device = membuf.Device(io_type=io_type)
    over, waiting, changed = threading.Event(), list[Any](), threading.Condition()

    @device.on_default
    def keep(request: Any) -> None:
        if request.length == 0:
            request.complete()
            return
        with changed:
            if request.try_mark_cancelable(give_up):
                waiting.append(request)
                changed.notify()
                return
        request.complete(membuf.Status(0xC0000120))

    def give_up(request: Any) -> None:
        request.complete(membuf.Status(0xC0000120))

    def work() -> None:
        while not over.is_set():
            with changed:
                if not changed.wait_for(lambda: waiting or over.is_set(), 1):
                    continue
                request = waiting.pop() if waiting else None
            if request is not None:
                finish(request)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    target = DeviceTarget(device)
    try:
        assert race(target).sent > 0
    finally:
        over.set()
        for worker in workers:
            worker.join(30)
    device.delete()


def finish(request: Any) -> None:
    """Complete a request, unless it is cancelled just now."""
    with contextlib.suppress(membuf.MembufError):
        request.unmark_cancelable()
        request.complete(information=request.length)
