"""The encrypted disk of the gallery."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import membuf
from tests.unit.test_examples_gallery import Model, load

example = load("encrypted_disk")


@contextmanager
def served(below: str, key: Path, **settings: str) -> Iterator[Any]:
    disk = example.open(below, str(key), **settings)
    with membuf.open_target("device:vault") as target:
        yield target
    disk.delete()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "disk.key"
    path.write_bytes(os.urandom(64))
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(1 << 20))
    return path


@pytest.mark.parametrize(("sector", "bits"), [(512, 256), (4096, 256), (4096, 128)])
def test_it_keeps_what_is_written(tmp_path: Path, image: Path, sector: int, bits: int) -> None:
    key = tmp_path / "key"
    key.write_bytes(os.urandom(bits // 4))
    with served(f"file:{image}", key, sector=str(sector)) as target:
        assert target.offset_alignment in (1, sector)
        model = Model(target, seed=sector, block=sector)
        target.write(bytes(target.size), 0)
        model.run(80, clears=False)
        target.flush()
    with served(f"file:{image}", key, sector=str(sector)) as target:
        model.target = target
        model.whole()


def test_the_bytes_below_are_those_of_aes_xts(image: Path, key: Path) -> None:
    with served(f"file:{image}", key, sector="512") as target:
        target.write(b"secret" * 256, 512 * 7)
    raw = image.read_bytes()[512 * 7 : 512 * 10]
    assert b"secret" not in raw
    assert len({raw[:512], raw[512:1024], raw[1024:]}) == 3
    cipher = Cipher(algorithms.AES(key.read_bytes()), modes.XTS((8).to_bytes(16, "little")))
    assert cipher.decryptor().update(raw[512:1024]) == (b"secret" * 256)[512:1024]


def test_another_key_shows_noise(image: Path, key: Path, tmp_path: Path) -> None:
    with served(f"file:{image}", key) as target:
        target.write(b"secret--" * 512, 0)
    other = tmp_path / "other.key"
    other.write_bytes(os.urandom(64))
    with served(f"file:{image}", other) as target:
        data = bytearray(4096)
        target.read(data, 0)
        assert b"secret" not in data


@pytest.mark.parametrize("length", [0, 16, 31, 33, 63, 65])
def test_a_key_of_the_wrong_length_is_refused(image: Path, tmp_path: Path, length: int) -> None:
    key = tmp_path / "key"
    key.write_bytes(os.urandom(length))
    with pytest.raises(ValueError, match=f"32 bytes .* or 64 bytes .* it has {length}"):
        example.open(f"file:{image}", str(key))


def test_a_key_of_two_equal_halves_is_refused(image: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"k" * 64)
    with pytest.raises(ValueError, match="halves"):
        example.open(f"file:{image}", str(key))


def test_other_settings_are_refused(image: Path, key: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="512 or 4096; got '1024'"):
        example.open(f"file:{image}", str(key), sector="1024")
    with pytest.raises(FileNotFoundError, match=r"no\.key"):
        example.open(f"file:{image}", str(tmp_path / "no.key"))
    with pytest.raises(ValueError, match="shorter than a sector"):
        example.open("ram:4095", str(key))
    with pytest.raises(FileNotFoundError):
        example.open(f"file:{tmp_path / 'no.img'}", str(key))


def test_what_fails_below_fails_here(key: Path) -> None:
    with served("error(kind=enospc,on=write|flush,rate=1)+ram:1MiB", key) as target:
        with pytest.raises(membuf.MembufError, match="DISK_FULL"):
            target.write(bytes(4096), 0)
        with pytest.raises(membuf.MembufError, match="DISK_FULL"):
            target.flush()
        assert target.read(bytearray(4096), 0) == 4096


def test_parts_of_sectors_are_refused_and_whole_ones_trimmed(key: Path) -> None:
    with served("ram:1MiB", key) as target:
        for offset, length in ((0, 512), (512, 4096), (1, 4096)):
            with pytest.raises(membuf.InvalidParameterError):
                target.read(bytearray(length), offset)
        target.write(b"\1" * 8192, 0)
        target.trim(0, 4096)
        data = bytearray(8192)
        target.read(data, 0)
        assert data[4096:] == b"\1" * 4096
        assert data[:4096] != b"\1" * 4096
