"""What is awaited of a target besides reads and writes: flushes, trims and zeros."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import membuf

KINDS = ("file:{image}", "stats+file:{image}", "ram:64KiB", "delay(time=1ms)+ram:64KiB")


@pytest.mark.parametrize("uri", KINDS)
def test_a_flush_is_awaited(tmp_path: Path, uri: str) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(65536))

    async def scenario() -> int:
        with membuf.open_target(uri.format(image=image)) as target:
            await target.write_async(b"x" * 4096, 0)
            assert await target.flush_async() == 0
            return target.statistics().flushes

    assert asyncio.run(scenario()) == 1


@pytest.mark.parametrize("uri", KINDS)
def test_a_flush_waits_in_a_stopped_target(tmp_path: Path, uri: str) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(65536))

    async def scenario() -> None:
        with membuf.open_target(uri.format(image=image)) as target:
            target.stop()
            flush = target.flush_async()
            await asyncio.sleep(0)
            assert not flush.done()
            target.start()
            assert await flush == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("uri", KINDS)
def test_trims_and_zeros_are_awaited(tmp_path: Path, uri: str) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(b"x" * 65536)

    async def scenario() -> None:
        with membuf.open_target(uri.format(image=image)) as target:
            await target.write_async(b"x" * 65536, 0)
            await target.zero_async(0, 4096)
            await target.trim_async(8192, 4096)
            data = bytearray(12288)
            await target.read_async(data, 0)
            assert data == bytes(4096) + b"x" * 4096 + bytes(4096)
            with pytest.raises(membuf.InvalidParameterError):
                await target.zero_async(65536, 4096)

    asyncio.run(scenario())


def test_outside_a_loop_nothing_can_be_awaited() -> None:
    with (
        membuf.open_target("ram:64KiB") as target,
        pytest.raises(RuntimeError, match="no event loop"),
    ):
        target.flush_async()
