"""Targets and requests."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, reveal_type

import membuf
from membuf.request import CompletionParams

Path("data.bin").write_bytes(bytes(8192))
memory = membuf.Memory(4096, tag="Type")


def completed(
    request: membuf.Request, target: Any, params: CompletionParams, context: object
) -> None:
    reveal_type(params.information)  # int
    reveal_type(params.status)  # Status


with membuf.open_target("file:data.bin", access="read-write") as target:
    reveal_type(target)  # Target
    reveal_type(target.read(memory, offset=0))  # int
    reveal_type(target.write(memory, offset=0, memory_length=512))  # int
    reveal_type(target.read_many([(memory, 0), (bytearray(16), 4096)]))  # list[int]
    reveal_type(target.state)  # TargetState
    reveal_type(target.statistics().bytes_read)  # int

    request = membuf.Request(target)
    request.format_read(memory, offset=0, memory_offset=512, memory_length=1024)
    request.send(on_complete=completed, timeout=5.0, synchronous=True)
    reveal_type(request.status)  # Status
    reveal_type(request.information)  # int

    async def asynchronous() -> None:
        reveal_type(await target.read_async(memory, offset=0))  # int

    asyncio.run(asynchronous())
