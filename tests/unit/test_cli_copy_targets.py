"""`membuf copy` between disks that are no files: NBD exports, memory, what is under a filter."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.bus.nbd import Server, TlsServer
from membuf.cli.copying.naming import place_of
from tests import cli
from tests.cli import MIB, copied, extents, make_data, make_sparse, patched, refused, start
from tests.nbd_certificates import make_certificates
from tests.nbd_serving import served

PARTS = {0: b"first" * 1000, 3 * MIB: b"x", 5 * MIB + 4096: b"y" * 70_000, 9 * MIB - 1: b"\1"}
SIZE = 16 * MIB
PATIENCE = 60.0


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """A file with data, holes, and a hole at its end."""
    path = tmp_path / "src"
    make_sparse(path, SIZE, PARTS)
    return path


@pytest.fixture
def ram() -> Iterator[Any]:
    """A disk in memory."""
    with membuf.open_target(f"ram:{SIZE}") as target:
        yield target


@pytest.fixture
def server(ram: Any) -> Iterator[Server]:
    """A server of it."""
    with served(ram) as server:
        yield server


def content(target: Any, length: int | None = None) -> bytes:
    """What a target holds."""
    data = bytearray(target.size if length is None else length)
    target.read(data, 0)
    return bytes(data)


def data_bytes(target: Any) -> int:
    """How much of a target is no hole."""
    return sum(extent.length for extent in target.extents() if extent.data)


def memory_disk(name: str, size: int, **options: Any) -> tuple[membuf.Disk, bytearray]:
    """A disk that can read and write, and nothing else; and what it holds."""
    store = bytearray(size)
    disk = membuf.Disk(name, size=size, **options)

    @disk.on_read
    def read(request: Any) -> None:
        view = memoryview(store)[request.offset : request.offset + request.length]
        request.output_memory().copy_from(view)
        request.complete(information=request.length)

    @disk.on_write
    def write(request: Any) -> None:
        view = memoryview(store)[request.offset : request.offset + request.length]
        request.input_memory().copy_to(view)
        request.complete(information=request.length)

    return disk, store


def until(condition: Callable[[], object]) -> None:
    """Wait until something is true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not become so"
        time.sleep(0.01)


# ---- what arrives --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [(), ("-b", "4096", "-q", "7"), ("--connections", "1")])
def test_a_file_to_a_server(sparse: Path, ram: Any, server: Server, how: tuple[str, ...]) -> None:
    result = copied("--verify", *how, sparse, server.uri)
    assert content(ram) == sparse.read_bytes()
    data = sum(end - first for first, end in extents(sparse))
    assert result["bytes_written"] == data
    assert result["hole_bytes"] == SIZE - data
    assert data_bytes(ram) == data
    assert result["durable"]
    assert server.statistics().requests["flush"] >= 1
    assert server.statistics().bytes_written == data


@pytest.mark.parametrize("how", [(), ("-b", "4096", "-q", "7"), ("--connections", "1")])
def test_a_server_to_a_file(
    sparse: Path, ram: Any, server: Server, tmp_path: Path, how: tuple[str, ...]
) -> None:
    copied(sparse, server.uri)
    result = copied("--verify", *how, server.uri, tmp_path / "dst")
    assert (tmp_path / "dst").read_bytes() == sparse.read_bytes()
    assert extents(tmp_path / "dst") == extents(sparse)
    assert result["durable"]
    assert server.statistics().bytes_read == result["bytes_written"]


def test_a_server_to_another(sparse: Path, ram: Any, server: Server) -> None:
    copied(sparse, server.uri)
    with membuf.open_target(f"ram:{SIZE + 4096}") as other, served(other) as second:
        result = copied("--verify", server.uri, second.uri)
        assert content(other, SIZE) == sparse.read_bytes()
        assert result["connections"] == {"source": 4, "destination": 4}


def test_a_server_on_tcp_and_an_export_by_its_name(sparse: Path, ram: Any, tmp_path: Path) -> None:
    with served({"one disk": ram}, tcp=True) as server:
        uri = f"nbd://127.0.0.1:{server.uri.port}/one%20disk"
        copied(sparse, uri)
        said = refused(3, f"nbd://127.0.0.1:{server.uri.port}/none", tmp_path / "dst")
        assert "none" in said
    assert content(ram) == sparse.read_bytes()
    assert not (tmp_path / "dst").exists()


def test_what_was_there_before_does_not_show_through_holes(
    sparse: Path, ram: Any, server: Server
) -> None:
    ram.write(b"\xff" * SIZE, 0)
    copied("--verify", sparse, server.uri)
    assert content(ram) == sparse.read_bytes()
    assert data_bytes(ram) == sum(end - first for first, end in extents(sparse))


def test_what_lies_behind_the_copy_stays(tmp_path: Path, ram: Any, server: Server) -> None:
    ram.write(b"\xff" * SIZE, 0)
    data = make_data(tmp_path / "src", MIB + 333)
    copied("--verify", tmp_path / "src", server.uri)
    assert content(ram) == data + b"\xff" * (SIZE - len(data))


def test_holes_are_written_where_they_cannot_be_made(sparse: Path) -> None:
    disk, store = memory_disk("plain", SIZE)
    store[:] = b"\xff" * SIZE
    with served(disk) as server:
        copied("--verify", sparse, server.uri)
    assert store == sparse.read_bytes()
    disk.delete()


def test_zeros_become_holes_when_told_so(tmp_path: Path, ram: Any, server: Server) -> None:
    data = b"data" * 65536 + bytes(4 * MIB) + b"tail"
    (tmp_path / "src").write_bytes(data)
    result = copied("--sparse", tmp_path / "src", server.uri)
    assert content(ram, len(data)) == data
    assert result["hole_bytes"] >= 3 * MIB
    assert server.statistics().bytes_written == result["bytes_written"]
    assert server.statistics().requests["zero"] >= 1


def test_holes_are_filled_in_when_told_so(sparse: Path, server: Server) -> None:
    result = copied("--no-sparse", sparse, server.uri)
    assert result["bytes_written"] == server.statistics().bytes_written == SIZE
    assert server.statistics().requests["zero"] == 0


@pytest.mark.parametrize("block", [512, 4096, 65536])
def test_a_length_that_is_no_whole_block(tmp_path: Path, block: int) -> None:
    data = make_data(tmp_path / "src", 1_000_001)
    disk, store = memory_disk("blocks", 16 * 65536, block_size=block)
    store[:] = b"\xff" * len(store)
    with served(disk) as server:
        copied("--verify", tmp_path / "src", server.uri)
        assert store == data + b"\xff" * (len(store) - len(data))
        store[:] = b"\xff" * len(store)
        with (tmp_path / "src").open("rb") as stream:
            copied("-", server.uri, stdin=stream)
        assert store == data + b"\xff" * (len(store) - len(data))
    disk.delete()


def test_a_disk_of_no_bytes(tmp_path: Path) -> None:
    disk, _ = memory_disk("nothing", 0)
    (tmp_path / "empty").touch()
    with served(disk) as server:
        assert copied(server.uri, tmp_path / "dst")["bytes"] == 0
        assert copied("--verify", tmp_path / "empty", server.uri)["bytes"] == 0
    assert (tmp_path / "dst").read_bytes() == b""
    disk.delete()


def test_streams(tmp_path: Path, ram: Any, server: Server) -> None:
    data = make_data(tmp_path / "src", 3 * MIB + 5)
    done = subprocess.run(
        [*cli.COMMAND, "copy", "--quiet", "-", str(server.uri)], input=data, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    out = cli.membuf("copy", "--quiet", server.uri, "-", text=False)
    assert out.stdout == data + bytes(SIZE - len(data))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_connections(sparse: Path, server: Server, count: int) -> None:
    result = copied("--connections", count, sparse, server.uri)
    assert result["connections"] == {"source": None, "destination": count}
    assert server.statistics().connections_total == count
    until(lambda: server.statistics().connections == 0)


def test_tls(sparse: Path, ram: Any, tmp_path: Path) -> None:
    folder = make_certificates(tmp_path / "pki")
    with served(ram, tls=TlsServer(str(folder), verify_clients=True)) as server:
        plain = f"nbd+unix:///?socket={server.uri.socket}"
        secured = f"nbds+unix:///?socket={server.uri.socket}&tls-hostname=localhost"
        copied("--verify", sparse, f"{secured}&tls-certificates={folder}")
        assert content(ram) == sparse.read_bytes()
        assert "TLS" in refused(3, plain, tmp_path / "dst")
        assert "cannot open" in refused(3, secured, tmp_path / "dst")
    assert not (tmp_path / "dst").exists()


# ---- memory, nothing, files under filters --------------------------------------------------------


def test_memory_is_not_durable(sparse: Path, tmp_path: Path) -> None:
    result = copied("--verify", sparse, f"ram:{SIZE}")
    assert not result["durable"]
    assert "memory" in result["caveat"]
    assert result["engine"] == {"source": "threads", "destination": "ram"}
    assert "connections" not in result
    result = copied(f"ram:{SIZE}", tmp_path / "dst")
    assert (tmp_path / "dst").stat().st_size == SIZE
    assert extents(tmp_path / "dst") == []
    assert (result["bytes_written"], result["durable"]) == (0, True)


def test_nothing_takes_and_gives_all(sparse: Path, tmp_path: Path) -> None:
    result = copied(sparse, "null:")
    assert result["bytes"] == SIZE
    assert "keeps nothing" in result["caveat"]
    copied("null:100000", tmp_path / "dst", "--no-sparse")
    assert (tmp_path / "dst").read_bytes() == bytes(100_000)


def test_verify_finds_what_nothing_kept(tmp_path: Path) -> None:
    make_data(tmp_path / "src", MIB)
    assert "bytes 0 to" in refused(6, "--verify", tmp_path / "src", "null:")


@pytest.mark.parametrize("prefix", ["file:", "stats+file:", "log+checksum+file:"])
def test_a_file_by_its_uri_is_staged_as_by_its_path(
    sparse: Path, tmp_path: Path, prefix: str
) -> None:
    dst = tmp_path / "dst"
    dst.write_bytes(b"before")
    dst.chmod(0o604)
    copied("--verify", f"{prefix}{sparse}", f"{prefix}{dst}")
    assert dst.read_bytes() == sparse.read_bytes()
    assert extents(dst) == extents(sparse)
    assert dst.stat().st_mode & 0o777 == 0o604
    said = refused(1, f"error(kind=eio,rate=100%,on=read)+file:{sparse}", f"{prefix}{dst}")
    assert "Input/output error" in said
    assert dst.read_bytes() == sparse.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"src", "dst"}


def test_what_is_under_copy_on_write_stays(sparse: Path, tmp_path: Path) -> None:
    before = make_data(tmp_path / "dst", SIZE)
    result = copied("--verify", sparse, f"cow+file:{tmp_path / 'dst'}")
    assert "in memory" in result["caveat"]
    assert (tmp_path / "dst").read_bytes() == before


# ---- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "scheme", "rest"),
    [
        ("disk.img", "file", "disk.img"),
        ("./ram:1MiB", "file", "./ram:1MiB"),
        ("/null:", "file", "/null:"),
        ("c:disk.img", "file", "c:disk.img"),
        ("foo+ram:1MiB", "file", "foo+ram:1MiB"),
        ("log+disk:x", "file", "log+disk:x"),
        ("delay(time=1ms+ram:1MiB", "file", "delay(time=1ms+ram:1MiB"),
        ("ram:1MiB", "ram", "1MiB"),
        ("log+stats+ram:1MiB", "ram", "1MiB"),
        ("file:a+b:c", "file", "a+b:c"),
        ("log+nbd+unix:///x?socket=/s", "nbd+unix", "///x?socket=/s"),
        ("nbds://host/x", "nbds", "//host/x"),
    ],
)
def test_what_is_a_uri_and_what_a_path(text: str, scheme: str, rest: str) -> None:
    place = place_of(text)
    assert (place.scheme, place.rest) == (scheme, rest)
    assert place.name == text


def test_files_that_are_called_like_uris(tmp_path: Path) -> None:
    data = make_data(tmp_path / "null:", 5000)
    copied("./null:", "./ram:1MiB", cwd=tmp_path)
    assert (tmp_path / "ram:1MiB").read_bytes() == data
    assert copied("null:5000", "a:b", cwd=tmp_path)["bytes"] == 5000
    assert (tmp_path / "a:b").read_bytes() == bytes(5000)


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("ram:many", 2, "a size is written like"),
        ("ram:0", 2, "size"),
        ("log(x=1)+ram:1MiB", 2, "has no option 'x'"),
        ("delay(time=soon)+ram:1MiB", 2, "'soon'"),
        ("log(level)+ram:1MiB", 2, "NAME=VALUE"),
        ("nbd+unix:///x", 2, "socket"),
        ("nbd://host:port/x", 2, "port"),
        ("nbd+unix:///x?socket=/nowhere", 3, "cannot connect"),
        ("nbd://127.0.0.1:1/", 3, "Connection refused"),
        ("foo+ram:1MiB", 3, "URIs begin with"),
        ("nbd+unxi:///x?socket=s", 3, "URIs begin with"),
        ("device:none", 3, "none"),
        ("file:none", 3, "No such file"),
    ],
)
def test_names_of_what_is_not(tmp_path: Path, source: str, code: int, words: str) -> None:
    said = refused(code, source, "dst", cwd=tmp_path)
    assert words in said
    assert source in said
    assert not (tmp_path / "dst").exists()


def test_a_destination_that_is_not(tmp_path: Path) -> None:
    make_data(tmp_path / "src", 5000)
    assert "URIs begin with" in refused(3, "src", "nbd+unxi:///x?socket=s", cwd=tmp_path)
    assert "cannot connect" in refused(3, "src", "nbd+unix:///?socket=/nowhere", cwd=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"src"}


# ---- what is refused before anything is written --------------------------------------------------


@pytest.mark.parametrize("sparse_file", [True, False])
def test_a_disk_that_is_too_small(
    tmp_path: Path, ram: Any, server: Server, sparse_file: bool
) -> None:
    source = tmp_path / "src"
    make_sparse(source, SIZE + 1, {} if sparse_file else {0: b"data"})
    said = refused(5, source, server.uri)
    assert f"{SIZE} bytes" in said
    assert f"{SIZE + 1}" in said
    requests = server.statistics().requests
    assert (requests["write"], requests["zero"], requests["trim"]) == (0, 0, 0)


def test_a_disk_that_takes_no_writes(sparse: Path, ram: Any) -> None:
    with served(ram, readonly=True) as server:
        refused(3, sparse, server.uri)
        refused(3, sparse, f"readonly+{server.uri}")
        assert server.statistics().requests["write"] == 0
    refused(3, sparse, f"readonly+ram:{SIZE}")


def test_the_same_disk_twice(ram: Any, server: Server, sparse: Path) -> None:
    assert "same disk" in refused(3, server.uri, server.uri)
    assert "same disk" in refused(3, f"log+{server.uri}", server.uri)
    assert "same file" in refused(3, sparse, f"file:{sparse}")
    assert "same file" in refused(3, f"stats+file:{sparse}", sparse)
    assert server.statistics().requests["write"] == 0


def test_blocks_smaller_than_the_disks(tmp_path: Path) -> None:
    make_data(tmp_path / "src", 5000)
    disk, _ = memory_disk("large blocks", MIB, block_size=4096)
    with served(disk) as server:
        assert "multiples of 4096" in refused(2, "-b", "512", tmp_path / "src", server.uri)
        assert server.statistics().requests["write"] == 0
    disk.delete()


def test_a_stream_cannot_be_a_disk(sparse: Path) -> None:
    with membuf.open_target("null:1MiB") as null, served(null) as server:
        done = cli.membuf("copy", "--verify", server.uri, "-")
    assert done.returncode == 2
    assert "--verify cannot read it back" in done.stderr


# ---- what goes wrong meanwhile -------------------------------------------------------------------


def test_a_stream_that_is_too_long(tmp_path: Path, ram: Any, server: Server) -> None:
    data = make_data(tmp_path / "src", SIZE + 5 * MIB)
    with (tmp_path / "src").open("rb") as file:
        cat = subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE)
        with cat:
            said = refused(5, "-q", "1", "-", server.uri, stdin=cat.stdout)
            assert cat.stdout is not None
            cat.stdout.close()
    assert f"at offset {SIZE}: No space left on device" in said
    assert f"holds the first {SIZE} bytes" in said
    assert content(ram) == data[:SIZE]


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (st.STATUS_DISK_FULL, 5, "No space left on device"),
        (st.STATUS_IO_DEVICE_ERROR, 1, "Input/output error"),
    ],
)
def test_a_write_that_fails(tmp_path: Path, status: st.Status, code: int, words: str) -> None:
    make_data(tmp_path / "src", 4 * MIB)
    disk, _ = memory_disk("failing", 4 * MIB)

    @disk.on_write
    def write(request: Any) -> None:
        good = request.offset < 2 * MIB
        request.complete(st.STATUS_SUCCESS if good else status, request.length if good else 0)

    with served(disk) as server:
        done = cli.membuf("copy", "--json", "-q", "1", tmp_path / "src", server.uri)
    assert done.returncode == code
    answer = json.loads(done.stdout)
    assert (answer["ok"], answer["exit_code"], answer["offset"]) == (False, code, 2 * MIB)
    assert answer["error"] == f"cannot write {server.uri} at offset {2 * MIB}: {words}"
    assert f"holds the first {2 * MIB} bytes of the copy" in done.stderr
    disk.delete()


def test_a_read_that_fails(tmp_path: Path) -> None:
    disk, _ = memory_disk("unreadable", 4 * MIB)

    @disk.on_read
    def read(request: Any) -> None:
        request.complete(st.STATUS_IO_DEVICE_ERROR)

    with served(disk) as server:
        said = refused(1, server.uri, tmp_path / "dst")
        assert f"cannot read {server.uri} at offset 0: Input/output error" in said
    assert list(tmp_path.iterdir()) == []
    disk.delete()


def test_a_flush_that_fails(tmp_path: Path) -> None:
    make_data(tmp_path / "src", 2 * MIB)
    disk, store = memory_disk("forgetful", 4 * MIB)

    @disk.on_flush
    def flush(request: Any) -> None:
        request.complete(st.STATUS_IO_DEVICE_ERROR)

    with served(disk) as server:
        said = refused(1, tmp_path / "src", server.uri)
        assert "could not be made durable" in said
        assert "holds the whole copy, but it was not made durable" in said
    assert store[: 2 * MIB] == (tmp_path / "src").read_bytes()
    disk.delete()


def test_verify_finds_a_disk_that_spoils(tmp_path: Path) -> None:
    make_data(tmp_path / "src", 2 * MIB)
    disk, store = memory_disk("spoiling", 4 * MIB)

    @disk.on_flush
    def flush(request: Any) -> None:
        store[MIB + 7] ^= 1
        request.complete()

    with served(disk) as server:
        copied(tmp_path / "src", server.uri)
        said = refused(6, "--verify", "-b", "4096", tmp_path / "src", server.uri)
        assert f"bytes {MIB} to" in said or "differ" in said
    disk.delete()


class Stalled:
    """A disk that answers no write, until it is let go."""

    def __init__(self) -> None:
        self.disk, _ = memory_disk("stalled", 4 * MIB)
        self.writes: list[Any] = []
        self.disk.on_write(self.writes.append)

    def let_go(self) -> None:
        """Answer all."""
        for request in self.writes:
            request.complete(st.STATUS_CANCELLED)
        self.writes.clear()
        self.disk.delete()


@pytest.fixture
def stalled() -> Iterator[Stalled]:
    """One."""
    stalled = Stalled()
    yield stalled
    stalled.let_go()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_while_a_server_does_not_answer(
    tmp_path: Path, stalled: Stalled, number: int, code: int
) -> None:
    make_data(tmp_path / "src", 4 * MIB)
    server = Server(stalled.disk, f"nbd+unix:///?socket={tmp_path / 's'}")
    server.start()
    try:
        with start("copy", "--quiet", tmp_path / "src", server.uri) as process:
            until(lambda: stalled.writes)
            process.send_signal(number)
            _, said = process.communicate(timeout=PATIENCE)
    finally:
        server.stop(0)
    assert process.returncode == code
    assert f"stopped by {signal.Signals(number).name}".encode() in said
    assert b"no more than parts of the copy" in said
    assert b"Traceback" not in said


def test_a_server_that_goes_away(tmp_path: Path, stalled: Stalled) -> None:
    make_data(tmp_path / "src", 4 * MIB)
    server = Server(stalled.disk, f"nbd+unix:///?socket={tmp_path / 's'}")
    server.start()
    with start("copy", "--quiet", tmp_path / "src", server.uri) as process:
        until(lambda: stalled.writes)
        ending = threading.Thread(target=server.stop, args=(0,))
        ending.start()
        _, said = process.communicate(timeout=PATIENCE)
        ending.join()
    assert process.returncode == 1
    assert b"the connection was lost" in said
    assert b"Traceback" not in said


# ---- what is shown -------------------------------------------------------------------------------


def test_the_report_and_the_progress(sparse: Path, server: Server) -> None:
    done = cli.membuf("copy", "--verify", sparse, server.uri)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"copied {sparse} to {server.uri}"
    assert lines[2] == "  durable, read back and verified"
    assert lines[3].endswith("threads and nbd (4 connections)")
    phases = [line.split(":")[1].strip() for line in done.stderr.splitlines()]
    assert phases == ["zeroing", "copying", "verifying"]
    done = cli.membuf("copy", "--quiet", sparse, "null:")
    assert "handed on (it keeps nothing)" in done.stdout
    assert done.stderr == ""


def test_what_is_no_disk_loads_nothing_of_one(sparse: Path, tmp_path: Path) -> None:
    tell = "import atexit, sys\natexit.register(lambda: print(*sys.modules, file=sys.stderr))"
    done = patched(tell, "copy", "--quiet", sparse, tmp_path / "dst")
    loaded = done.stderr.split()
    assert "membuf.cli.copying.engine" in loaded
    later = ("membuf.bus.nbd", "membuf.cli.copying.disks", "membuf.cli.serving", "rich")
    assert not [name for name in loaded if name.startswith(later)]
    done = patched(tell, "--help")
    assert not [name for name in done.stderr.split() if name.startswith("membuf.cli.copying")]
