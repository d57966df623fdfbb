"""The NBD client with everything at once: threads, loops, timeouts, cancels, lost connections."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.bus.nbd.protocol import Flag
from tests.nbd_fake import ALL, SECONDS, Fake, Make, Store, fakes, opened

REGION = 65536
THREADS = 6
ROUNDS = 400
GUARD = b"\xaa" * 512


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Make]:
    """Makes servers, and ends them."""
    with fakes(tmp_path) as make:
        yield make


def content(offset: int, length: int) -> bytes:
    """What a disk has that nobody writes to."""
    return bytes((offset + i) * 7 % 251 for i in range(length))


def some_reads(target: Any, seed: int) -> int:
    """Read into guarded memory, sometimes with hardly any time; how often it worked."""
    dice, good = random.Random(seed), 0
    for _ in range(ROUNDS):
        length = dice.randrange(1, 3000)
        offset = dice.randrange(REGION - length)
        memory = bytearray(GUARD + b"\xbb" * length + GUARD)
        timeout = dice.choice([SECONDS, SECONDS, 0.0001, 0.001])
        with contextlib.suppress(membuf.IoTimeoutError):
            count = target.read(
                memory, offset, memory_offset=512, memory_length=length, timeout=timeout
            )
            assert count == length
            assert memory[512:-512] == content(offset, length)
            good += 1
        assert memory[:512] == memory[-512:] == GUARD
        memory += b"nobody holds it any more"
    return good


def some_writes(target: Any, seed: int, region: int) -> int:
    """Write to a region that is one's own, and read it back."""
    dice, good = random.Random(seed), 0
    for _ in range(ROUNDS // 3):
        data = dice.randbytes(dice.randrange(1, 20_000))
        offset = region * REGION + dice.randrange(REGION - len(data))
        assert target.write(data, offset) == len(data)
        back = bytearray(len(data))
        assert target.read(back, offset) == len(data)
        assert back == data
        good += 1
    return good


def some_tasks(target: Any, seed: int) -> int:
    """Await reads, and cancel some of the tasks that do."""
    dice = random.Random(seed)

    async def one(cancelled: bool) -> bool:
        offset = dice.randrange(REGION - 1000)
        memory = bytearray(1000)

        async def read() -> int:
            return await target.read_async(memory, offset)

        task = asyncio.ensure_future(read())
        await asyncio.sleep(0)
        if cancelled:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, membuf.RequestCancelledError):
            assert await task == 1000
            assert memory == content(offset, 1000)
            return True
        memory += b"nobody holds it any more"
        return False

    async def all_of_them() -> int:
        good = 0
        for _ in range(ROUNDS // 8):
            good += sum(await asyncio.gather(*(one(dice.random() < 0.3) for _ in range(8))))
        return good

    return asyncio.run(all_of_them())


def cut_often(server: Fake, enough: threading.Event) -> None:
    while not enough.wait(0.03):
        server.cut()


@pytest.mark.parametrize("connections", [1, 3])
@pytest.mark.parametrize("cutting", [False, True])
def test_nothing_is_lost_mixed_up_or_left_behind(
    fake: Make, connections: int, cutting: bool
) -> None:
    store = Store(REGION * THREADS)
    store.disk[:REGION] = content(0, REGION)
    server = fake(store, size=REGION * THREADS, flags=ALL | Flag.CAN_MULTI_CONN)
    results: dict[int, int | BaseException] = {}
    enough = threading.Event()

    def run(index: int, target: Any) -> None:
        try:
            if index % 3 == 0:
                results[index] = some_reads(target, index)
            elif index % 3 == 1:
                results[index] = some_writes(target, index, index)
            else:
                results[index] = some_tasks(target, index)
        except BaseException as error:  # noqa: BLE001
            results[index] = error

    with opened(server, connections=connections, reconnect=SECONDS * 10) as target:
        threads = [threading.Thread(target=run, args=[i, target]) for i in range(THREADS)]
        cutter = threading.Thread(target=cut_often, args=[server, enough])
        for thread in threads + [cutter] * cutting:
            thread.start()
        for thread in threads:
            thread.join()
        enough.set()
        if cutting:
            cutter.join()
        for index, result in sorted(results.items()):
            assert isinstance(result, int), (index, result)
            assert result > 0
        assert target.statistics().in_flight == 0
        assert (server.connections > connections) == cutting
    assert not [one for one in threading.enumerate() if one.name.startswith("membuf-nbd")]
