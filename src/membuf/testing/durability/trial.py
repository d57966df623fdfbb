"""Writing to a disk until it crashes, and looking at what is left of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from membuf.base.errors import InvalidParameterError, MembufError
from membuf.bus.device import DeviceTarget
from membuf.bus.nbd import Server
from membuf.request.device import Device
from membuf.testing.durability.client import Client
from membuf.testing.durability.ledger import Ledger
from membuf.testing.durability.lossy import LossyDisk

if TYPE_CHECKING:
    from membuf.bus.nbd import NbdUri
    from membuf.target import Target

_MOST_SECTORS: Final = 64
_READ_BYTES: Final = 1 << 19
_MOST_BYTES: Final = 1 << 22
_USUAL_BYTES: Final = 1 << 20

GoOn = Callable[[Exception], bool]
Make = Callable[["Target"], "Device | Target"]


def _dice(seed: int | None) -> tuple[int, random.Random]:
    """A seed, and what it makes."""
    seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    return seed, random.Random(seed)  # noqa: S311 - no secret comes of it


async def exercise(
    client: Client,
    ledger: Ledger,
    dice: random.Random,
    *,
    operations: int | None = None,
    tasks: int = 8,
    go_on: GoOn | None = None,
) -> list[Exception]:
    """Write, make zeros and flush at random, and note all of it.

    Args:
        client: whose disk is written to.
        ledger: where it is noted.
        dice: decide what is done.
        operations: how many; None for as many as there can be until one fails.
        tasks: how many at once.
        go_on: whether to go on after an error; None for never.

    Returns:
        The errors that there were.

    >>> import membuf, tempfile
    >>> from membuf.bus.nbd import Server
    >>> async def trial(uri):
    ...     async with await Client.connect(uri) as client:
    ...         ledger = await begin(client)
    ...         return await exercise(client, ledger, random.Random(1), operations=20)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     uri = f"nbd+unix:///?socket={folder}/s"
    ...     with membuf.open_target("ram:1MiB") as disk, Server(disk, uri):
    ...         asyncio.run(trial(uri))
    []
    """
    errors: list[Exception] = []
    left = [operations if operations is not None else -1]

    async def work() -> None:
        while left[0] and (not errors or go_on is not None):
            left[0] -= 1
            try:
                await _operate(client, ledger, dice)
            except (MembufError, OSError) as error:
                errors.append(error)
                if go_on is None or not go_on(error):
                    left[0] = 0

    await asyncio.gather(*(work() for _ in range(tasks)))
    return errors


async def _operate(client: Client, ledger: Ledger, dice: random.Random) -> None:
    """Do one thing."""
    what = dice.random()
    if what < 0.1:
        flush = ledger.flush()
        await client.flush()
        ledger.flushed(flush)
        return
    place = ledger.place(dice, min(_MOST_SECTORS, ledger.count))
    if place is None:
        await asyncio.sleep(0)
        return
    durable, zero = what < 0.25, dice.random() < 0.1
    write = ledger.write(*place, zero=zero)
    try:
        if zero:
            await client.zero(*place, durable=durable)
        else:
            await client.write(place[0], write.data, durable=durable)
    except BaseException:
        ledger.failed(write)
        raise
    ledger.acknowledged(write, durable=durable)


async def contents(client: Client, ledger: Ledger) -> bytes:
    """The bytes of a disk that a ledger is about."""
    end = ledger.count * ledger.sector
    parts = [
        await client.read(offset, min(_READ_BYTES, end - offset))
        for offset in range(0, end, _READ_BYTES)
    ]
    return b"".join(parts)


async def inspect(client: Client, ledger: Ledger, *, crashed: bool = True) -> None:
    """Read a disk, and see whether it holds what it must hold; see `Ledger.check`.

    Raises:
        LostWriteError: it does not.

    >>> import membuf, tempfile
    >>> from membuf.bus.nbd import Server
    >>> async def trial(uri):
    ...     async with await Client.connect(uri) as client:
    ...         ledger = await begin(client)
    ...         ledger.acknowledged(ledger.write(0, 512), durable=True)  # which nobody sent
    ...         await inspect(client, ledger)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     uri = f"nbd+unix:///?socket={folder}/s"
    ...     with membuf.open_target("ram:1MiB") as disk, Server(disk, uri):
    ...         asyncio.run(trial(uri))
    Traceback (most recent call last):
    ...
    membuf.testing.durability.ledger.LostWriteError: 1 sectors are not what they must be:
      sector 0 (at 0) holds zeros; it must hold write 1
    """
    data = await contents(client, ledger)
    ledger.check(lambda offset, length: data[offset : offset + length], crashed=crashed)


async def begin(client: Client, *, sector: int = 512) -> Ledger:
    """A ledger for a disk, of which the first 4 MiB at most are used.

    Raises:
        InvalidParameterError: they are not all zeros.

    >>> import membuf, tempfile
    >>> from membuf.bus.nbd import Server
    >>> async def trial(uri):
    ...     async with await Client.connect(uri) as client:
    ...         return (await begin(client)).count
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     uri = f"nbd+unix:///?socket={folder}/s"
    ...     with membuf.open_target("ram:1MiB") as disk, Server(disk, uri):
    ...         asyncio.run(trial(uri))
    2048
    """
    sector = max(sector, client.smallest)
    ledger = Ledger(min(client.size, _MOST_BYTES), sector=sector)
    if any(await contents(client, ledger)):
        raise InvalidParameterError("begin with a disk of zeros: the check overwrites it")
    return ledger


# ---- power cuts ----------------------------------------------------------------------------------


def check_power_cuts(
    make: Make | None,
    *,
    disk: LossyDisk | None = None,
    cuts: int = 10,
    operations: int = 200,
    sector: int = 512,
    seed: int | None = None,
) -> Ledger:
    """Check that a driver or a filter over a disk loses nothing when the disk's power is cut.

    The disk below is a `LossyDisk`: it keeps of what was not flushed what it likes. What `make`
    returns is served by NBD and written to, with flushes and FUA in between; somewhere in the
    middle the power is cut. Then it is made anew over what is left, and read.

    Args:
        make: makes it over a target; called again after each cut, and once more in the end. What
            it returns is closed, and the target below with it or after it. None to check the disk
            itself.
        disk: the disk below, all zeros; None for a new one of 1 MiB.
        cuts: how often its power is cut.
        operations: how many there are between two cuts, at most.
        sector: bytes that it writes whole or not at all, all the same.
        seed: repeats what another seed does not; None for a new one, which errors tell.

    Returns:
        What was done.

    Raises:
        LostWriteError: something was lost that must not, or appeared.

    >>> import membuf
    >>> from membuf.target.filters import Stats
    >>> check_power_cuts(Stats, cuts=2, operations=20).checks
    2
    """
    seed, dice = _dice(seed)
    used = LossyDisk(size=_USUAL_BYTES) if disk is None else disk
    ledger: Ledger | None = None
    try:
        for _ in range(cuts):
            with _served(used, make) as uri:
                ledger = asyncio.run(_until_cut(uri, ledger, used, dice, operations, sector))
            used.restore()
        with _served(used, make) as uri:
            asyncio.run(_look(uri, ledger))
    except AssertionError as error:
        error.add_note(f"with seed={seed}")
        raise
    finally:
        if disk is None:
            used.delete()
    if ledger is None:
        raise InvalidParameterError("cuts must be above 0")
    return ledger


@contextlib.contextmanager
def _served(disk: LossyDisk, make: Make | None) -> Iterator[str]:
    """What is checked, over the disk, served at a socket of its own."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="membuf-"))
        made: Device | Target = disk
        if make is not None:
            below = DeviceTarget(disk)
            stack.callback(_end, below)
            made = make(below)
            stack.callback(_end, made)
        uri = f"nbd+unix:///?socket={folder}/s"
        stack.enter_context(Server(made, uri))
        yield uri


def _end(made: Device | Target) -> None:
    if made.deleted:
        return
    if isinstance(made, Device):
        made.delete()
    else:
        made.close()


async def _until_cut(
    uri: str,
    ledger: Ledger | None,
    disk: LossyDisk,
    dice: random.Random,
    operations: int,
    sector: int,
) -> Ledger:
    async with await Client.connect(uri) as client:
        if ledger is None:
            ledger = await begin(client, sector=sector)
        else:
            await inspect(client, ledger)
        await exercise(client, ledger, dice, operations=dice.randrange(operations))
        # The last of them are on their way when the power goes.
        running = asyncio.create_task(exercise(client, ledger, dice))
        await asyncio.sleep(dice.random() * 0.005)
        await asyncio.to_thread(disk.cut, dice)
        await running
    ledger.crashed()
    return ledger


async def _look(uri: str | NbdUri, ledger: Ledger | None) -> None:
    async with await Client.connect(uri) as client:
        if ledger is not None:
            await inspect(client, ledger)


# ---- kills ---------------------------------------------------------------------------------------


def check_kills(
    command: Sequence[str],
    uri: str | NbdUri,
    *,
    kills: int = 10,
    seconds: float = 0.3,
    sector: int = 512,
    seed: int | None = None,
    told: Callable[[Ledger], object] | None = None,
) -> Ledger:
    """Check that an NBD server loses nothing that it said was durable, when it is killed.

    The server is a process of its own. It is started, written to with flushes and FUA in between,
    killed by SIGKILL in the middle of that, started again and read; as often as `kills` says. Its
    disk is all zeros in the beginning, and is overwritten.

    Args:
        command: starts the server, in the foreground.
        uri: where it listens then.
        kills: how often it is killed.
        seconds: how long it lives at most, once it is being written to.
        sector: bytes that it writes whole or not at all, all the same.
        seed: as of `check_power_cuts`.
        told: is called after each kill that left nothing to be said.

    Returns:
        What was done.

    Raises:
        LostWriteError: something was lost that must not, or appeared.
        OSError: the server does not listen.

    >>> import sys, tempfile
    >>> program = (
    ...     "import signal, sys, membuf; from membuf.bus.nbd import Server;"
    ...     "Server(membuf.open_target('file:' + sys.argv[1]), sys.argv[2]).start();"
    ...     "signal.pause()"
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open(f"{folder}/disk", "wb") as file:
    ...         size = file.truncate(65536)
    ...     uri = f"nbd+unix:///?socket={folder}/s"
    ...     check_kills([sys.executable, "-c", program, file.name, uri], uri, kills=1).checks
    1
    """
    seed, dice = _dice(seed)
    ledger: Ledger | None = None
    try:
        for _ in range(kills):
            process = subprocess.Popen(list(command))  # noqa: S603 - the caller's own
            try:
                ledger = asyncio.run(_until_killed(process, uri, ledger, dice, seconds, sector))
            finally:
                _kill(process)
            if told is not None:
                told(ledger)
        process = subprocess.Popen(list(command))  # noqa: S603 - the caller's own
        try:
            asyncio.run(_look(uri, ledger))
        finally:
            _kill(process)
    except AssertionError as error:
        error.add_note(f"with seed={seed}")
        raise
    if ledger is None:
        raise InvalidParameterError("kills must be above 0")
    return ledger


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


async def _until_killed(
    process: subprocess.Popen[bytes],
    uri: str | NbdUri,
    ledger: Ledger | None,
    dice: random.Random,
    seconds: float,
    sector: int,
) -> Ledger:
    async with await Client.connect(uri) as client:
        if ledger is None:
            ledger = await begin(client, sector=sector)
        else:
            await inspect(client, ledger)
        killer = threading.Timer(dice.random() * seconds, process.kill)
        killer.start()
        try:
            await exercise(client, ledger, dice)
        finally:
            await asyncio.to_thread(killer.join)
    ledger.crashed()
    return ledger
