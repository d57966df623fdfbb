import asyncio

import membuf
from membuf.testing.durability import LostWriteError, check_power_cuts


# driver
async def write_out(dirty, lower):
    for offset, kept in list(dirty.items()):
        await lower.write_async(kept, offset)
        if dirty.get(offset) is kept:  # and was not written again meanwhile
            del dirty[offset]


def write_back(lower, *, forgetful=False):
    """A disk that keeps what is written to itself until a flush."""
    block = 512
    disk = membuf.Disk(size=lower.size, block_size=block)
    dirty = {}
    one_flush = asyncio.Lock()  # of two at once, the older could be the later to arrive

    @disk.on_read
    async def read(request):
        data = bytearray(request.length)
        starts = range(0, request.length, block)
        # Before the wait: a flush meanwhile takes it away from here.
        kept = {start: dirty.get(request.offset + start) for start in starts}
        await lower.read_async(data, request.offset)
        for start in starts:
            if kept[start] is not None:
                data[start : start + block] = kept[start]
        request.output_memory().copy_from(data)
        request.complete(information=request.length)

    @disk.on_write
    def write(request):
        data = bytearray(request.length)
        request.input_memory().copy_to(data)
        for start in range(0, request.length, block):
            dirty[request.offset + start] = data[start : start + block]
        request.complete(information=request.length)

    @disk.on_flush
    async def flush(request):
        try:
            async with one_flush:
                await write_out(dirty, lower)
            if not forgetful:
                await lower.flush_async()
        except membuf.MembufError as error:
            request.complete(error.status)
        else:
            request.complete()

    return disk


# check
ledger = check_power_cuts(write_back, cuts=5)
assert ledger.writes > 0

# found out
try:
    check_power_cuts(lambda lower: write_back(lower, forgetful=True), cuts=20, seed=1)
except LostWriteError as error:
    assert "it must hold" in str(error)
else:
    raise SystemExit("a driver that does not flush was not found out")
