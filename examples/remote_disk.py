r"""A read-only disk over HTTP, S3, or whatever else `fsspec` can read in parts, with a cache.

    pip install "membuf[remote]"                 # for S3: pip install s3fs as well
    membuf serve examples/remote_disk.py --nbd "nbd+unix:///?socket=remote.sock" \
        --set url=https://example.org/debian.raw --set cache=256MiB
    nbdcopy "nbd+unix:///?socket=remote.sock" debian.raw

Blocks are fetched when they are first read, and kept in memory objects of one lookaside list until
others push them out, the least recently read ones first. Two requests for the same block fetch it
once. What fails is fetched again, with a longer wait each time.

The handlers are coroutines, and `fsspec` works on threads: a hundred requests wait at once.

What it does not do: notice that the file has changed since it was opened (every block is as it was
when it was fetched), and verify what comes, beyond its length.

To try next: fetch the following block too when reads come in order; keep blocks in a file.
"""

from __future__ import annotations

import asyncio
import errno
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import fsspec

import membuf
from membuf.base.errors import from_errno
from membuf.request import ReceivedRequest
from membuf.target.filters.options import seconds, whole
from membuf.target.filters.options import size as size_of

T = TypeVar("T")


class Remote:
    """A file somewhere else.

    Args:
        url: where; the part before `://` says what kind of file system it is.
        tries: how often a block is asked for before a read fails.
        wait: seconds before the second try; twice as many before each later one.
    """

    def __init__(self, url: str, tries: int = 3, wait: float = 0.1) -> None:
        self.url, self.tries, self.wait = url, tries, wait
        self.fetches = self.retries = 0
        self.files, self.path = fsspec.core.url_to_fs(url)
        size = self.files.info(self.path)["size"]
        if not size:
            raise ValueError(f"{url} is empty, or does not say how long it is")
        self.size: int = size
        if len(self.files.cat_file(self.path, start=0, end=1)) != 1:
            raise ValueError(f"{url} cannot be read in parts: its server answers with all of it")

    async def fetch(self, begin: int, end: int) -> bytes:
        """Some bytes of it.

        Raises:
            TargetError: it could not be read, as often as that was tried.
        """
        for number in range(self.tries):
            if number:
                self.retries += 1
                await asyncio.sleep(self.wait * 2 ** (number - 1))
            try:
                data = await asyncio.to_thread(self.files.cat_file, self.path, start=begin, end=end)
            except FileNotFoundError as error:
                raise from_errno(errno.ENOENT, "it is gone", self.url) from error
            except Exception as error:  # noqa: BLE001 - each file system has errors of its own
                cause: Exception | None = error
            else:
                if len(data) == end - begin:
                    self.fetches += 1
                    return bytes(data)
                cause = None  # a short answer
        raise from_errno(errno.EIO, f"{self.tries} tries", self.url) from cause


class Cache:
    """The blocks that were read last.

    Args:
        remote: what they are blocks of.
        blocks: the list that their memory comes from; its size is that of a block.
        most: how many are kept.
    """

    def __init__(self, remote: Remote, blocks: membuf.LookasideList, most: int) -> None:
        self.remote, self.blocks, self.most = remote, blocks, most
        self.kept: OrderedDict[int, membuf.Memory] = OrderedDict()
        self.coming: dict[int, asyncio.Task[bytes]] = {}
        self.hits = self.misses = 0

    async def read(self, memory: membuf.Memory, offset: int) -> None:
        """Fill a memory object; blocks that are not here are fetched at the same time."""
        size, end = self.blocks.size, offset + memory.size
        numbers = range(offset // size, -(-end // size))
        work = (self.fill(memory, offset, number) for number in numbers)
        # All have ended before the memory is let go, even where one has failed.
        for result in await asyncio.gather(*work, return_exceptions=True):
            if result is not None:
                raise result

    async def fill(self, memory: membuf.Memory, offset: int, number: int) -> None:
        """Copy what is wanted of one block."""
        data = self.find(number)
        if data is None:
            data = memoryview(await asyncio.shield(self.fetched(number)))
        start = number * self.blocks.size
        first, last = max(offset, start), min(offset + memory.size, start + len(data))
        memory.copy_from(data[first - start : last - start], first - offset)

    def find(self, number: int) -> memoryview | None:
        """The bytes of a block that is here; it is the most recent one now."""
        memory = self.kept.get(number)
        if memory is None:
            self.misses += 1
            return None
        self.hits += 1
        self.kept.move_to_end(number)
        return memory.buffer

    def fetched(self, number: int) -> asyncio.Task[bytes]:
        """The task that fetches a block; one for all who want it now."""
        task = self.coming.get(number)
        if task is None:
            task = self.coming[number] = asyncio.create_task(self.fetch(number))
            task.add_done_callback(lambda _: self.coming.pop(number))
        return task

    async def fetch(self, number: int) -> bytes:
        """Fetch a block and keep it; another one goes where there are too many."""
        start = number * self.blocks.size
        data = await self.remote.fetch(start, min(start + self.blocks.size, self.remote.size))
        while len(self.kept) >= self.most:
            self.kept.popitem(last=False)[1].delete()
        memory = self.kept[number] = self.blocks.allocate()
        memory.copy_from(data)
        return data

    def clear(self) -> None:
        """Give all memory back."""
        while self.kept:
            self.kept.popitem()[1].delete()


def open(  # noqa: A001 - what `membuf serve` calls
    url: str, block: str = "256KiB", cache: str = "64MiB", tries: str = "3", wait: str = "100ms"
) -> membuf.Disk:
    """Make the disk of `url=`; it reads `block=` bytes at a time and keeps `cache=` of them."""
    size, most = setting("block", size_of, block), setting("cache", size_of, cache)
    if not 0 < size <= most:
        raise ValueError(f"block is above 0 and not above cache; got {block} and {cache}")
    number = setting("tries", whole, tries)
    if not number:
        raise ValueError("tries must be 1 at least")
    remote = Remote(url, number, setting("wait", seconds, wait))
    blocks = membuf.LookasideList(size, tag="Rmot", maximum_depth=4)
    kept = Cache(remote, blocks, most // size)
    disk = membuf.Disk("remote", size=remote.size, readonly=True, on_cleanup=lambda _: kept.clear())
    disk.context["cache"] = kept

    @disk.on_read
    async def read(request: ReceivedRequest) -> None:
        try:
            await kept.read(request.output_memory(), request.offset)
        except membuf.MembufError as error:
            request.complete(error.status)
        else:
            request.complete(information=request.length)

    return disk


def setting(name: str, read: Callable[[str], T], text: str) -> T:
    """What a setting's text says.

    Raises:
        ValueError: nothing that it can be; the message names the setting.
    """
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"{name} is not {text!r}: {error}") from None
