import asyncio
import os
from pathlib import Path

import membuf

CHUNK = 64 * 1024
DEPTH = 8


async def move(reader, writer, chunks, offset):
    chunk = chunks.allocate()
    try:
        count = await reader.read_async(chunk, offset)
        await writer.write_async(chunk, offset, memory_length=count)
    finally:
        chunk.delete()  # held until the kernel is done with it, whatever happened


async def copy(source, destination):
    with (
        membuf.Object(name="copy") as job,
        membuf.open_target(f"file:{source}", access="read") as reader,
        membuf.open_target(f"file:{destination}", access="write", create=True) as writer,
    ):
        chunks = membuf.LookasideList(CHUNK, tag="Chnk", parent=job, memory_parent=job)
        offsets = iter(range(0, reader.size, CHUNK))

        async def worker():
            for offset in offsets:
                await move(reader, writer, chunks, offset)

        async with asyncio.TaskGroup() as group:
            for _ in range(DEPTH):
                group.create_task(worker())
        writer.flush()
        return chunks.statistics()


Path("source.img").write_bytes(os.urandom(1_000_000))

statistics = asyncio.run(copy("source.img", "copy.img"))

assert Path("copy.img").read_bytes() == Path("source.img").read_bytes()

print(f"{statistics.allocations} buffers handed out, {statistics.outstanding} still out")
for record in membuf.pool.statistics().tags:
    print(record.tag, record.outstanding, "outstanding")
