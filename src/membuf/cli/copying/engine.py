"""The copy itself: threads that carry loads from a reader to a writer."""

from __future__ import annotations

import threading
import time
from typing import Final

from membuf.bus import Extent
from membuf.cli.copying.crew import Crew
from membuf.cli.copying.destination import Destination, open_destination
from membuf.cli.copying.job import Job, Result, Watcher
from membuf.cli.copying.plan import HOLE_GRAIN, Crewing, aligned, crewing
from membuf.cli.copying.reader import PieceReader, Reader, StreamReader
from membuf.cli.copying.source import Source, open_source
from membuf.cli.copying.transfer import IO_URING
from membuf.cli.copying.verification import Checksum, Verification
from membuf.cli.copying.writer import make_writer
from membuf.cli.failure import CommandError, ExitCode, system_failure
from membuf.cli.signals import Signals
from membuf.pool import Domain, LookasideList

TAG: Final = "Copy"


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
        copying = _Copy(job, source, destination, watcher)
        copying.run(domain)
        with signals.held_back():
            _commit(destination)
        return Result(
            bytes=copying.total,
            bytes_written=copying.written,
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
        self._lock = threading.Lock()

    def run(self, domain: Domain) -> None:
        """Move the bytes, make them durable, verify them; the memory comes from `domain`."""
        job, targets = self._job, (self._source.target, self._destination.target)
        ring = all(target.engine == IO_URING for target in targets)
        crew = crewing(job.block_size, job.queue_depth, ring=ring)
        alignment = max(16, *(target.limits.memory for target in targets))
        with LookasideList(job.block_size, tag=TAG, parent=domain, alignment=alignment) as blocks:
            self._move(blocks, crew)
            self._watcher.begin("flushing", None)
            Crew(self._watcher, lambda: None).run(1, self._flush)
            if job.verify:
                verification = Verification(self._destination, blocks, crew, self._watcher)
                verification.run(self._checksums, self._holes)

    def _move(self, blocks: LookasideList, crew: Crewing) -> None:
        reader = self._make_reader(blocks, crew.trip)
        writer = make_writer(self._destination, sparse=self._job.sparse is True)

        def carry() -> bool:
            load = reader.next()
            if load is None:
                return False
            with load:
                if self._job.verify:
                    self._checksums.append(Checksum(load.offset, load.length, load.digest()))
                writer.write(load)
                with self._lock:
                    self._watcher.advance(load.length)
            return True

        def cancel() -> None:
            writer.cancel()
            self._source.target.purge(wait=False)
            self._destination.target.purge(wait=False)

        streams = not self._source.size or self._destination.target.stream
        Crew(self._watcher, cancel, patient=not streams).run(crew.threads, carry)
        writer.finish()
        self._source.check_unchanged()
        self._source.leave_at(self._source.start + reader.total)
        try:
            self._destination.end_at(reader.total)
        except OSError as error:
            name = self._destination.name
            raise system_failure(f"cannot make {name} end", error, offset=reader.total) from error
        self.total, self.written = reader.total, writer.written

    def _make_reader(self, blocks: LookasideList, trip: int) -> Reader:
        if not self._source.size:
            self._watcher.begin("copying", None)
            return StreamReader(self._source, blocks, whole=not self._destination.target.stream)
        extents = self._extents()
        self._watcher.begin("copying", sum(extent.length for extent in extents if extent.data))
        return PieceReader(self._source, extents, blocks, trip)

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

    def _flush(self) -> bool:
        try:
            self._destination.flush()
        except OSError as error:
            raise _not_durable(self._destination, error) from error
        return False


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
