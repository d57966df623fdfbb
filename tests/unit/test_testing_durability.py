"""The ledger finds every defect that it is for, and no other; the disk that loses power does."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable

import pytest

import membuf
from membuf.testing.durability import Ledger, LossyDisk, LostWriteError, check_power_cuts

SECTORS = 8


class Store:
    """A disk of a few sectors and its ledger."""

    def __init__(self) -> None:
        self.data = bytearray(SECTORS * 512)
        self.ledger = Ledger(len(self.data))

    def put(self, write: membuf.testing.durability.Write, sectors: int | None = None) -> None:
        """Have the disk hold a write, or its first sectors."""
        length = write.length if sectors is None else sectors * 512
        self.data[write.offset : write.offset + length] = write.data[:length]

    def written(self, first: int, count: int, *, durable: bool, zero: bool = False) -> None:
        """Have it written."""
        write = self.ledger.write(first * 512, count * 512, zero=zero)
        self.put(write)
        self.ledger.acknowledged(write, durable=durable)

    def check(self, *, crashed: bool = True) -> None:
        """Check it."""
        self.ledger.check(
            lambda offset, length: self.data[offset : offset + length], crashed=crashed
        )


@pytest.fixture
def store() -> Store:
    """A disk of zeros."""
    return Store()


def flush(store: Store) -> None:
    """Flush it."""
    store.ledger.flushed(store.ledger.flush())


def test_what_was_durable_must_be_there(store: Store) -> None:
    store.written(1, 3, durable=True)
    store.check()
    store.data[2 * 512] ^= 1
    with pytest.raises(LostWriteError, match=r"sector 2 \(at 1024\) holds") as caught:
        store.check()
    assert len(caught.value.defects) == 1


def test_what_was_flushed_must_be_there(store: Store) -> None:
    store.written(0, 1, durable=False)
    before = bytes(store.data)
    flush(store)
    store.check()
    store.data[:] = bytes(len(before))
    with pytest.raises(LostWriteError, match="holds zeros; it must hold write 1"):
        store.check()


def test_what_was_acknowledged_after_the_flush_began_may_be_lost(store: Store) -> None:
    begun = store.ledger.flush()
    store.written(0, 1, durable=False)
    store.ledger.flushed(begun)
    store.data[:] = bytes(SECTORS * 512)
    store.check()
    assert [write.sequence for write in store.ledger] == [1]


def test_what_was_acknowledged_is_there_while_nothing_has_crashed(store: Store) -> None:
    store.written(0, 1, durable=False)
    store.check(crashed=False)
    store.data[:512] = bytes(512)
    with pytest.raises(LostWriteError, match="it must hold write 1"):
        store.check(crashed=False)


def test_a_write_on_its_way_may_be_there_in_part(store: Store) -> None:
    store.written(0, 4, durable=True)
    store.put(store.ledger.write(0, 2048), sectors=2)
    store.check()
    store.check(crashed=False)
    assert len(list(store.ledger)) == 0


def test_half_a_sector_is_found(store: Store) -> None:
    store.written(0, 1, durable=True)
    store.data[:100] = store.ledger.write(0, 512).data[:100]
    with pytest.raises(LostWriteError, match="the beginning of write 2 and something else"):
        store.check()


def test_bytes_of_another_place_are_found(store: Store) -> None:
    store.written(0, 1, durable=True)
    store.data[512:1024] = store.data[:512]
    with pytest.raises(LostWriteError, match=r"sector 1 .* holds write 1 of sector 0; .* zeros"):
        store.check()


def test_bytes_of_nobody_are_found(store: Store) -> None:
    store.data[512:1024] = b"x" * 512
    with pytest.raises(LostWriteError, match="bytes that nobody wrote"):
        store.check()


def test_an_older_write_than_the_durable_one_is_found(store: Store) -> None:
    store.written(0, 1, durable=True)
    old = bytes(store.data[:512])
    store.written(0, 1, durable=True)
    store.data[:512] = old
    with pytest.raises(LostWriteError, match="holds write 1; it must hold write 2"):
        store.check()


def test_what_was_lost_does_not_come_back(store: Store) -> None:
    """What a crash left is what there is, also of writes whose flush comes after it."""
    store.written(0, 1, durable=False)
    lost = bytes(store.data[:512])
    store.data[:512] = bytes(512)
    store.ledger.crashed()
    store.check()
    flush(store)
    store.check()
    store.data[:512] = lost
    with pytest.raises(LostWriteError, match="holds write 1; it must hold zeros"):
        store.check()


def test_a_failed_write_may_be_there(store: Store) -> None:
    write = store.ledger.write(0, 512)
    store.ledger.failed(write)
    store.check(crashed=False)
    store.put(write)
    store.check(crashed=False)
    store.written(0, 1, durable=False, zero=True)
    store.check(crashed=False)
    store.put(write)
    with pytest.raises(LostWriteError, match="holds write 1; it must hold zeros 2"):
        store.check(crashed=False)


@pytest.mark.parametrize(
    "place", [(0, 0), (1, 512), (0, 100), (SECTORS * 512, 512), (3584, 1024), (512, 512)]
)
def test_what_nobody_could_check_is_refused(store: Store, place: tuple[int, int]) -> None:
    store.ledger.write(512, 512)
    with pytest.raises(membuf.InvalidParameterError):
        store.ledger.write(*place)
    assert "1 writes" in repr(store.ledger) or "2 writes" in repr(store.ledger)


@pytest.mark.parametrize(("size", "sector"), [(4096, 8), (100, 512)])
def test_a_ledger_is_of_sectors(size: int, sector: int) -> None:
    with pytest.raises(membuf.InvalidParameterError):
        Ledger(size, sector=sector)


def test_places_are_free(store: Store) -> None:
    dice = random.Random(1)
    store.ledger.write(0, 2048)
    places = [store.ledger.place(dice, 2) for _ in range(200)]
    assert None in places
    assert all(place[0] >= 2048 for place in places if place is not None)


def test_many_defects_are_shown_in_part() -> None:
    error = LostWriteError([f"sector {number}" for number in range(20)])
    assert str(error).startswith("20 sectors are not what they must be:\n  sector 0\n")
    assert str(error).endswith("sector 7\n  ...")


# ---- the disk that loses its power ---------------------------------------------------------------


def cut(act: Callable[[membuf.Target], object], seed: int = 1) -> bytes:
    """What the first 1536 bytes of a lossy disk are after some acts, and a power cut."""
    disk = LossyDisk("lossy", size=4096)
    with membuf.open_target("device:lossy") as target:
        act(target)
        disk.cut(random.Random(seed))
        with pytest.raises(membuf.MembufError):
            target.read(bytearray(1))
        with pytest.raises(membuf.MembufError):
            target.write(b"x")
        with pytest.raises(membuf.MembufError):
            target.flush()
        with pytest.raises(membuf.MembufError):
            target.zero(0, 512)
        disk.restore()
        target.read(data := bytearray(1536))
    disk.delete()
    return bytes(data)


def test_what_is_flushed_survives() -> None:
    def act(target: membuf.Target) -> None:
        target.write(b"a" * 1536)
        target.flush()

    assert {cut(act, seed) for seed in range(10)} == {b"a" * 1536}


def test_what_is_not_flushed_survives_by_sectors() -> None:
    def act(target: membuf.Target) -> None:
        target.write(b"a" * 1024)
        target.write(b"b" * 700, 100)

    left = {cut(act, seed) for seed in range(100)}
    sectors = [b"a" * 512, b"a" * 100 + b"b" * 412, bytes(512)]
    others = [b"a" * 512, b"b" * 288 + b"a" * 224, bytes(512)]
    assert {one[:512] for one in left} == set(sectors)
    assert {one[512:1024] for one in left} == set(others)
    assert len(left) == 9


def test_zeros_are_as_volatile_as_writes() -> None:
    def act(target: membuf.Target) -> None:
        target.write(b"a" * 1536)
        target.flush()
        target.zero(0, 512)

    assert {cut(act, seed)[:512] for seed in range(20)} == {bytes(512), b"a" * 512}


def test_a_lossy_disk_is_of_sectors() -> None:
    with pytest.raises(membuf.InvalidParameterError, match="no multiple"):
        LossyDisk(size=1000)


def test_a_check_that_found_something_says_its_seed() -> None:
    disk = LossyDisk(size=65536, defect="flush")
    with pytest.raises(LostWriteError) as caught:
        check_power_cuts(None, disk=disk, cuts=20, seed=99)
    disk.delete()
    assert caught.value.__notes__ == ["with seed=99"]


def test_a_disk_with_something_on_it_is_not_overwritten() -> None:
    disk = LossyDisk("used", size=65536)
    with membuf.open_target("device:used") as target:
        target.write(b"precious")
    with pytest.raises(membuf.InvalidParameterError, match="begin with a disk of zeros"):
        check_power_cuts(None, disk=disk)
    disk.delete()


@pytest.mark.parametrize("cuts", [0, -1])
def test_there_is_at_least_one_cut(cuts: int) -> None:
    with pytest.raises(membuf.InvalidParameterError, match="cuts must be above 0"):
        check_power_cuts(None, cuts=cuts)


# ---- the command ---------------------------------------------------------------------------------


def durability(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [sys.executable, "-m", "membuf.testing.durability", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


SERVER = """
import signal, sys, membuf
from membuf.bus.nbd import Server
from membuf.testing.durability import LossyDisk
what = sys.argv[2]
disk = LossyDisk(size=65536) if what == "lossy" else membuf.open_target(what)
Server(disk, sys.argv[1]).start()
signal.pause()
"""


@pytest.mark.parametrize("what", ["file", "lossy"])
def test_the_command_says_whether_something_was_lost(
    what: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp(what)
    (folder / "disk.img").write_bytes(bytes(65536))
    target = what if what == "lossy" else f"file:{folder}/disk.img"
    uri = f"nbd+unix:///?socket={folder}/s"
    done = durability("--kills=2", "--seconds=1", uri, sys.executable, "-c", SERVER, uri, target)
    if what == "file":
        assert done.returncode == 0
        assert done.stdout.startswith("nothing was lost: 2 kills, ")
        assert done.stderr.count("killed after") == 2
    else:
        assert done.returncode == 1
        assert "it must hold" in done.stderr
        assert "with seed=" in done.stderr


def test_the_command_says_what_is_missing() -> None:
    assert durability("nbd://localhost").returncode == 2
    assert "all zeros" in " ".join(durability("--help").stdout.split())
