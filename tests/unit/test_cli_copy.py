"""`membuf copy` on every kind of source and destination."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from membuf.cli.copying import Job, Silent, copy
from membuf.cli.signals import Signals
from tests.cli import MIB, copied, make_data, membuf, start

SIZES = [0, 1, 511, 512, 4096, 4097, MIB - 1, MIB, MIB + 1, 3 * MIB + 12345]
WAYS: list[dict[str, Any]] = [
    {},
    {"direct": True},
    {"block_size": 4096, "direct": True},
    {"sparse": False},
    {"sparse": True, "verify": True},
    {"block_size": 512, "queue_depth": 1},
    {"block_size": 1000, "queue_depth": 7},
    {"block_size": 8 * MIB, "engine": "threads"},
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_files_of_any_size_in_any_way(tmp_path: Path, size: int, way: dict[str, Any]) -> None:
    data = make_data(tmp_path / "src", size)
    job = Job(source=str(tmp_path / "src"), destination=str(tmp_path / "dst"), **way)
    with Signals() as signals:
        result = copy(job, Silent(), signals)
    assert (tmp_path / "dst").read_bytes() == data
    assert (result.bytes, result.bytes_written, result.durable) == (size, size, True)
    assert result.statistics.outstanding == 0
    most = job.queue_depth * max(job.block_size, 256 * 1024)
    assert all(tag.peak_bytes <= most for tag in result.statistics.tags)


def test_each_block_is_read_into_and_written_from_one_memory_object(tmp_path: Path) -> None:
    make_data(tmp_path / "src", 16 * MIB)
    result = copied(tmp_path / "src", tmp_path / "dst", "-q", 3)
    (tag,) = result["pool"]["tags"]
    assert (tag["tag"], tag["allocations"], tag["outstanding"]) == ("Copy", 16, 0)
    assert tag["hits"] >= 16 - 3
    assert 0 < tag["peak_bytes"] <= 3 * MIB


def test_a_new_file_has_the_permissions_of_the_source(tmp_path: Path) -> None:
    make_data(tmp_path / "src", 100)
    (tmp_path / "src").chmod(0o754)
    copied(tmp_path / "src", tmp_path / "dst", umask=0o027)
    assert stat.S_IMODE((tmp_path / "dst").stat().st_mode) == 0o750


def test_a_file_that_was_there_is_replaced_and_keeps_its_permissions(tmp_path: Path) -> None:
    data = make_data(tmp_path / "src", 100)
    make_data(tmp_path / "dst", 5000, seed=2)
    (tmp_path / "dst").chmod(0o640)
    os.link(tmp_path / "dst", tmp_path / "other name")
    before = (tmp_path / "other name").read_bytes()
    copied(tmp_path / "src", tmp_path / "dst")
    assert (tmp_path / "dst").read_bytes() == data
    assert stat.S_IMODE((tmp_path / "dst").stat().st_mode) == 0o640
    assert (tmp_path / "other name").read_bytes() == before


def test_a_reader_of_the_old_file_keeps_it_whole(tmp_path: Path) -> None:
    make_data(tmp_path / "src", MIB)
    before = make_data(tmp_path / "dst", MIB, seed=2)
    with (tmp_path / "dst").open("rb") as reader:
        copied(tmp_path / "src", tmp_path / "dst")
        assert reader.read() == before


def test_a_symbolic_link_stays_and_what_it_names_is_replaced(tmp_path: Path) -> None:
    data = make_data(tmp_path / "src", 100)
    (tmp_path / "folder").mkdir()
    (tmp_path / "dst").symlink_to("folder/real")
    copied(tmp_path / "src", tmp_path / "dst")
    assert (tmp_path / "dst").is_symlink()
    assert (tmp_path / "folder/real").read_bytes() == data


@pytest.mark.parametrize("name", ["-x", "a b", "ä€", "new\nline", "x" * 255, "100%", "[red]"])
def test_names_of_any_kind(tmp_path: Path, name: str) -> None:
    data = make_data(tmp_path / "src", 100)
    result = copied("--", "src", name, cwd=tmp_path)
    assert (tmp_path / name).read_bytes() == data
    assert result["destination"] == name
    assert membuf("copy", "--", name, "back", cwd=tmp_path).returncode == 0


def test_nothing_else_is_left_in_the_directory(tmp_path: Path) -> None:
    make_data(tmp_path / "src", MIB)
    copied(tmp_path / "src", tmp_path / "dst")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dst", "src"]


# ---- streams ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 65536, 3 * MIB + 1])
@pytest.mark.parametrize("how", [(), ("--direct",), ("-b", "4KiB")])
def test_standard_input_to_a_file(tmp_path: Path, size: int, how: tuple[str, ...]) -> None:
    data = make_data(tmp_path / "src", size)
    with subprocess.Popen(["cat", tmp_path / "src"], stdout=subprocess.PIPE) as cat:
        result = copied("-", tmp_path / "dst", *how, stdin=cat.stdout)
    assert (tmp_path / "dst").read_bytes() == data
    assert result["bytes"] == size


@pytest.mark.parametrize("size", [0, 1, 65536, 5 * MIB + 1])
@pytest.mark.parametrize("how", [(), ("-b", "4KiB"), ("-q", "16", "-b", "64KiB")])
def test_a_file_to_standard_output(tmp_path: Path, size: int, how: tuple[str, ...]) -> None:
    data = make_data(tmp_path / "src", size)
    done = membuf("copy", tmp_path / "src", "-", *how, text=False)
    assert done.returncode == 0
    assert done.stdout == data
    assert b"copied" in done.stderr


def test_pipes_on_both_sides(tmp_path: Path) -> None:
    data = make_data(tmp_path / "src", 4 * MIB + 99)
    with subprocess.Popen(["cat", tmp_path / "src"], stdout=subprocess.PIPE) as cat:
        done = membuf("copy", "-", "-", "--quiet", stdin=cat.stdout, text=False)
    assert done.stdout == data


def test_a_stream_hands_on_what_has_arrived() -> None:
    with start("copy", "-", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as copy:
        assert copy.stdin
        assert copy.stdout
        for word in (b"one", b"two"):
            copy.stdin.write(word)
            copy.stdin.flush()
            assert os.read(copy.stdout.fileno(), 100) == word
        copy.communicate()
    assert copy.returncode == 0


def test_standard_input_that_is_a_file_is_read_from_its_position(tmp_path: Path) -> None:
    data = make_data(tmp_path / "src", 2 * MIB)
    with (tmp_path / "src").open("rb") as file:
        file.seek(1000)
        result = copied("-", tmp_path / "dst", stdin=file)
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 2 * MIB
    assert (tmp_path / "dst").read_bytes() == data[1000:]
    assert result["bytes"] == 2 * MIB - 1000


def test_standard_output_that_is_a_file_is_written_at_its_position(tmp_path: Path) -> None:
    data = make_data(tmp_path / "src", 5000)
    with (tmp_path / "dst").open("wb", buffering=0) as file:
        for word in (b"head", b"tail"):
            file.write(word)
            assert membuf("copy", tmp_path / "src", "-", stdout=file).returncode == 0
    assert (tmp_path / "dst").read_bytes() == b"head" + data + b"tail" + data


def test_standard_output_that_appends(tmp_path: Path) -> None:
    data = make_data(tmp_path / "src", 2 * MIB + 5)
    (tmp_path / "dst").write_bytes(b"before")
    with (tmp_path / "dst").open("ab") as file:
        assert membuf("copy", tmp_path / "src", "-", stdout=file).returncode == 0
    assert (tmp_path / "dst").read_bytes() == b"before" + data


def test_named_pipes(tmp_path: Path) -> None:
    data = make_data(tmp_path / "src", 2 * MIB)
    os.mkfifo(tmp_path / "fifo")
    with start("copy", tmp_path / "src", tmp_path / "fifo") as writer:
        copied(tmp_path / "fifo", tmp_path / "dst")
    assert writer.returncode == 0
    assert (tmp_path / "dst").read_bytes() == data
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)


def test_devices_without_a_size(tmp_path: Path) -> None:
    make_data(tmp_path / "src", MIB)
    assert copied(tmp_path / "src", "/dev/null")["durable"] is False
    assert copied("/dev/null", tmp_path / "dst")["bytes"] == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_files_of_the_kernel_whose_size_says_nothing(tmp_path: Path) -> None:
    assert Path("/proc/version").stat().st_size == 0
    copied("/proc/version", tmp_path / "dst")
    assert (tmp_path / "dst").read_bytes() == Path("/proc/version").read_bytes()
