"""`membuf serve`: what can be served, what it says, and how it ends."""

from __future__ import annotations

import contextlib
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import membuf
from tests.cli import COMMAND, MIB, start
from tests.cli import membuf as run_membuf
from tests.serving import EXAMPLES, serving

DISK = """
import membuf

def disk(size=1 << 20, name=None, byte=b"7", on_cleanup=None):
    found = membuf.Disk(name, size=int(size), on_cleanup=on_cleanup)

    @found.on_read
    def read(request):
        request.output_memory().copy_from(byte * request.length)
        request.complete(information=request.length)

    return found
"""
"""The beginning of a driver: a disk that is one byte again and again."""

SLOW = """
import asyncio, pathlib, membuf

def open(seconds):
    disk = membuf.Disk(size=1 << 20, on_cleanup=lambda _: pathlib.Path("closed").touch())

    @disk.on_read
    async def read(request):
        pathlib.Path("begun").touch()
        await asyncio.sleep(float(seconds))
        request.output_memory().copy_from(b"s" * request.length)
        request.complete(information=request.length)

    return disk
"""
"""A driver whose reads take their time."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the server listens."""
    return tmp_path / "s"


def driver(folder: Path, text: str, name: str = "driver.py") -> Path:
    """A driver's file."""
    path = folder / name
    path.write_text(text)
    return path


def read(uri: str, count: int = 4, **options: Any) -> bytes:
    """The first bytes of a disk."""
    with membuf.open_target(uri, **options) as disk:
        data = bytearray(count)
        assert disk.read(data, 0) == count
    return bytes(data)


# ---- what can be served --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ram:1MiB", "stats+delay(time=1us)+ram:1MiB", "file:disk.img"])
def test_targets_by_name(place: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "disk.img").write_bytes(bytes(MIB))
    with (
        serving(name, place=place, cwd=tmp_path) as server,
        membuf.open_target(server.uri) as disk,
    ):
        assert disk.size == MIB
        disk.write(b"here", 4096)
        data = bytearray(4)
        disk.read(data, 4096)
        assert data == b"here"
    if name.startswith("file:"):
        assert (tmp_path / "disk.img").read_bytes()[4096:4100] == b"here"


def test_a_server_of_another_server(place: Path, tmp_path: Path) -> None:
    with (
        serving("ram:1MiB", place=place) as first,
        serving(first.uri, place=tmp_path / "second") as second,
    ):
        with membuf.open_target(second.uri) as disk:
            disk.write(b"far")
        assert read(first.uri) == b"far\0"


@pytest.mark.parametrize(
    "text",
    [
        "device = disk()",
        "other = disk(); device = disk(byte=b'7')",
        "the_only_one = same = disk()",
        "def open(): return disk()",
        "def open(byte): return disk(byte=byte.encode())",
        "def open(**settings): return disk(byte=settings['byte'].encode())",
        "async def open(byte='7'): return disk(byte=byte.encode())",
        "from dataclasses import*\n@dataclass\nclass S: b: 'str' = b'7'\ndevice = disk(byte=S().b)",
        "import beside\ndevice = beside.made(disk)",
        "device = disk(name='inner')\ndef open(): return membuf.open_target('device:inner')",
    ],
)
def test_drivers_in_a_file(place: Path, tmp_path: Path, text: str) -> None:
    path = driver(tmp_path, DISK + text)
    driver(tmp_path, "def made(disk): return disk(byte=b'7')", "beside.py")
    settings = ["--set", "byte=7"] if "(byte)" in text or "**" in text else []
    with serving(path, *settings, place=place) as server:
        assert read(server.uri) == b"7777"


@pytest.mark.parametrize("attribute", ["device", "made", "Factory.made", "package.inner:made"])
def test_drivers_in_a_module(place: Path, tmp_path: Path, attribute: str) -> None:
    text = DISK + (
        "device = disk()\ndef made(byte='7'): return disk(byte=byte.encode())\n"
        "class Factory:\n    made = staticmethod(made)\n"
    )
    driver(tmp_path, text, "some_driver.py")
    (tmp_path / "package").mkdir()
    driver(tmp_path / "package", text, "inner.py")
    name = attribute if ":" in attribute else f"some_driver:{attribute}"
    with serving(name, place=place, cwd=tmp_path) as server:
        assert read(server.uri) == b"7777"


def test_settings_are_named_as_options_are(place: Path, tmp_path: Path) -> None:
    path = driver(tmp_path, DISK + "def open(the_byte, size): return disk(size, None, b'%c' % "
                  "int(the_byte))")  # fmt: skip
    with (
        serving(path, "--set", "the-byte=65", "--set", "size=8", place=place) as server,
        membuf.open_target(server.uri) as disk,
    ):
        assert disk.size == 8
        assert read(server.uri) == b"AAAA"


def test_coroutines_run_on_the_loop_of_the_server(place: Path, tmp_path: Path) -> None:
    text = """
import asyncio, threading, membuf
loop = asyncio.get_running_loop()
device = membuf.Disk(size=4096)
@device.on_read
async def read(request):
    here = asyncio.get_running_loop() is loop
    here = here and threading.current_thread() is threading.main_thread()
    request.output_memory().copy_from(b"%d" % here * request.length)
    request.complete(information=request.length)
"""
    with serving(driver(tmp_path, text), place=place) as server:
        assert read(server.uri) == b"1111"


def test_threads_for_handlers_that_block(place: Path, tmp_path: Path) -> None:
    text = """
import threading, membuf
device = membuf.Disk(size=4096)
both = threading.Barrier(2)
@device.on_read
def read(request):
    both.wait(30)
    request.output_memory().copy_from(b"b" * request.length)
    request.complete(information=request.length)
"""
    with serving(driver(tmp_path, text), "--threads", 2, place=place) as server:
        others = [threading.Thread(target=read, args=(server.uri,)) for _ in range(1)]
        for other in others:
            other.start()
        assert read(server.uri) == b"bbbb"
        for other in others:
            other.join()


# ---- how it is served ----------------------------------------------------------------------------


def test_an_export_by_its_name(place: Path) -> None:
    with serving("ram:1MiB", "--export", "a b", place=place) as server:
        assert "?socket" in server.out
        assert f"nbd+unix:///a%20b?socket={place}" in server.out
        assert read(f"nbd+unix:///a%20b?socket={place}") == bytes(4)
        with pytest.raises(membuf.TargetNotFoundError):
            read(f"nbd+unix:///other?socket={place}")


@pytest.mark.parametrize("name", ["ram:1MiB", "file:disk.img", str(EXAMPLES / "ram_disk.py")])
def test_read_only(place: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "disk.img").write_bytes(bytes(MIB))
    (tmp_path / "disk.img").chmod(0o444)
    with (
        serving(name, "--read-only", place=place, cwd=tmp_path) as server,
        membuf.open_target(server.uri) as disk,
    ):
        assert ", read-only) at" in server.out
        assert not getattr(disk, "writable", True)


@pytest.mark.parametrize(("mode", "found"), [(None, 0o600), ("0660", 0o660), ("600", 0o600)])
def test_permissions_of_the_socket(place: Path, mode: str | None, found: int) -> None:
    options = [] if mode is None else ["--socket-mode", mode]
    with serving("ram:1MiB", *options, place=place):
        assert stat.S_IMODE(place.stat().st_mode) == found


def test_a_socket_that_a_dead_server_left(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place))
    with serving("ram:1MiB", place=place) as server:
        assert read(server.uri) == bytes(4)
    assert not place.exists()


def test_tcp(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"nbd://127.0.0.1:{port}"
    with start("serve", "ram:1MiB", "--nbd", uri, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        line = server.stdout.readline().decode()
        assert line == f"serving ram:1MiB (1.0 MiB) at {uri}\n"
        assert read(uri) == bytes(4)
        server.terminate()
        server.communicate()
    assert server.returncode == 0


def test_no_more_clients_than_are_wanted(place: Path) -> None:
    with (
        serving("ram:1MiB", "--max-connections", 1, "--json", place=place) as server,
        membuf.open_target(server.uri) as disk,
    ):
        disk.flush()
        with pytest.raises(membuf.MembufError):
            read(server.uri)
        assert "refused" in server.event("connection")["message"]


def test_a_client_that_stands_still(place: Path) -> None:
    with (
        serving("ram:1MiB", "--timeout", 1, "--verbose", place=place) as server,
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(str(place))
        client.recv(18)
        # NO_ZEROES, EXPORT_NAME "", and half a request.
        client.sendall(b"\0\0\0\3" + b"IHAVEOPT\0\0\0\1\0\0\0\0")
        client.sendall(b"\x25\x60\x95\x13")
        server.until(lambda: "has stood still" in server.err)
        assert client.recv(100)


# ---- what it says --------------------------------------------------------------------------------


def test_what_it_says_when_it_is_ready(place: Path) -> None:
    with serving("ram:64MiB", place=place) as server:
        server.until(lambda: server.out.count("\n") == 3)
        assert server.out == (
            f"serving ram:64MiB (64.0 MiB) at {server.uri}\n"
            f"  look at it:  membuf info '{server.uri}'\n"
            f"               nbdinfo '{server.uri}'\n"
        )
        looked = run_membuf("info", server.uri)
        assert looked.returncode == 0, looked.stderr
        assert "64.0 MiB (67108864 bytes)" in looked.stdout


def test_quiet(place: Path) -> None:
    with serving("ram:1MiB", "--quiet", place=place) as server:
        pass
    assert (server.out, server.err) == ("", "")


def test_statistics_for_who_asks_and_at_the_end(place: Path) -> None:
    with serving("ram:1MiB", place=place) as server, membuf.open_target(server.uri) as disk:
        disk.write(bytes(8192))
        server.signal(signal.SIGUSR1)
        server.until(lambda: "Nbd " in server.err)
        first = server.err
        disk.read(bytearray(100_000))
        server.signal(signal.SIGUSR1)
        server.until(lambda: server.err.count("Nbd ") == 2)
        second = server.err.removeprefix(first)
    assert "connections  1 now, 1 in all, 0 refused" in first
    assert "since last" not in first
    assert rows(first)["write"][0] == "1"
    assert rows(first)["bytes"][:3] == ["written", "8.0", "KiB"]
    assert "since the last table" in second
    assert rows(second)["read"][0] == "1"
    assert rows(second)["write"][2] == "0/s"
    assert server.err.count("statistics after") == 3
    assert max(map(len, server.err.splitlines())) <= 80


def rows(table: str) -> dict[str, list[str]]:
    """The lines of a table by their first words; of equal ones the last."""
    return {words[0]: words[1:] for words in map(str.split, table.splitlines()) if words}


def test_events_for_programs(place: Path) -> None:
    with serving("ram:1MiB", "--json", "--export", "e", place=place) as server:
        assert server.event("ready") == {
            "event": "ready",
            "uri": f"nbd+unix:///e?socket={place}",
            "export": "e",
            "size": MIB,
            "readonly": False,
        }
        with membuf.open_target(server.event("ready")["uri"]) as disk:
            disk.write(bytes(8192))
            server.signal(signal.SIGUSR1)
            figures = server.event("statistics")
            assert figures["connections"] == figures["connections_total"] == 1
            assert figures["requests"]["write"] == 1
            assert figures["bytes_written"] == 8192
            assert {"tag": "Nbd ", "pool": "nonpaged", "outstanding": 0, "bytes": 0} in figures[
                "pool"
            ]
    assert [one["event"] for one in server.events] == ["ready", "statistics", "statistics"]
    assert server.err == ""


FAULTY = """
import membuf

def open():
    disk = membuf.Disk(size=1 << 20)

    @disk.on_read
    def read(request):
        raise ValueError("a bad\\nday")

    @disk.on_write
    async def write(request):
        return 1 // 0

    @disk.on_flush
    def flush(request):
        request.complete()
        request.complete()  # which the library refuses, in native code

    return disk
"""


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("read", "driver.py:9: ValueError: a bad day\n"),
        ("write", "driver.py:13: ZeroDivisionError: integer division or modulo by zero\n"),
        ("flush", "driver.py:18: InvalidDeviceStateError: "),
    ],
)
def test_what_a_handler_raises_is_told_in_a_line(
    place: Path, tmp_path: Path, verb: str, said: str
) -> None:
    driver(tmp_path, FAULTY)
    with serving("driver.py", place=place, cwd=tmp_path) as server:
        with membuf.open_target(server.uri) as disk, contextlib.suppress(membuf.MembufError):
            getattr(disk, verb)(*([] if verb == "flush" else [bytearray(512)]))
        server.until(lambda: "\n" in server.err)
        assert server.err.startswith(f"membuf: error: {said}")
        assert server.err.count("\n") == 1


def test_many_errors_are_few_lines(place: Path, tmp_path: Path) -> None:
    driver(tmp_path, FAULTY)
    with serving("driver.py", "--json", place=place, cwd=tmp_path) as server:
        with membuf.open_target(server.uri) as disk:
            for _ in range(200):
                with pytest.raises(membuf.TargetError):
                    disk.read(bytearray(512))
        errors = lambda: [one for one in server.events if one["event"] == "error"]  # noqa: E731
        server.until(lambda: sum(one["count"] for one in errors()) == 200)
        assert len(errors()) < 100
        assert errors()[0]["where"] == "driver.py:9"
        assert (
            "more errors like these" in next(one for one in errors() if one["count"] > 1)["error"]
        )


def test_verbose_errors_have_their_traceback(place: Path, tmp_path: Path) -> None:
    driver(tmp_path, FAULTY)
    with serving("driver.py", "-v", place=place, cwd=tmp_path, code=None) as server:
        with membuf.open_target(server.uri) as disk, pytest.raises(membuf.TargetError):
            disk.read(bytearray(512))
        server.until(lambda: "ValueError: a bad\nday" in server.err)
        assert "Traceback (most recent call last):" in server.err
        assert server.end() == 0


@pytest.mark.parametrize("option", ["--verbose", "--json", "--quiet"])
def test_clients_that_speak_no_nbd(place: Path, option: str) -> None:
    with serving("ram:1MiB", option, place=place) as server:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(place))
            client.sendall(b"GET / HTTP/1.0\r\n\r\n" * 10)
            with contextlib.suppress(ConnectionResetError):
                while client.recv(4096):
                    pass
        if option == "--json":
            assert "client 1" in server.event("connection")["message"]
        elif option == "--verbose":
            server.until(lambda: "membuf: client 1: " in server.err)
        assert read(server.uri) == bytes(4)
    if option == "--quiet":
        assert server.err == ""


def test_nobody_reads_what_it_says(place: Path) -> None:
    line = [*COMMAND, "serve", "ram:1MiB", "--json", "--nbd", f"nbd+unix:///?socket={place}"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        for _ in range(3):
            process.send_signal(signal.SIGUSR1)
            assert read(f"nbd+unix:///?socket={place}") == bytes(4)
        process.terminate()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0


# ---- how it ends ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_by_a_signal(place: Path, number: int) -> None:
    with (
        serving("ram:1MiB", place=place, code=None) as server,
        membuf.open_target(server.uri) as disk,
    ):
        disk.flush()
        assert server.end(number) == 0
        assert not place.exists()
        with pytest.raises(membuf.MembufError):
            disk.flush()


def test_requests_on_their_way_are_finished(place: Path, tmp_path: Path) -> None:
    path = driver(tmp_path, SLOW)
    found: list[bytes] = []
    with serving(path, "--set", "seconds=1", place=place, cwd=tmp_path, code=None) as server:
        client = threading.Thread(target=lambda: found.append(read(server.uri)))
        client.start()
        server.until((tmp_path / "begun").exists)
        assert server.end() == 0
        client.join()
    assert found == [b"ssss"]
    assert (tmp_path / "closed").exists()
    assert "waiting up to 10 s for 1 request; once more to end at once" in server.err


def stuck(uri: str) -> threading.Thread:
    """A client whose read does not end well."""

    def ask() -> None:
        with membuf.open_target(uri) as disk, pytest.raises(membuf.MembufError):
            disk.read(bytearray(4))

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_requests_that_do_not_end_are_not_waited_for_without_end(
    place: Path, tmp_path: Path
) -> None:
    path = driver(tmp_path, SLOW)
    with serving(
        path, "--set", "seconds=1000", "--drain", 0.2, place=place, cwd=tmp_path, code=None
    ) as server:
        client = stuck(server.uri)
        server.until((tmp_path / "begun").exists)
        assert server.end() == 1
        client.join()
    assert "membuf: error: 1 request not answered within 0.2 s" in server.err


def test_a_second_signal_ends_it_at_once(place: Path, tmp_path: Path) -> None:
    path = driver(tmp_path, SLOW)
    with serving(
        path, "--set", "seconds=1000", "--drain", 1000, place=place, cwd=tmp_path, code=None
    ) as server:
        client = stuck(server.uri)
        server.until((tmp_path / "begun").exists)
        server.signal(signal.SIGTERM)
        server.until(lambda: "once more" in server.err)
        assert server.end() == -signal.SIGTERM
        client.join()


def test_a_signal_before_it_serves(place: Path, tmp_path: Path) -> None:
    path = driver(tmp_path, "import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(1000)")
    line = [*COMMAND, "serve", str(path), "--nbd", f"nbd+unix:///?socket={place}"]
    with subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        while not (tmp_path / "begun").exists():
            assert process.poll() is None
        process.terminate()
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode == 143
    assert not place.exists()


def test_a_device_that_does_not_close_well(place: Path, tmp_path: Path) -> None:
    text = DISK + "def fail(_): raise OSError(5, 'worn out')\ndevice = disk(on_cleanup=fail)"
    with serving(driver(tmp_path, text), place=place, cwd=tmp_path) as server:
        pass
    assert "driver.py:" in server.err
    assert "OSError: worn out" in server.err


# ---- what it costs others ------------------------------------------------------------------------


def test_other_commands_load_nothing_of_it() -> None:
    program = "import sys, membuf.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    loaded = done.stdout.split()
    assert {"membuf.cli.serve", "membuf.cli.info"} <= set(loaded)
    assert not [
        name
        for name in loaded
        if name.startswith(("membuf.cli.serving", "membuf.cli.looking", "membuf.bus.nbd.server"))
    ]
