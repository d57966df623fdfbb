"""The deduplicating and compressing disk of the gallery."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import membuf
from tests.unit.test_examples_gallery import EXAMPLES, Model, load

example = load("compressed_disk")


@contextmanager
def served(path: Path, **settings: str) -> Iterator[Any]:
    disk = example.open(str(path), **settings)
    with membuf.open_target("device:small") as target:
        yield target
    disk.delete()


def savings(target: Any) -> Any:
    answer = bytearray(example.NUMBERS.size)
    assert target.ioctl(example.SAVINGS, None, answer) == len(answer)
    return example.Savings(*example.NUMBERS.unpack(answer))


@pytest.mark.parametrize(
    ("size", "block"), [("1MiB", "4KiB"), ("1000001", "16KiB"), ("5000", "64KiB"), ("2MiB", "")]
)
def test_it_keeps_what_is_written(tmp_path: Path, size: str, block: str) -> None:
    with served(tmp_path / "store.db", size=size, block=block) as target:
        model = Model(target, seed=len(size + block))
        model.run(100)
    with served(tmp_path / "store.db") as target:
        model.target = target
        model.whole()
        model.run(50)
        target.zero(0, target.size)
        assert savings(target).stored == savings(target).distinct == 0


def test_equal_blocks_are_kept_once_and_zeros_not_at_all(tmp_path: Path) -> None:
    with served(tmp_path / "store.db", size="1MiB", block="4KiB") as target:
        noise = os.urandom(4096)
        for number in range(10):
            target.write(noise, number * 4096)
        target.write(b"text" * 1024, 40 * 4096)
        target.write(bytes(4096), 50 * 4096)
        figures = savings(target)
        assert figures.used == 11 * 4096
        assert figures.distinct == 2 * 4096
        assert 4096 < figures.stored < 4096 + 200
        assert sum(extent.length for extent in target.extents() if extent.data) == 11 * 4096
        target.write(noise, 0)  # the same once more
        assert savings(target) == figures
        target.write(b"more" * 1024, 0)
        target.trim(4096, 9 * 4096)
        assert savings(target).used == savings(target).distinct == 2 * 4096


def test_a_block_of_which_a_byte_changes_is_another_one(tmp_path: Path) -> None:
    with served(tmp_path / "store.db", size="1MiB", block="4KiB") as target:
        target.write(b"a" * 8192, 0)
        target.write(b"b", 4095)
        data = bytearray(8192)
        target.read(data, 0)
        assert data == b"a" * 4095 + b"b" + b"a" * 4096
        assert savings(target).distinct == 8192


WRITER = """
import importlib.util, os, sys, membuf
spec = importlib.util.spec_from_file_location("example", sys.argv[1])
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)
disk = example.open(sys.argv[2], size="4MiB", block="4KiB")
target = membuf.open_target("device:small")
target.write(b"kept" * 100_000, 12345)
target.trim(65536, 65536)
target.flush()
target.write(b"lost" * 100_000, 0)
print("written", flush=True)
sys.stdin.read()
"""


def test_what_was_flushed_survives_a_kill(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    command = [sys.executable, "-c", WRITER, str(EXAMPLES / "compressed_disk.py"), str(store)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        with pytest.raises(ValueError, match="locked"):
            example.open(str(store))  # one at a time
        writer.kill()
    expected = bytearray(4 << 20)
    expected[12345 : 12345 + 400_000] = b"kept" * 100_000
    expected[65536:131072] = bytes(65536)
    with served(store) as target:
        data = bytearray(4 << 20)
        target.read(data, 0)
        assert data == expected


def test_a_store_that_is_full_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    with served(tmp_path / "store.db", size="1MiB", block="4KiB", limit="40KiB") as target:
        noise = random.Random(1).randbytes(40960)
        assert target.write(noise, 0) == 40960
        with pytest.raises(membuf.MembufError, match="DISK_FULL"):
            target.write(os.urandom(4096), 65536)
        data = bytearray(40960)
        target.read(data, 0)
        assert data == noise
        target.trim(0, 4096)
        assert target.write(os.urandom(4096), 65536) == 4096


def test_after_an_error_of_the_database_nothing_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    disk = example.open(str(path), size="1MiB")
    with membuf.open_target("device:small") as target:
        target.write(b"lost", 0)
        store = disk._on_trim.__closure__  # the store, to break it
        (kept,) = [cell.cell_contents for cell in store if hasattr(cell.cell_contents, "database")]
        kept.database.execute("DROP TABLE place")
        with pytest.raises(membuf.MembufError, match="IO_DEVICE_ERROR"):
            target.read(bytearray(4), 0)
        for attempt in (target.flush, lambda: target.write(b"x", 0), lambda: target.zero(0, 1)):
            with pytest.raises(membuf.MembufError, match="IO_DEVICE_ERROR"):
                attempt()
    disk.delete()
    with served(path) as target:  # what was not flushed is gone, the table is not
        assert target.read(bytearray(4), 0) == 4
        assert list(target.extents()) == [membuf.Extent(0, 1 << 20, data=False)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "needs a size"),
        ({"size": "0"}, "above 0"),
        ({"size": "big"}, "size, block and limit"),
        ({"size": "1MiB", "block": "5000"}, "block is 4KiB"),
        ({"size": "1MiB", "limit": "much"}, "size, block and limit"),
    ],
)
def test_bad_settings_are_refused(tmp_path: Path, settings: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        example.open(str(tmp_path / "store.db"), **settings)


def test_what_a_store_is_cannot_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with served(path, size="1MiB", block="8KiB") as target:
        assert target.size == 1 << 20
    with pytest.raises(ValueError, match="size=1048576 and block=8192"):
        example.open(str(path), size="2MiB")
    with served(path, size="1MiB", block="8KiB") as target:
        assert target.size == 1 << 20
    (tmp_path / "other").write_bytes(b"no database at all" * 1000)
    with pytest.raises(ValueError, match="not a database"):
        example.open(str(tmp_path / "other"), size="1MiB")


def test_other_control_codes_are_refused(tmp_path: Path) -> None:
    with served(tmp_path / "store.db", size="1MiB") as target:
        for code, room in ((example.SAVINGS, 8), (example.SAVINGS + 4, 24)):
            with pytest.raises(membuf.MembufError, match="INVALID_DEVICE_REQUEST"):
                target.ioctl(code, None, bytearray(room))


def test_it_says_what_a_store_saves(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with served(path, size="1MiB", block="4KiB") as target:
        target.write(b"text" * 10240, 0)
    command = [sys.executable, "-W", "error", str(EXAMPLES / "compressed_disk.py"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("40960 bytes used, 4096 after deduplication, ")
    refused = subprocess.run(command[:-1], capture_output=True, text=True)
    assert "usage" in refused.stderr
