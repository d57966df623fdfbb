"""The copy itself: threads that carry loads from a reader to a writer."""

from __future__ import annotations

import threading
import time
from typing import Final

from membuf.base.errors import MembufError
from membuf.bus import Extent
from membuf.cli.copying import transfer
from membuf.cli.copying.crew import Crew
from membuf.cli.copying.destination import Destination
from membuf.cli.copying.holes import Holes
from membuf.cli.copying.job import Job, Result, Stopped, Watcher
from membuf.cli.copying.landed import Landed
from membuf.cli.copying.opening import open_destination, open_source
from membuf.cli.copying.plan import HOLE_GRAIN, Crewing, aligned, crewing
from membuf.cli.copying.reader import PieceReader, Reader, StreamReader
from membuf.cli.copying.source import Source
from membuf.cli.copying.transfer import IO_URING
from membuf.cli.copying.verification import Checksum, Verification
from membuf.cli.copying.writer import make_writer
from membuf.cli.failure import CommandError, ExitCode, Interrupted, system_failure
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
        _run(copying, domain)
        with signals.held_back():
            _commit(destination)
        return Result(
            bytes=copying.total,
            bytes_written=copying.written,
            seconds=time.perf_counter() - started,
            durable=destination.durable,
            verified=job.verify,
            engines=(source.engine, destination.engine),
            statistics=domain.statistics(),
            caveat=destination.caveat,
            connections=(source.connections, destination.connections),
        )


def _run(copying: _Copy, domain: Domain) -> None:
    """Do a copy; where it ends early, say what is there now."""
    try:
        copying.run(domain)
    except CommandError as failure:
        if failure.code != ExitCode.DIFFERENT:
            failure.hint = "; ".join(filter(None, [failure.hint, copying.state]))
        raise
    except Interrupted as interrupted:
        raise Stopped(interrupted.number, copying.state) from None


class _Copy:
    """One copy, from its first read to the last durable byte.

    Attributes:
        total: the length of the copy.
        written: bytes that were written; the rest are holes.
        state: what the destination holds of it now; "" where it is what it was.
    """

    def __init__(
        self, job: Job, source: Source, destination: Destination, watcher: Watcher
    ) -> None:
        self.total = 0
        self.written = 0
        self._job = job
        self._source = source
        self._destination = destination
        self._watcher = watcher
        self._phase = ""
        self._landed = Landed()
        self._holes: Holes | None = None
        self._checksums: list[Checksum] = []
        self._lock = threading.Lock()

    def run(self, domain: Domain) -> None:
        """Move the bytes, make them durable, verify them; the memory comes from `domain`."""
        job, ends = self._job, (self._source, self._destination)
        ring = all(end.engine == IO_URING for end in ends)
        crew = crewing(job.block_size, job.queue_depth, ring=ring)
        alignment = max(16, *(end.limits.memory for end in ends))
        with LookasideList(job.block_size, tag=TAG, parent=domain, alignment=alignment) as blocks:
            self._move(blocks, crew)
            self._phase = "holds the whole copy, but it was not made durable"
            self._watcher.begin("flushing", None)
            Crew(self._watcher, self._destination.cancel_flush).run(1, self._flush)
            if job.verify:
                self._phase = "holds the whole copy, but it was not read back to its end"
                verification = Verification(self._destination, blocks, crew, self._watcher)
                verification.run(self._checksums, self._holes.made if self._holes else [])

    def _move(self, blocks: LookasideList, crew: Crewing) -> None:
        reader = self._make_reader(blocks, crew)
        writer = make_writer(self._destination, sparse=self._job.sparse is True)
        self._landed = writer.landed

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

        streams = not self._source.size or self._destination.stream
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

    def _make_reader(self, blocks: LookasideList, crew: Crewing) -> Reader:
        if not self._source.size:
            self._watcher.begin("copying", None)
            return StreamReader(self._source, blocks, whole=not self._destination.stream)
        extents = self._extents(crew)
        self._watcher.begin("copying", sum(extent.length for extent in extents))
        return PieceReader(self._source, extents, blocks, crew.trip)

    def _extents(self, crew: Crewing) -> list[Extent]:
        """What is read, once the holes are made that need no writing."""
        source, destination = self._source, self._destination
        if self._job.sparse is False or destination.stream:
            return [Extent(source.start, source.size, data=True)]
        alignment = max(HOLE_GRAIN, source.limits.offset, destination.limits.offset)
        extents = aligned(source.extents(), alignment, source.end)
        holes = self._holes = Holes(destination, crew.threads, self._watcher)
        return [part._replace(data=True) for part in holes.make(extents, source.start)]

    @property
    def state(self) -> str:
        """What the destination holds of the copy now; "" where it is what it was."""
        destination = self._destination
        if not destination.in_place:
            return ""
        if self._phase:
            return f"{destination.name} {self._phase}"
        begun = self._holes is not None and self._holes.begun
        return self._landed.words(destination.name, begun=begun)

    def _flush(self) -> bool:
        try:
            self._destination.flush()
        except (OSError, MembufError) as error:
            raise _not_durable(self._destination, error) from error
        return False


def _check_fit(job: Job, source: Source, destination: Destination) -> None:
    if destination.stream and (job.verify or job.sparse):
        what = "--verify cannot read it back" if job.verify else "--sparse cannot make holes in it"
        raise CommandError(f"{destination.name} is a stream: {what}", ExitCode.USAGE)
    alignment = max(source.limits.offset, destination.limits.offset)
    if job.block_size % alignment:
        who = "--direct" if job.direct else f"{source.name} or {destination.name}"
        raise CommandError(
            f"{who} needs a block size in multiples of {alignment} here; got {job.block_size}",
            ExitCode.USAGE,
        )


def _commit(destination: Destination) -> None:
    try:
        destination.commit()
    except OSError as error:
        raise _not_durable(destination, error) from error


def _not_durable(destination: Destination, error: OSError | MembufError) -> CommandError:
    what = f"{destination.name} could not be made durable"
    if destination.is_disk or not isinstance(error, OSError):
        return transfer.told(what, error, None)
    return system_failure(what, error)
