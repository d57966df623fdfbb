r"""A slow and faulty disk over a good one, to see how a program bears it: `async def` handlers.

    membuf serve examples/throttled_disk.py --nbd "nbd+unix:///?socket=slow.sock" \
        --set below=ram:64MiB --set latency=5ms --set rate=10MiB/s --set errors=1%
    fio --name=slow --ioengine=nbd --uri="nbd+unix:///?socket=slow.sock" --rw=randread --bs=4k

A coroutine handler may wait as long as it likes: others run meanwhile, so a hundred requests of
5 ms each take 5 ms together. A plain handler would hold up everybody.

Filters do the same by name, without a driver; they are what to use when nothing else is needed:

    membuf serve "delay(time=5ms)+rate(limit=10MiB/s)+error(rate=1%,on=read|write)+ram:64MiB" \
        --nbd "nbd+unix:///?socket=slow.sock"

To try next: a latency that grows with the distance to the last offset, as a hard disk has; an error
that stays at its place (keep the bad offsets in a set).
"""

from __future__ import annotations

import asyncio
import errno
import random
import time
from collections.abc import Callable

import membuf
from membuf.base.errors import from_errno
from membuf.request import ReceivedRequest
from membuf.target import Target
from membuf.target.filters.options import rate as rate_of
from membuf.target.filters.options import seconds, share


class Throttle:
    """Decides how long each transfer waits, and whether it fails.

    Args:
        latency: seconds that every transfer takes.
        rate: bytes a second that all take together; None for any number.
        errors: the share of transfers that fail.
        seed: makes the choice the same every time.
    """

    def __init__(
        self, latency: float, rate: float | None, errors: float, seed: str | None = None
    ) -> None:
        self.latency, self.rate, self.errors = latency, rate, errors
        self.random = random.Random(seed)
        self.free_at = 0.0

    async def turn(self, length: int) -> None:
        """Wait until a transfer of that length may go on; raise where it is to fail."""
        wait = self.latency + self.reserve(length)
        if wait:
            await asyncio.sleep(wait)
        if self.random.random() < self.errors:
            raise from_errno(errno.EIO, "injected")

    def reserve(self, length: int) -> float:
        """Take the next free stretch of the line; seconds until it is over."""
        if self.rate is None:
            return 0.0
        now = time.monotonic()
        self.free_at = max(self.free_at, now) + length / self.rate
        return self.free_at - now


def open(  # noqa: A001 - what `membuf serve` calls
    below: str = "ram:64MiB",
    latency: str = "0ms",
    rate: str = "",
    errors: str = "0%",
    seed: str | None = None,
) -> membuf.Disk:
    """Make the disk: `latency=5ms`, `rate=10MiB/s`, `errors=1%`, over the target `below=`."""
    limit = setting("rate", rate_of, rate) if rate else None
    if limit == 0:
        raise ValueError("rate must be above 0 bytes a second")
    throttle = Throttle(
        setting("latency", seconds, latency), limit, setting("errors", share, errors), seed
    )
    lower = membuf.open_target(below)
    disk = membuf.Disk(
        "slow",
        size=lower.size,
        block_size=lower.offset_alignment,
        on_cleanup=lambda _: lower.close(),
    )
    attach(disk, lower, throttle)
    return disk


def setting(name: str, read: Callable[[str], float], text: str) -> float:
    """What a setting's text says.

    Raises:
        ValueError: nothing that it can be; the message names the setting.
    """
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"{name} is not {text!r}: {error}") from None


def attach(disk: membuf.Disk, lower: Target, throttle: Throttle) -> None:
    """Give the disk its handlers."""

    @disk.on_read
    async def read(request: ReceivedRequest) -> None:
        try:
            await throttle.turn(request.length)
            count = await lower.read_async(request.output_memory(), request.offset)
        except membuf.MembufError as error:
            request.complete(error.status)
        else:
            request.complete(information=count)

    @disk.on_write
    async def write(request: ReceivedRequest) -> None:
        try:
            await throttle.turn(request.length)
            count = await lower.write_async(request.input_memory(), request.offset)
        except membuf.MembufError as error:
            request.complete(error.status)
        else:
            request.complete(information=count)

    @disk.on_flush
    async def flush(request: ReceivedRequest) -> None:
        try:
            await throttle.turn(0)
            await asyncio.to_thread(lower.flush)
        except membuf.MembufError as error:
            request.complete(error.status)
        else:
            request.complete()
