"""Files, devices and pipes as targets: opening, sizes, holes, limits, and what errors say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import membuf
from membuf.bus import Extent, open_target


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(bytes(range(256)) * 64)
    return path


def test_a_file_is_read_and_written_at_offsets(image: Path) -> None:
    with open_target(f"file:{image}") as target:
        memory = membuf.Memory(256)
        assert target.read(memory, 512) == 256
        assert bytes(memory) == bytes(range(256))
        assert target.write(memory, 100) == 256
        assert target.size == 16384
    assert image.read_bytes()[100:356] == bytes(range(256))


def test_a_read_at_the_end_is_short_and_beyond_it_empty(image: Path) -> None:
    with open_target(f"file:{image}") as target:
        memory = membuf.Memory(1000)
        assert target.read(memory, 16384 - 10) == 10
        assert target.read(memory, 16384) == 0
        assert target.read(memory, 2**40) == 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, FileNotFoundError),
        ({"create": True, "access": "read"}, None),
        ({"create": True}, None),
        ({"exclusive": True}, None),
        ({"access": "append"}, membuf.InvalidParameterError),
        ({"engine": "turbo"}, membuf.InvalidParameterError),
    ],
)
def test_a_missing_file_is_made_only_on_request(
    tmp_path: Path, options: dict[str, object], error: type[Exception] | None
) -> None:
    path = tmp_path / "new"
    if error is None:
        open_target(f"file:{path}", **options).delete()
        assert path.exists()
        return
    with pytest.raises(error):
        open_target(f"file:{path}", **options)
    assert not path.exists()


def test_exclusive_refuses_a_file_that_is_there(image: Path) -> None:
    with pytest.raises(FileExistsError) as caught:
        open_target(f"file:{image}", exclusive=True)
    assert caught.value.filename == str(image)
    assert isinstance(caught.value, membuf.MembufError)


def test_truncate_drops_the_content(image: Path) -> None:
    with open_target(f"file:{image}", truncate=True) as target:
        assert target.size == 0
        target.truncate(1000)
        assert target.size == 1000


def test_a_directory_is_no_target(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        open_target(f"file:{tmp_path}", access="read")


@pytest.mark.parametrize("uri", ["disk.img", "floppy:a", ":x", ""])
def test_an_unknown_scheme_is_refused_and_the_known_are_named(uri: str) -> None:
    with pytest.raises(membuf.InvalidParameterError, match="fd:, file:"):
        open_target(uri)


def test_a_pipe_is_a_stream_without_offsets_or_size() -> None:
    reading, writing = os.pipe()
    try:
        with open_target(f"fd:{reading}") as source, open_target(f"fd:{writing}") as sink:
            memory = membuf.Memory(100)
            assert sink.write(b"hello") == 5
            assert source.read(memory) == 5
            assert bytes(memory)[:5] == b"hello"
            with pytest.raises(membuf.InvalidParameterError, match="stream"):
                source.read(memory, 5)
            with pytest.raises(membuf.MembufError, match="no size"):
                source.size  # noqa: B018
        os.fstat(reading)
    finally:
        os.close(reading)
        os.close(writing)


def test_holes_are_found_and_made(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    block = 1 << 16
    with open_target(f"file:{path}", create=True) as target:
        target.truncate(4 * block)
        target.write(b"\1" * block, block)
        target.write(b"\2" * block, 2 * block)
        assert list(target.extents()) == [
            Extent(0, block, data=False),
            Extent(block, 2 * block, data=True),
            Extent(3 * block, block, data=False),
        ]
        target.punch(block, block)
        assert list(target.extents(block)) == [
            Extent(block, block, data=False),
            Extent(2 * block, block, data=True),
            Extent(3 * block, block, data=False),
        ]
        assert target.size == 4 * block


def test_direct_io_says_what_it_needs_and_what_came(image: Path) -> None:
    with open_target(f"file:{image}", direct=True) as target:
        unit = target.limits.offset
        memory = membuf.Memory(4096, alignment=4096)
        assert target.read(memory, 4096) == 4096
        with pytest.raises(membuf.InvalidParameterError) as caught:
            target.read(memory, 3)
        assert f"multiples of {unit}" in str(caught.value)
        assert caught.value.offset == 3
        assert caught.value.length == 4096
        assert caught.value.address == memory.address
        with pytest.raises(membuf.InvalidParameterError, match="length 7"):
            target.read(memory, 0, memory_length=7)
        with pytest.raises(membuf.InvalidParameterError):
            target.read(memory, 0, memory_offset=1, memory_length=unit)


def test_the_way_to_the_device_can_be_asked_for_early(image: Path) -> None:
    with open_target(f"file:{image}") as target:
        target.write(b"new", 100)
        target.start_writeback(0, target.size)
        target.start_writeback(2**40, 1)
        with pytest.raises(TypeError, match="offset must be an integer"):
            target.start_writeback(1.5, 1)
        target.flush()
    assert image.read_bytes()[100:103] == b"new"
    with pytest.raises(membuf.ObjectDeletedError):
        target.start_writeback(0, 1)
    reading, writing = os.pipe()
    with open_target(f"fd:{writing}") as pipe:
        pipe.start_writeback(0, 1)
    os.close(reading)
    os.close(writing)
