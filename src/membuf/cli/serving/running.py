"""Running a server until a signal ends it.

loading --> serving --SIGTERM, SIGINT--> draining --> closed
             | ^                            |
      SIGHUP +-+                    again: ends at once
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final

from membuf.base.errors import MembufError
from membuf.bus.nbd.server.export import Export
from membuf.bus.nbd.server.limits import ServerLimits
from membuf.cli.failure import CommandError, ExitCode, Interrupted
from membuf.cli.serving.complaints import Complaints
from membuf.cli.serving.driver import Driver, Served, close
from membuf.cli.serving.job import Job
from membuf.cli.serving.mistakes import words_of
from membuf.cli.serving.server import DriverServer
from membuf.cli.serving.statistics import Meter, as_figures
from membuf.cli.serving.voice import Voice

_LOOK_SECONDS: Final = 0.25
_PATIENCE_SECONDS: Final = 2.0
_ENDING: Final = (signal.SIGINT, signal.SIGTERM)

Files = dict[Path, tuple[int, int, int] | None]


def run(job: Job) -> int:
    """Serve until a signal ends it; the exit code."""
    voice = Voice(as_json=job.as_json, quiet=job.quiet, verbose=job.verbose)
    try:
        running = Running(job, voice)
        with running.signals():
            return asyncio.run(running.main())
    except CommandError as failure:
        cause = failure.__cause__
        voice.failure(failure, "" if cause is None else "".join(traceback.format_exception(cause)))
        return failure.code
    except Interrupted as interrupted:
        return 128 + interrupted.number


class Running:
    """One run.

    Args:
        job: what is to be served.
        voice: what tells of it.

    Raises:
        CommandError: the driver's name is none.
    """

    def __init__(self, job: Job, voice: Voice) -> None:
        self._job, self._voice = job, voice
        self._driver = Driver(job.driver, job.settings, readonly=job.readonly)
        if job.watch and not self._driver.is_python:
            raise CommandError(
                f"--reload has nothing to watch: {job.driver} is a target's name",
                ExitCode.USAGE,
                hint="SIGHUP opens it anew",
            )
        self._complaints = Complaints(voice, self._driver.owns)
        self._meter = Meter()
        self._server: DriverServer | None = None
        self._served: Served | None = None
        self._retiring: dict[asyncio.Task[None], Served] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hang_up = asyncio.Event()
        self._loading = False
        self._ended_by: int | None = None

    # ---- signals --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Within it they end the run, load the driver anew, and have tables printed."""
        receivers = dict.fromkeys(_ENDING, self._receive_end)
        receivers |= {signal.SIGHUP: self._receive, signal.SIGUSR1: self._receive}
        before = {number: signal.getsignal(number) for number in receivers}
        for number, receiver in receivers.items():
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, receiver)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive_end(self, number: int, frame: FrameType | None) -> None:
        if self._ended_by is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self._ended_by = number
        if self._loading:
            raise Interrupted(number)
        self._drain()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._loop is not None and not self._loop.is_closed():
            action = self._hang_up.set if number == signal.SIGHUP else self._tell_statistics
            self._loop.call_soon_threadsafe(action)

    def _drain(self) -> None:
        server, loop = self._server, self._loop
        if server is None or loop is None:
            return
        server.stop(self._job.drain_seconds)
        # Here another line may be half written.
        loop.call_soon_threadsafe(self._tell_of_draining, server)

    def _tell_of_draining(self, server: DriverServer) -> None:
        count = server.statistics().in_flight
        if count:
            self._voice.note(
                f"waiting up to {self._job.drain_seconds:g} s for {count} "
                f"request{'s' * (count > 1)}; once more to end at once"
            )

    # ---- from start to end ----------------------------------------------------------------------

    async def main(self) -> int:
        """Load the driver, serve it, and close it."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._complaints.of_loop)
        with self._complaints.heard():
            self._served = await self._load()
            try:
                return await self._serve(self._served)
            finally:
                self._close()

    async def _load(self) -> Served:
        self._loading = True
        try:
            return await self._driver.load()
        finally:
            self._loading = False

    async def _serve(self, served: Served) -> int:
        job = self._job
        limits = ServerLimits(connections=job.connections, stall_seconds=job.stall_seconds)
        attending = asyncio.create_task(self._attend(self._driver.files()))
        try:
            self._server = server = DriverServer(
                {job.uri.export: served},
                job.uri,
                readonly=job.readonly,
                tls=job.tls,
                limits=limits,
                threads=job.threads,
                permissions=job.permissions,
            )
            await server.serve(self._ready)
        except MembufError as error:
            raise self._cannot_serve(error) from error
        finally:
            attending.cancel()
            await asyncio.gather(attending, return_exceptions=True)
        if not job.quiet:
            self._tell_statistics()
        return self._left_undone(server.statistics().in_flight)

    def _ready(self) -> None:
        assert self._server is not None  # noqa: S101
        uri, export = self._server.uri, self._server.export
        self._voice.ready(
            self._job.driver, str(uri), export.name, export.size, readonly=export.readonly
        )
        if self._ended_by is not None:
            self._drain()

    def _cannot_serve(self, error: MembufError) -> CommandError:
        hint = ""
        number = getattr(error, "errno", None)
        if number == errno.EADDRINUSE:
            hint = "another server listens there: end it, or choose another place"
        elif number in (errno.EACCES, errno.EPERM):
            hint = "choose a place where you may listen: a folder of yours, a port above 1023"
        return CommandError(words_of(error), ExitCode.UNUSABLE, hint=hint)

    def _left_undone(self, count: int) -> int:
        """What came of it; requests that nobody answers must not keep the process."""
        if not count:
            return ExitCode.OK
        words = f"{count} request{'s' * (count > 1)} not answered"
        self._voice.failure(
            CommandError(f"{words} within {self._job.drain_seconds:g} s", ExitCode.FAILED)
        )

        def end() -> None:
            time.sleep(_PATIENCE_SECONDS)
            os._exit(ExitCode.FAILED)

        threading.Thread(target=end, name="membuf-serve-end", daemon=True).start()
        return ExitCode.FAILED

    def _close(self) -> None:
        """Close what is served, and what was served before and has clients still."""
        for task in list(self._retiring):
            task.cancel()
        left = {id(served): served for served in self._retiring.values()}
        self._retiring.clear()
        if self._served is not None:
            left[id(self._served)] = self._served
        for served in left.values():
            self._close_one(served)

    def _close_one(self, served: Served) -> None:
        try:
            close(served)
        except Exception as error:  # noqa: BLE001 - it is the driver's, and is told
            self._complaints.tell(error)

    def _tell_statistics(self) -> None:
        if self._server is not None:
            now = self._server.statistics()
            self._voice.statistics(self._meter.table(now), as_figures(now))

    # ---- loading anew ---------------------------------------------------------------------------

    async def _attend(self, loaded: Files) -> None:
        """Look after the driver: whether it is to be loaded anew, and what it has done wrong."""
        seen = loaded
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hang_up.wait(), _LOOK_SECONDS)
            self._voice.tick()
            files = self._driver.files() if self._job.watch else loaded
            # What has not changed between two looks is not in the middle of being written.
            changed = files != loaded and files == seen
            seen = files
            if changed or self._hang_up.is_set():
                self._hang_up.clear()
                await self._reload()
                loaded = seen = self._driver.files()

    async def _reload(self) -> None:
        old, server = self._served, self._server
        if server is None or old is None or self._ended_by is not None:
            return
        try:
            new = await self._driver.load()
        except CommandError as failure:
            self._not_reloaded(failure)
            return
        before = server.export
        try:
            await server.replace({before.name: new})
        except MembufError as error:
            self._not_reloaded(CommandError(words_of(error), ExitCode.UNUSABLE))
            self._close_one(new)
            return
        self._served = new
        task = asyncio.create_task(self._retire(old, before))
        self._retiring[task] = old
        task.add_done_callback(lambda task: self._retiring.pop(task, None))
        self._voice.reload(f"{self._job.driver} is loaded anew; clients are to connect again")

    def _not_reloaded(self, failure: CommandError) -> None:
        self._voice.reload("not loaded anew, the old one is served on", failure)

    async def _retire(self, served: Served, export: Export) -> None:
        """Close what was served before, when no client has it any more."""
        assert self._server is not None  # noqa: S101
        await self._server.end_connections(export)
        if served is not self._served:
            self._close_one(served)
