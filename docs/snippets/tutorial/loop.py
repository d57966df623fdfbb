import os
from pathlib import Path

import membuf

CHUNK = 64 * 1024


def copy(source, destination):
    with (
        membuf.Object(name="copy") as job,
        membuf.open_target(f"file:{source}", access="read") as reader,
        membuf.open_target(f"file:{destination}", access="write", create=True) as writer,
    ):
        chunks = membuf.LookasideList(CHUNK, tag="Chnk", parent=job)
        for offset in range(0, reader.size, CHUNK):
            chunk = chunks.allocate(parent=job)
            count = reader.read(chunk, offset)
            writer.write(chunk, offset, memory_length=count)
            chunk.delete()
        writer.flush()  # on the disk, not just on its way


Path("source.img").write_bytes(os.urandom(1_000_000))

copy("source.img", "copy.img")

assert Path("copy.img").read_bytes() == Path("source.img").read_bytes()
