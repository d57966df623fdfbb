"""`membuf copy` from and to block devices: in place, never longer than they are, never in use.

A block device is lent to root alone. Where the tests may have none, the file that would be behind
it takes its place, and each test checks what is true of a file.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import MIB, copied, loop_device, make_data, make_sparse, refused

UNUSABLE, FULL = 3, 5
SIZE = 8 * MIB


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Path]:
    """An 8 MiB block device, or the file that would be behind one."""
    make_data(tmp_path / "disk", SIZE, seed=9)
    if os.geteuid() == 0 and Path("/dev/loop-control").exists():
        with loop_device(tmp_path / "disk") as found:
            yield found
    else:
        yield tmp_path / "disk"


def is_device(path: Path) -> bool:
    """Whether it is a block device, and not a file in its place."""
    return stat.S_ISBLK(path.stat().st_mode)


@pytest.mark.parametrize("how", [(), ("--direct",), ("--direct", "-b", "4KiB"), ("--sparse",)])
def test_a_device_is_read(device: Path, tmp_path: Path, how: tuple[str, ...]) -> None:
    result = copied(device, tmp_path / "dst", "--verify", *how)
    assert result["bytes"] == SIZE
    assert (tmp_path / "dst").read_bytes() == device.read_bytes()


@pytest.mark.parametrize("how", [(), ("--direct",), ("--direct", "-b", "4KiB"), ("--sparse",)])
@pytest.mark.parametrize("size", [3 * MIB, 3 * MIB + 100, 1])
def test_a_device_is_written_in_place(
    device: Path, tmp_path: Path, how: tuple[str, ...], size: int
) -> None:
    before = device.read_bytes()
    node = device.stat().st_ino
    data = make_data(tmp_path / "src", size)
    result = copied(tmp_path / "src", device, "--verify", *how)
    assert (result["bytes"], result["durable"], result["verified"]) == (size, True, True)
    after = device.read_bytes()
    assert after[:size] == data
    if is_device(device):
        assert after[size:] == before[size:]
        assert device.stat().st_ino == node
    else:
        assert len(after) == size


@pytest.mark.parametrize("how", [(), ("--direct",), ("--sparse",), ("--no-sparse",)])
def test_holes_become_zeros_on_a_device(device: Path, tmp_path: Path, how: tuple[str, ...]) -> None:
    make_sparse(tmp_path / "src", 6 * MIB + 77, {MIB: b"x" * 5000, 4 * MIB: b"y"})
    copied(tmp_path / "src", device, "--verify", *how)
    assert device.read_bytes()[: 6 * MIB + 77] == (tmp_path / "src").read_bytes()


def test_a_device_takes_no_more_than_it_holds(device: Path, tmp_path: Path) -> None:
    data = make_data(tmp_path / "src", SIZE + 1)
    before = device.read_bytes()
    if is_device(device):
        said = refused(FULL, tmp_path / "src", device)
        assert f"{device} holds {SIZE} bytes, and {tmp_path / 'src'} has {SIZE + 1}" in said
        assert device.read_bytes() == before
    else:
        copied(tmp_path / "src", device)
        assert device.read_bytes() == data


def test_a_stream_that_is_longer_than_a_device(device: Path, tmp_path: Path) -> None:
    data = make_data(tmp_path / "src", SIZE + 1)
    with subprocess.Popen(["cat", tmp_path / "src"], stdout=subprocess.PIPE) as cat:
        if is_device(device):
            said = refused(FULL, "-", device, stdin=cat.stdout)
            assert f"cannot write {device} at offset {SIZE}: No space left on device" in said
        else:
            copied("-", device, stdin=cat.stdout)
            assert device.read_bytes() == data


def test_a_device_that_somebody_has_to_himself(device: Path, tmp_path: Path) -> None:
    data = make_data(tmp_path / "src", MIB)
    before = device.read_bytes()
    holder = os.open(device, os.O_RDONLY | os.O_EXCL)
    try:
        if is_device(device):
            said = refused(UNUSABLE, tmp_path / "src", device)
            assert f"cannot open {device}: Device or resource busy" in said
            assert "hint: it is mounted, or a program has it to itself" in said
            assert device.read_bytes() == before
        else:
            copied(tmp_path / "src", device)
            assert device.read_bytes() == data
    finally:
        os.close(holder)


def test_a_device_onto_itself(device: Path) -> None:
    before = device.read_bytes()
    assert "are the same file" in refused(UNUSABLE, device, device)
    assert device.read_bytes() == before


def test_a_device_by_way_of_a_stream(device: Path, tmp_path: Path) -> None:
    with device.open("rb") as file:
        copied("-", tmp_path / "dst", stdin=file)
    assert (tmp_path / "dst").read_bytes() == device.read_bytes()
