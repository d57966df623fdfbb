"""MDLs and chains of them as the memory of transfers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import membuf

DATA = bytes(range(256)) * 64


@pytest.fixture
def chain() -> Iterator[membuf.Mdl]:
    """Three MDLs, 8000 bytes."""
    head, *rest = [membuf.Mdl(bytearray(size)) for size in (5000, 1000, 2000)]
    for mdl in rest:
        head.chain(mdl)
    for mdl in head.walk():
        mdl.lock()
    yield head
    for mdl in list(head.walk()):
        mdl.unlock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of DATA."""
    (path := tmp_path / "disk.img").write_bytes(DATA)
    return path


@pytest.mark.parametrize("form", [lambda mdl: mdl, membuf.MemoryDescriptor.mdl])
def test_a_chain_is_read_into_as_a_whole(path: Path, chain: membuf.Mdl, form: object) -> None:
    with membuf.open_target(f"file:{path}") as target:
        assert target.read(form(chain), offset=100) == 8000
        assert b"".join(chain.iovecs()) == DATA[100:8100]


def test_a_chain_is_awaited(path: Path, chain: membuf.Mdl) -> None:
    async def read() -> int:
        with membuf.open_target(f"file:{path}") as target:
            return await target.read_async(chain)

    assert asyncio.run(read()) == 8000
    assert b"".join(chain.iovecs()) == DATA[:8000]


def test_a_request_carries_a_chain(path: Path, chain: membuf.Mdl) -> None:
    chain.buffer[:3] = b"abc"
    with membuf.open_target(f"file:{path}") as target:
        request = membuf.Request(target)
        request.format_write(membuf.MemoryDescriptor.mdl(chain), offset=50)
        request.send(synchronous=True)
        assert (request.information, path.read_bytes()[50:53]) == (8000, b"abc")
        request.delete()


def test_a_single_mdl_is_a_buffer_with_parts(path: Path) -> None:
    with membuf.Mdl(bytearray(100)) as mdl, membuf.open_target(f"file:{path}") as target:
        mdl.lock()
        assert target.read(mdl, offset=1) == 100
        assert target.read_many([(mdl, 2)]) == [100]
        assert bytes(mdl) == DATA[2:102]


def test_a_descriptor_counts_the_whole_chain(chain: membuf.Mdl) -> None:
    assert membuf.MemoryDescriptor.mdl(chain).length == 8000


def test_a_chain_is_no_single_buffer(path: Path, chain: membuf.Mdl) -> None:
    with membuf.open_target(f"file:{path}") as target, pytest.raises(TypeError, match="chain"):
        target.read_many([(chain, 0)])


def test_what_is_locked_for_reading_is_not_read_into(path: Path) -> None:
    with membuf.Mdl(bytearray(100)) as mdl, membuf.open_target(f"file:{path}") as target:
        mdl.lock("read")
        with pytest.raises(membuf.AccessViolationError):
            target.read(mdl)
        assert target.write(mdl) == 100
