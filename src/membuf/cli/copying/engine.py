"""The copy itself: loads on their way from a reader to a writer, several at once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

from membuf.bus import Extent
from membuf.cli.copying.crew import crew
from membuf.cli.copying.destination import Destination, open_destination
from membuf.cli.copying.job import Job, Result, Watcher
from membuf.cli.copying.load import Load
from membuf.cli.copying.plan import HOLE_GRAIN, aligned
from membuf.cli.copying.reader import PieceReader, Reader, StreamReader
from membuf.cli.copying.source import Source, open_source
from membuf.cli.copying.verification import Checksum, Verification, checksum_of
from membuf.cli.copying.writer import make_writer
from membuf.cli.failure import CommandError, ExitCode, system_failure
from membuf.cli.signals import Signals
from membuf.pool import Domain, LookasideList

TAG: Final = "Copy"
_TICK_SECONDS: Final = 0.1


def copy(job: Job, watcher: Watcher, signals: Signals) -> Result:
    """Copy, and return when the copy is durable.

    Args:
        job: what to copy, and how.
        watcher: is told how it gets on.
        signals: end it early.

    Raises:
        CommandError: it cannot be done, or failed; a destination file is what it was before.
        Interrupted: a signal ended it; likewise.

    >>> import pathlib, tempfile
    >>> from membuf.cli.copying.job import Silent
    >>> with tempfile.TemporaryDirectory() as folder, Signals() as signals:
    ...     _ = pathlib.Path(folder, "a").write_bytes(bytes(5000))
    ...     result = copy(Job(source=f"{folder}/a", destination=f"{folder}/b"), Silent(), signals)
    ...     result.bytes, result.statistics.outstanding
    (5000, 0)
    """
    started = time.perf_counter()
    with (
        Domain(tag=TAG, name="membuf copy", on_leak="raise") as domain,
        open_source(job) as source,
        open_destination(job, source) as destination,
    ):
        _check_fit(job, source, destination)
        moving = _Copy(job, source, destination, watcher)
        signals.run(moving.run(domain))
        with signals.held_back():
            _commit(destination)
        return Result(
            bytes=moving.total,
            bytes_written=moving.written,
            seconds=time.perf_counter() - started,
            durable=destination.durable,
            verified=job.verify,
            engines=(source.target.engine, destination.target.engine),
            statistics=domain.statistics(),
        )


class _Copy:
    """One copy, from its first read to the last durable byte."""

    def __init__(
        self, job: Job, source: Source, destination: Destination, watcher: Watcher
    ) -> None:
        self.total = 0
        self.written = 0
        self._job = job
        self._source = source
        self._destination = destination
        self._watcher = watcher
        self._holes: list[Extent] = []
        self._checksums: list[Checksum] = []

    async def run(self, domain: Domain) -> None:
        """Move the bytes, make them durable, verify them; the memory comes from `domain`."""
        limits = (self._source.target.limits, self._destination.target.limits)
        alignment = max(limit.memory for limit in limits)
        with LookasideList(
            self._job.block_size, tag=TAG, parent=domain, alignment=max(alignment, 16)
        ) as blocks:
            async with _ticking(self._watcher):
                await self._move(blocks)
                self._watcher.begin("flushing", None)
                await asyncio.to_thread(self._flush)
                if self._job.verify:
                    verification = Verification(self._destination, blocks, self._watcher)
                    await verification.run(self._checksums, self._holes, self._job.queue_depth)

    async def _move(self, blocks: LookasideList) -> None:
        reader = await asyncio.to_thread(self._make_reader, blocks)
        writer = make_writer(self._destination, sparse=self._job.sparse is True)

        async def work() -> bool:
            load = await reader.next()
            if load is None:
                return False
            with load:
                async with self._checksummed(load):
                    await writer.write(load)
                self._watcher.advance(load.length)
            return True

        streams = not self._source.size or self._destination.target.stream
        await crew(self._job.queue_depth, work, patient=not streams)
        writer.finish()
        self._source.check_unchanged()
        self._source.leave_at(self._source.start + reader.total)
        try:
            self._destination.end_at(reader.total)
        except OSError as error:
            name = self._destination.name
            raise system_failure(f"cannot make {name} end", error, offset=reader.total) from error
        self.total, self.written = reader.total, writer.written

    def _make_reader(self, blocks: LookasideList) -> Reader:
        if not self._source.size:
            self._watcher.begin("copying", None)
            return StreamReader(self._source, blocks, whole=not self._destination.target.stream)
        extents = self._extents()
        self._watcher.begin("copying", sum(extent.length for extent in extents if extent.data))
        return PieceReader(self._source, extents, blocks)

    def _extents(self) -> list[Extent]:
        """What is read, once the holes are made that need no writing."""
        source, destination = self._source, self._destination
        if self._job.sparse is False or destination.target.stream:
            return [Extent(source.start, source.size, data=True)]
        limits = (source.target.limits, destination.target.limits)
        alignment = max(HOLE_GRAIN, *(limit.offset for limit in limits))
        found: list[Extent] = []
        for extent in aligned(source.extents(), alignment, source.end):
            offset = extent.offset - source.start
            if not extent.data and destination.make_hole(offset, extent.length):
                self._holes.append(Extent(offset, extent.length, data=False))
            else:
                found.append(extent._replace(data=True))
        return found

    @contextlib.asynccontextmanager
    async def _checksummed(self, load: Load) -> AsyncIterator[None]:
        """Compute the checksum of a load while it is written; memory is read by both."""
        if not self._job.verify:
            yield
            return
        computing = asyncio.create_task(checksum_of(load))
        try:
            yield
        finally:
            self._checksums.append(await computing)

    def _flush(self) -> None:
        try:
            self._destination.flush()
        except OSError as error:
            raise _not_durable(self._destination, error) from error


def _check_fit(job: Job, source: Source, destination: Destination) -> None:
    stream = destination.target.stream
    if stream and (job.verify or job.sparse):
        what = "--verify cannot read it back" if job.verify else "--sparse cannot make holes in it"
        raise CommandError(f"{destination.name} is a stream: {what}", ExitCode.USAGE)
    alignment = max(source.target.limits.offset, destination.target.limits.offset)
    if job.block_size % alignment:
        raise CommandError(
            f"--direct needs a block size in multiples of {alignment} here; got {job.block_size}",
            ExitCode.USAGE,
        )


def _commit(destination: Destination) -> None:
    try:
        destination.commit()
    except OSError as error:
        raise _not_durable(destination, error) from error


def _not_durable(destination: Destination, error: OSError) -> CommandError:
    return system_failure(f"{destination.name} could not be made durable", error)


@contextlib.asynccontextmanager
async def _ticking(watcher: Watcher) -> AsyncIterator[None]:
    """Let the watcher show something every moment."""

    async def tick() -> None:
        while True:
            watcher.tick()
            await asyncio.sleep(_TICK_SECONDS)

    ticking = asyncio.create_task(tick())
    try:
        yield
    finally:
        ticking.cancel()
