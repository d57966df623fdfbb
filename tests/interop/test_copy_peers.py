"""`membuf copy` beside dd, cp and qemu-img, on the same images: the same bytes, holes no fewer."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import COMMAND, MIB, copied, extents, make_data, make_sparse, membuf

PROGRAMS = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def run(*command: object) -> str:
    """Run another program; it must succeed."""
    done = subprocess.run(
        [str(part) for part in command],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": PROGRAMS},
    )
    return done.stdout


def file_system(path: Path) -> None:
    """An ext4 file system with files in it; most of it is holes."""
    content = path.with_suffix(".d")
    content.mkdir()
    for number in range(40):
        make_data(content / f"file {number}", number * 7000, seed=number)
    run("mke2fs", "-q", "-t", "ext4", "-d", content, path, "48m")


def dense(path: Path) -> None:
    """Random bytes, and not a whole number of sectors."""
    make_data(path, 9 * MIB + 333)


def islands(path: Path) -> None:
    """Data of many lengths between zeros of many lengths, all of it written."""
    dice = random.Random(5)
    parts = [
        dice.randbytes(dice.randrange(1, 90_000)) + bytes(dice.randrange(300_000))
        for _ in range(60)
    ]
    path.write_bytes(b"".join(parts))


def holes(path: Path) -> None:
    """The same between holes."""
    dice = random.Random(6)
    parts = {
        dice.randrange(64 * MIB): dice.randbytes(dice.randrange(1, 200_000)) for _ in range(50)
    }
    make_sparse(path, 64 * MIB + 4097, parts)


def qcow2(path: Path) -> None:
    """An image in qemu's own format."""
    raw = path.with_suffix(".raw")
    holes(raw)
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-S", "4k", raw, path)


IMAGES = [file_system, dense, islands, holes, qcow2]
Image = Callable[[Path], None]


@pytest.fixture(params=IMAGES, ids=lambda make: make.__name__)
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An image of each kind."""
    path = tmp_path / "image"
    request.param(path)
    return path


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def data_bytes(path: Path) -> int:
    """How many bytes of a file are not in holes."""
    return sum(end - first for first, end in extents(path))


def test_the_same_bytes_as_dd_and_cp(image: Path, tmp_path: Path) -> None:
    copied(image, tmp_path / "ours")
    run("dd", f"if={image}", f"of={tmp_path / 'dd'}", "bs=1M", "status=none")
    run("cp", image, tmp_path / "cp")
    assert len({digest(tmp_path / name) for name in ("ours", "dd", "cp", "image")}) == 1
    run("cmp", image, tmp_path / "ours")


def test_the_same_bytes_and_as_many_holes_as_cp_makes(image: Path, tmp_path: Path) -> None:
    copied(image, tmp_path / "ours", "--sparse", "--verify")
    run("cp", "--sparse=always", image, tmp_path / "cp")
    assert digest(tmp_path / "ours") == digest(tmp_path / "cp")
    assert data_bytes(tmp_path / "ours") <= data_bytes(tmp_path / "cp")


def test_the_holes_that_cp_keeps(image: Path, tmp_path: Path) -> None:
    copied(image, tmp_path / "ours")
    assert extents(tmp_path / "ours") == extents(image)


def test_qemu_img_sees_no_difference(image: Path, tmp_path: Path) -> None:
    copied(image, tmp_path / "ours", "--direct")
    run("qemu-img", "convert", "-f", "raw", "-O", "raw", image, tmp_path / "converted")
    for rival in (image, tmp_path / "converted"):
        said = run("qemu-img", "compare", "-f", "raw", "-F", "raw", tmp_path / "ours", rival)
        assert "Images are identical" in said


def test_a_copied_qcow2_image_is_sound(tmp_path: Path) -> None:
    qcow2(tmp_path / "image")
    copied(tmp_path / "image", tmp_path / "ours", "--sparse")
    assert "No errors were found" in run("qemu-img", "check", "-f", "qcow2", tmp_path / "ours")
    said = run(
        "qemu-img", "compare", "-f", "qcow2", "-F", "raw", tmp_path / "ours", tmp_path / "image.raw"
    )
    assert "Images are identical" in said


def test_a_copied_file_system_is_sound(tmp_path: Path) -> None:
    file_system(tmp_path / "image")
    copied(tmp_path / "image", tmp_path / "ours", "--sparse", "-b", "64KiB")
    run("e2fsck", "-f", "-n", tmp_path / "ours")
    run("debugfs", "-R", f'dump "/file 39" {tmp_path / "out"}', tmp_path / "ours")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "image.d" / "file 39").read_bytes()


@pytest.mark.parametrize("sizes", [("1M", "1M"), ("4096", "1000"), ("333", "7k")])
def test_between_two_dds(image: Path, tmp_path: Path, sizes: tuple[str, str]) -> None:
    ours = f"{' '.join(COMMAND)} copy --quiet -b 64KiB - -"
    script = f"dd if={image} bs={sizes[0]} | {ours} | dd of={tmp_path / 'out'} bs={sizes[1]}"
    run("bash", "-c", f"set -o pipefail; {script}")
    assert digest(tmp_path / "out") == digest(image)


def test_what_dd_wrote_is_what_we_read(image: Path) -> None:
    with subprocess.Popen(["dd", f"if={image}", "status=none"], stdout=subprocess.PIPE) as dd:
        done = membuf("copy", "-", "-", "--quiet", stdin=dd.stdout, text=False)
    assert hashlib.sha256(done.stdout).hexdigest() == digest(image)
