"""A driver by the framework's names under many originators: every request ends, and once."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Any

import pytest

from membuf import wdf
from membuf.testing import wdf as kit
from tests.wdf_receiving import queue_config

OK, CAN = wdf.STATUS_SUCCESS, wdf.STATUS_CANCELLED
THREADS, ROUNDS = 4, 150


@pytest.mark.parametrize(
    "dispatch", [wdf.WdfIoQueueDispatchSequential, wdf.WdfIoQueueDispatchParallel]
)
def test_requests_that_are_forwarded_marked_and_cancelled_all_end(dispatch: int) -> None:
    """Writes are completed, or put into a manual queue that reads empty; some are cancelled."""
    waiting: list[Any] = []

    def cancel(request: Any) -> None:
        wdf.WdfRequestComplete(request, CAN)

    def write(queue: Any, request: Any, length: int) -> None:
        if length % 3 == 0:
            wdf.WdfRequestCompleteWithInformation(request, OK, length)
        elif length % 3 == 1:
            if wdf.WdfRequestForwardToIoQueue(request, waiting[0]) != OK:
                wdf.WdfRequestComplete(request, wdf.STATUS_UNSUCCESSFUL)
        elif wdf.WdfRequestMarkCancelableEx(request, cancel) == CAN:
            wdf.WdfRequestComplete(request, CAN)
        elif wdf.WdfRequestUnmarkCancelable(request) == OK:
            wdf.WdfRequestCompleteWithInformation(request, OK, length)

    def read(queue: Any, request: Any, length: int) -> None:
        while True:
            status, found = wdf.WdfIoQueueRetrieveNextRequest(waiting[0])
            if status != OK or found is None:
                break
            wdf.WdfRequestCompleteWithInformation(found, OK, found.length)
        wdf.WdfRequestComplete(request, OK)

    with kit.driver("WdfStress", timeout=30) as bench:
        device = bench.device(dispatch=dispatch, EvtIoWrite=write, EvtIoRead=read)
        _, manual = wdf.WdfIoQueueCreate(device, queue_config(), None)
        waiting.append(manual)
        bench.read(device, 1)  # opens the device before threads do
        ends = Counter(run_threads(bench, device))
        bench.read(device, 1)
    assert sum(ends.values()) == THREADS * ROUNDS
    assert set(ends) <= {OK, CAN}
    assert ends[OK] > 0


def run_threads(bench: kit.Bench, device: Any) -> list[int]:
    """Originators, each with its own luck; how every one of their requests ended."""
    ios: list[kit.Io] = []

    def originate(seed: int) -> None:
        luck = random.Random(seed)
        for _ in range(ROUNDS):
            io = bench.start_write(device, bytes(luck.randint(1, 60)))
            ios.append(io)
            if luck.random() < 0.3:
                io.cancel()
            if luck.random() < 0.1:
                bench.read(device, 1)

    threads = [threading.Thread(target=originate, args=(seed,)) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bench.read(device, 1)
    return [int(io.result().status) for io in ios]
