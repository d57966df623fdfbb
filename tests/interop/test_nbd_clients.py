"""The server under the programs of libnbd and nbdkit: what they show, copy, and ask for."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.bus.nbd import Server
from tests.cli import extents, make_data, make_sparse
from tests.nbd_serving import KINDS, LIBNBD_PYTHON, MIB, from_name, libnbd, opened, run, served

SIZE = 8 * MIB


@pytest.fixture(params=list(KINDS))
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A disk of each kind."""
    with opened(request.param, tmp_path, SIZE) as one:
        yield one


@pytest.fixture
def server(disk: Any) -> Iterator[Server]:
    """It, served; no command of a client was answered with an error that was not asked for."""
    with served(disk) as one:
        yield one


@pytest.fixture
def ram() -> Iterator[Server]:
    """A disk in memory, served."""
    with membuf.open_target(f"ram:{SIZE}") as target, served(target) as server:
        yield server


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def islands(path: Path) -> None:
    """A file of holes with some data."""
    dice = random.Random(6)
    parts = {dice.randrange(SIZE - 99_999): dice.randbytes(dice.randrange(99_999)) for _ in "x" * 9}
    make_sparse(path, SIZE, parts)


# ---- nbdinfo -------------------------------------------------------------------------------------

EVERYTHING = {
    "is_rotational": False,
    "is_read_only": False,
    "can_cache": True,
    "can_df": True,
    "can_fast_zero": True,
    "can_flush": True,
    "can_fua": True,
    "can_multi_conn": True,
    "can_trim": True,
    "can_zero": True,
    "block_size_minimum": 1,
    "block_size_preferred": 4096,
    "block_size_maximum": 32 * MIB,
    "export-size": SIZE,
    "contexts": ["base:allocation"],
}


def information(server: Server, *options: str) -> dict[str, Any]:
    """What `nbdinfo --json` says of the one export."""
    said = json.loads(run("nbdinfo", "--json", *options, server.uri))
    assert said["protocol"] == "newstyle-fixed"
    assert said["structured"] is True
    (export,) = said["exports"]
    result: dict[str, Any] = export
    return result


def test_nbdinfo_shows_every_field(server: Server) -> None:
    shown = information(server)
    assert {name: shown[name] for name in EVERYTHING} == EVERYTHING
    assert f"export-size: {SIZE} (8M)" in run("nbdinfo", server.uri)
    assert run("nbdinfo", "--size", server.uri) == f"{SIZE}\n"


@pytest.mark.parametrize("what", ["df", "fua", "zero", "trim", "flush", "cache", "multi-conn"])
def test_nbdinfo_is_told_what_the_export_can(ram: Server, what: str) -> None:
    assert run("nbdinfo", "--can", what, ram.uri) == ""
    assert "unknown" in run("nbdinfo", "--can", "no-such-thing", ram.uri, ok=None)


def test_a_disk_that_is_only_read_says_so() -> None:
    disk = membuf.Disk("read-only", size=65536, block_size=512, readonly=True)
    with served(disk) as server:
        shown = information(server, "--no-content")
    disk.delete()
    assert shown["is_read_only"] is True
    assert not any(shown[f"can_{what}"] for what in ("trim", "zero", "fast_zero"))
    assert (shown["block_size_minimum"], shown["block_size_preferred"]) == (512, 4096)


def test_a_disk_says_what_transfers_suit_it() -> None:
    disk = membuf.Disk("large", size=MIB, block_size=4096, preferred_size=65536)
    with served(disk) as server:
        shown = information(server, "--no-content")
    disk.delete()
    assert (shown["block_size_minimum"], shown["block_size_preferred"]) == (4096, 65536)


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_nbdinfo_lists_every_export(tcp: bool) -> None:
    names = ["", "one", "with space", "größe", "x" * 200]
    disks = {
        name: membuf.Disk(f"listed {number}", size=4096 << number)
        for number, name in enumerate(names)
    }
    with served(disks, tcp=tcp) as server:
        listed = json.loads(run("nbdinfo", "--json", "--list", "--no-content", server.uri))
    for disk in disks.values():
        disk.delete()
    found = {export["export-name"]: export["export-size"] for export in listed["exports"]}
    assert found == {name: 4096 << number for number, name in enumerate(names)}
    assert server.statistics().refused == 0  # though nobody waits for the answer to a goodbye


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_an_export_has_its_name_in_the_uri(tcp: bool) -> None:
    with membuf.open_target(f"ram:{SIZE}") as target, served(target, tcp=tcp, export="a/b c") as s:
        assert information(s)["export-name"] == "a/b c"
        elsewhere = str(s.uri).replace("a/b%20c", "other")
        assert elsewhere != str(s.uri)
        assert "No such file or directory for export: other" in run("nbdinfo", elsewhere, ok=1)


def test_the_map_shows_data_and_holes(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    make_sparse(path, SIZE, {MIB: b"x" * 65536, 3 * MIB: b"y" * 4096})
    with membuf.open_target(f"file:{path}") as target, served(target) as server:
        runs = json.loads(run("nbdinfo", "--map", "--json", server.uri))
        totals = run("nbdinfo", "--map", "--totals", server.uri)
    assert [(r["offset"], r["offset"] + r["length"]) for r in runs if not r["type"]] == extents(
        path
    )
    assert {r["description"] for r in runs} == {"data", "hole,zero"}
    assert sum(r["length"] for r in runs) == SIZE
    assert "69632" in totals


# ---- nbdcopy -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--connections=1", "--requests=1"],
        ["--connections=4", "--requests=32", "--request-size=65536"],
        ["--synchronous"],
        ["--allocated"],
        ["--destination-is-zero"],
        ["--flush", "--sparse=4096"],
        ["--no-extents", "--threads=2"],
    ],
    ids=lambda options: " ".join(options) or "plain",
)
def test_nbdcopy_both_ways(server: Server, tmp_path: Path, options: list[str]) -> None:
    islands(tmp_path / "in")
    run("nbdcopy", *options, tmp_path / "in", server.uri)
    run("nbdcopy", *options, server.uri, tmp_path / "out")
    assert digest(tmp_path / "out") == digest(tmp_path / "in")
    assert server.statistics().errors == 0


def test_nbdcopy_uses_several_connections(ram: Server, tmp_path: Path) -> None:
    make_data(tmp_path / "in", SIZE)
    run("nbdcopy", "--connections=4", "--threads=4", tmp_path / "in", ram.uri)
    assert ram.statistics().connections_total >= 4


def test_holes_stay_holes(tmp_path: Path) -> None:
    islands(tmp_path / "in")
    with opened("file", tmp_path, SIZE) as target, served(target) as server:
        run("nbdcopy", "--destination-is-zero", tmp_path / "in", server.uri)
        run("nbdcopy", server.uri, tmp_path / "out")
    assert extents(tmp_path / "disk.img") == extents(tmp_path / "in")
    assert extents(tmp_path / "out") == extents(tmp_path / "in")


def test_what_was_there_before_is_gone(server: Server, tmp_path: Path) -> None:
    make_data(tmp_path / "old", SIZE)
    islands(tmp_path / "in")
    run("nbdcopy", tmp_path / "old", server.uri)
    run("nbdcopy", tmp_path / "in", server.uri)
    run("nbdcopy", server.uri, tmp_path / "out")
    assert digest(tmp_path / "out") == digest(tmp_path / "in")


def test_from_one_server_to_another(ram: Server, tmp_path: Path) -> None:
    make_data(tmp_path / "in", SIZE)
    run("nbdcopy", tmp_path / "in", ram.uri)
    with from_name("ram:{size}")(tmp_path, SIZE) as target, served(target, tcp=True) as other:
        run("nbdcopy", "--connections=2", ram.uri, other.uri)
        run("nbdcopy", other.uri, tmp_path / "out")
    assert digest(tmp_path / "out") == digest(tmp_path / "in")


# ---- libnbd --------------------------------------------------------------------------------------

CONNECT = """
import errno, sys, nbd
h = nbd.NBD()
h.set_strict_mode(0)
h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
h.set_request_structured_replies(STRUCTURED)
h.connect_uri(sys.argv[1])
def fails(number, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except nbd.Error as error:
        assert error.errnum == number, (error, errno.errorcode[number])
    else:
        raise AssertionError((call, arguments, options))
"""


@pytest.fixture(params=[True, False], ids=["structured", "simple"])
def connect(request: pytest.FixtureRequest) -> str:
    """Python that connects, with structured replies and without."""
    return CONNECT.replace("STRUCTURED", str(request.param))


def test_every_command(server: Server, connect: str) -> None:
    script = """
data = bytes(range(256)) * 256
h.pwrite(data, 4096)
assert h.pread(len(data), 4096) == data
assert h.pread(7, 5000) == data[904:911]
h.pwrite(b"fua", 1, nbd.CMD_FLAG_FUA)
h.flush()
h.zero(4096, 8192)
h.zero(4096, 16384, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FUA)
hole = bytes(4096)
assert h.pread(len(data), 4096) == data[:4096] + hole + data[:4096] + hole + data[16384:]
h.trim(65536, 4096, nbd.CMD_FLAG_FUA)
h.cache(1 << 20, 0)
h.shutdown()
"""
    script += "assert STRUCTURED == h.get_structured_replies_negotiated()"
    structured = str("replies(True)" in connect)
    libnbd(connect + script.replace("STRUCTURED", structured), server.uri)
    asked = server.statistics()
    assert asked.errors == 0
    assert asked.requests == {
        "read": 3, "write": 2, "flush": 1, "trim": 1, "zero": 2, "cache": 1, "status": 0,
    }  # fmt: skip


def test_commands_that_are_none_get_the_right_errors(server: Server, connect: str) -> None:
    script = """
size = h.get_size()
fails(errno.EINVAL, h.pread, 1, size)
fails(errno.EINVAL, h.pread, 4096, size - 1)
fails(errno.EINVAL, h.pread, 0, 0)
fails(errno.EINVAL, h.pread, 1, (1 << 63) - 1)
fails(errno.ENOSPC, h.pwrite, b"x", size)
fails(errno.ENOSPC, h.pwrite, b"xy", size - 1)
fails(errno.EINVAL, h.pwrite, b"", 0)
fails(errno.ENOSPC, h.zero, 2, size - 1)
fails(errno.ENOSPC, h.zero, 4096, 1 << 62)
fails(errno.EINVAL, h.trim, 2, size - 1)
fails(errno.EINVAL, h.trim, 0, 0)
fails(errno.EINVAL, h.cache, 1, size)
assert h.pread(1, 0, nbd.CMD_FLAG_FUA) == bytes(1)  # says nothing there, and is no error
h.flush(nbd.CMD_FLAG_FUA)
fails(errno.EINVAL, h.pread, 1, 0, 0x8000)
fails(errno.EINVAL, h.pwrite, b"x", 0, nbd.CMD_FLAG_DF)
fails(errno.EINVAL, h.flush, nbd.CMD_FLAG_NO_HOLE)
assert h.pread(3, size - 3) == bytes(3)
h.pwrite(b"end", size - 3)
assert h.pread(3, size - 3) == b"end"
"""
    libnbd(connect + script, server.uri)
    assert server.statistics().errors == 15


def test_a_disk_that_is_only_read_refuses_every_change(tmp_path: Path, connect: str) -> None:
    script = """
assert h.is_read_only()
fails(errno.EPERM, h.pwrite, b"x", 0)
fails(errno.EPERM, h.trim, 4096, 0)
fails(errno.EPERM, h.zero, 4096, 0)
h.flush()
assert h.pread(1, 0) == b"\\0"
"""
    with opened("file", tmp_path, SIZE) as target, served(target, readonly=True) as server:
        libnbd(connect + script, server.uri)
        assert server.statistics().errors == 3


def test_blocks_are_asked_for_whole(connect: str) -> None:
    store = bytearray(65536)
    disk = membuf.Disk("blocks", size=65536, block_size=512)

    @disk.on_read
    def read(request: Any) -> None:
        request.output_memory().copy_from(store[request.offset :][: request.length])
        request.complete(information=request.length)

    script = """
assert h.get_block_size(nbd.SIZE_MINIMUM) == 512
fails(errno.EINVAL, h.pread, 511, 0)
fails(errno.EINVAL, h.pread, 512, 1)
fails(errno.EINVAL, h.pwrite, b"x", 512)
fails(errno.EINVAL, h.zero, 513, 512)
assert h.pread(512, 512) == bytes(512)
"""
    with served(disk) as server:
        libnbd(connect + script, server.uri)
        assert server.statistics().errors == 4
    disk.delete()


def test_block_status(server: Server) -> None:
    script = """
h.pwrite(b"x" * 4096, 65536)
def runs(length, offset, flags=0):
    found = []
    def note(context, at, entries, error):
        assert context == nbd.CONTEXT_BASE_ALLOCATION and at == offset
        found.extend(zip(entries[::2], entries[1::2]))
    h.block_status(length, offset, note, flags)
    return found
assert h.can_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
assert runs(h.get_size(), 0)[-3:] == [(65536, 3), (4096, 0), (h.get_size() - 69632, 3)]
assert runs(4096, 65536) == [(4096, 0)]
assert runs(1, 66000) == [(1, 0)]
assert runs(8192, 61440) == [(4096, 3), (4096, 0)]
assert runs(8192, 61440, nbd.CMD_FLAG_REQ_ONE) == [(4096, 3)]
fails(errno.EINVAL, h.block_status, 4096, h.get_size(), lambda *_: 0)
"""
    libnbd(CONNECT.replace("STRUCTURED", "True") + script, server.uri)
    assert server.statistics().requests["status"] == 6


def test_without_structured_replies_there_is_no_status(ram: Server) -> None:
    script = """
assert not h.can_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
assert not h.can_df()
fails(errno.EINVAL, h.block_status, 4096, 0, lambda *_: 0)
"""
    libnbd(CONNECT.replace("STRUCTURED", "False") + script, ram.uri)
    assert ram.statistics().errors == 1


def test_a_read_in_one_chunk(server: Server) -> None:
    script = """
chunks = []
buffer = h.pread_structured(1 << 20, 0, lambda *a: chunks.append((len(a[0]), *a[1:3])),
                            nbd.CMD_FLAG_DF)
assert chunks == [(1 << 20, 0, nbd.READ_DATA)], chunks
"""
    libnbd(CONNECT.replace("STRUCTURED", "True") + script, server.uri)
    assert server.statistics().bytes_read == MIB


def test_many_commands_in_flight(server: Server, connect: str) -> None:
    """Each byte is written once, in no order, and read back by as many commands at once."""
    script = """
import random
dice = random.Random(3)
block, count = 8192, 512
data = [dice.randbytes(block) for _ in range(count)]
order = list(range(count)); dice.shuffle(order)
def all_of(cookies):
    while cookies:
        h.poll(-1)
        done = [cookie for cookie in cookies if h.aio_command_completed(cookie)]
        cookies = [cookie for cookie in cookies if cookie not in done]
all_of([h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(data[i])), i * block) for i in order])
dice.shuffle(order)
buffers = {i: nbd.Buffer(block) for i in order}
all_of([h.aio_pread(buffers[i], i * block) for i in order])
assert all(buffers[i].to_bytearray() == data[i] for i in order)
assert h.stats_chunks_sent() if hasattr(h, "stats_chunks_sent") else True
h.shutdown()
"""
    libnbd(connect + script, server.uri)
    asked = server.statistics()
    assert (asked.requests["read"], asked.requests["write"], asked.errors) == (512, 512, 0)
    assert asked.peak_in_flight > 8


def test_the_largest_transfer_and_one_beyond(ram: Server, tmp_path: Path, connect: str) -> None:
    script = """
data = bytearray(range(256)) * (131072)
h.pwrite(data, 0)
assert h.pread(len(data), 0) == data
fails(errno.EINVAL, h.pread, len(data) + 4096, 0)
fails(errno.EINVAL, h.pwrite, data + b"x", 0)
assert h.pread(1, 255) == b"\\xff"
"""
    with membuf.open_target("ram:64MiB") as target, served(target) as server:
        libnbd(connect + script, server.uri)
        assert server.statistics().errors == 2


def test_nbdsh_says_what_it_is_told(ram: Server) -> None:
    said = run(
        LIBNBD_PYTHON, "-m", "nbd", "-u", ram.uri,
        "-c", "h.pwrite(b'hello, world', 0)",
        "-c", "h.flush(); print(h.pread(5, 7))",
        "-c", "print(h.get_protocol(), h.get_tls_negotiated(), h.can_multi_conn())",
    )  # fmt: skip
    assert said == "bytearray(b'world')\nnewstyle-fixed False True\n"


# ---- nbdkit --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "filters",
    [
        [],
        ["blocksize", "minblock=4096", "maxdata=65536"],
        ["cow", "cow-on-read=true"],
        ["cache", "cache=writethrough"],
        ["fua", "fuamode=emulate"],
        ["noextents"],
        ["multi-conn", "multi-conn-mode=emulate"],
        ["readahead"],
    ],
    ids=lambda filters: filters[0] if filters else "nbd",
)
def test_behind_a_proxy_of_nbdkit(ram: Server, tmp_path: Path, filters: list[str]) -> None:
    """nbdkit speaks to us as a client, with what its filters make of the commands."""
    islands(tmp_path / "in")
    wrapped = [f"--filter={filters[0]}"] if filters else []
    copies = f"nbdcopy {tmp_path}/in $uri && nbdcopy --flush $uri {tmp_path}/out"
    run("nbdkit", "-U", "-", *wrapped, "nbd", f"uri={ram.uri}", *filters[1:], "--run", copies)
    assert digest(tmp_path / "out") == digest(tmp_path / "in")
    assert ram.statistics().errors == 0


@pytest.mark.parametrize("kind", ["ram", "coroutines"])
def test_what_nbdkit_sees_is_consistent(kind: str, tmp_path: Path) -> None:
    """Its filter `checkwrite` compares every write with what is there, and `stats` counts."""
    make_data(tmp_path / "in", SIZE)
    with opened(kind, tmp_path, SIZE) as target, served(target) as server:
        run("nbdcopy", tmp_path / "in", server.uri)
        again = f"nbdcopy {tmp_path}/in $uri"
        nbdkit = ["nbdkit", "-U", "-", "--filter=checkwrite", "nbd", f"uri={server.uri}", "--run"]
        run(*nbdkit, again)
        other = f"{LIBNBD_PYTHON} -m nbd -u $uri -c 'h.pwrite(bytes(512), 4096)'"
        assert "Input/output error" in run(*nbdkit, other, ok=1)
        run("nbdcopy", server.uri, tmp_path / "out")
    assert digest(tmp_path / "out") == digest(tmp_path / "in")


def test_through_four_connections_of_nbdkit(ram: Server, tmp_path: Path) -> None:
    make_data(tmp_path / "in", SIZE)
    shared = ["nbd", f"uri={ram.uri}", "shared=true"]
    run("nbdkit", "-U", "-", *shared, "--run", f"nbdcopy --connections=4 {tmp_path}/in $uri")
    run("nbdcopy", ram.uri, tmp_path / "out")
    assert digest(tmp_path / "out") == digest(tmp_path / "in")
