"""The RAM disk of the gallery."""

from __future__ import annotations

import pytest

import membuf
from tests.unit.test_examples_gallery import Model, load

example = load("ram_disk")


@pytest.mark.parametrize(
    ("size", "seed"), [("1MiB", 1), ("300000", 2), ("65536", 3), ("65537", 4), ("5", 5)]
)
def test_it_keeps_what_is_written(size: str, seed: int) -> None:
    disk = example.open(size)
    with membuf.open_target("device:ram") as target:
        Model(target, seed).run(200)
    disk.delete()


def test_the_last_byte_and_no_byte_behind_it() -> None:
    disk = example.open(size="100001")
    with membuf.open_target("device:ram") as target:
        assert target.size == 100001
        assert target.write(b"x", 100000) == 1
        assert list(target.extents()) == [
            membuf.Extent(0, 65536, data=False),
            membuf.Extent(65536, 34465, data=True),
        ]
        with pytest.raises(membuf.InvalidParameterError):
            target.write(b"xy", 100000)
        with pytest.raises(membuf.InvalidParameterError):
            target.trim(100000, 2)
        with pytest.raises(membuf.InvalidParameterError):
            target.read(bytearray(1), 100001)
    disk.delete()


@pytest.mark.parametrize("how", ["trim", "zero"])
def test_what_is_cleared_is_a_hole_and_the_edges_stay(how: str) -> None:
    disk = example.open("512KiB")
    with membuf.open_target("device:ram") as target:
        target.write(b"\xff" * 524288, 0)
        getattr(target, how)(65535, 131074)
        assert [extent.data for extent in target.extents()] == [True, False, True]
        data = bytearray(524288)
        target.read(data, 0)
        assert data == b"\xff" * 65535 + bytes(131074) + b"\xff" * (524288 - 65535 - 131074)
    disk.delete()


@pytest.mark.parametrize(("size", "words"), [("x", "size"), ("0", "above 0"), ("-1", "size")])
def test_a_size_that_is_none_is_refused(size: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        example.open(size)
