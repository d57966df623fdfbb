"""`membuf info`: what is at the other end of a name, in words and for programs."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.bus.nbd import Server, TlsServer
from membuf.cli.info import printable
from tests.cli import COMMAND, MIB, loop_device, make_sparse
from tests.cli import membuf as run_membuf
from tests.nbd_certificates import make_certificates
from tests.nbd_serving import served

FAILED, USAGE, UNUSABLE = 1, 2, 3


def info(*arguments: object, **options: Any) -> str:
    """Run `membuf info ARGUMENTS`, which must succeed; what it printed."""
    done = run_membuf("info", *arguments, **options)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    printed: str = done.stdout
    return printed


def figures(*arguments: object, **options: Any) -> dict[str, Any]:
    """The same, for programs."""
    found: dict[str, Any] = json.loads(info("--json", *arguments, **options))
    assert found.pop("ok") is True
    return found


def refused(code: int, *arguments: object, **options: Any) -> str:
    """Run `membuf info ARGUMENTS`, which must fail with an exit code; what it said."""
    done = run_membuf("info", *arguments, **options)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    said: str = done.stderr
    return said


def facts(printed: str) -> dict[str, str]:
    """The lines of a section by their first word."""
    lines = [line.strip().split(None, 1) for line in printed.splitlines()]
    return {line[0]: line[1] for line in lines if len(line) > 1}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A file with holes."""
    make_sparse(tmp_path / "disk.img", MIB, {65536: b"x" * 65536})
    return tmp_path / "disk.img"


# ---- files and other targets ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["disk.img", "file:disk.img", "./disk.img"])
def test_a_file(image: Path, name: str) -> None:
    printed = info(name, cwd=image.parent)
    assert printed.splitlines()[0] == name
    found = facts(printed)
    assert found["kind"] == "file"
    assert found["size"] == "1.0 MiB (1048576 bytes)"
    assert found["access"] == "read and write"
    assert found["alignment"] == "any"
    assert found["content"] == "64.0 KiB of data, 960.0 KiB of holes"
    assert found["engine"] in ("threads", "io_uring")


def test_a_file_for_programs(image: Path) -> None:
    found = figures(image, "--map")
    assert found["name"] == str(image)
    assert (found["kind"], found["size"], found["writable"]) == ("file", MIB, True)
    assert (found["data_bytes"], found["hole_bytes"], found["complete"]) == (65536, 983040, True)
    assert found["extents"] == [
        {"offset": 0, "length": 65536, "data": False},
        {"offset": 65536, "length": 65536, "data": True},
        {"offset": 131072, "length": 917504, "data": False},
    ]
    assert found["extents_cut"] is False
    assert found["direct"] is None or set(found["direct"]) == {"memory", "offset"}


def test_a_map(image: Path) -> None:
    lines = info(image, "--map").splitlines()
    assert [line.split() for line in lines[-4:]] == [
        ["offset", "length", "what"],
        ["0", "65536", "64.0", "KiB", "hole"],
        ["65536", "65536", "64.0", "KiB", "data"],
        ["131072", "917504", "896.0", "KiB", "hole"],
    ]


def test_a_long_map_is_cut(tmp_path: Path) -> None:
    make_sparse(tmp_path / "disk", 4100 * 8192, {n * 8192: b"x" for n in range(2000)})
    printed = info(tmp_path / "disk", "--map").splitlines()
    assert printed[-1].strip() == "and more: --json lists the first 1000"
    assert len(printed) < 60
    found = figures(tmp_path / "disk", "--map")
    assert len(found["extents"]) == 1000
    assert found["extents_cut"] is True
    assert found["data_bytes"] == 2000 * 4096
    assert found["complete"] is True


def test_a_map_that_is_somewhat_long(tmp_path: Path) -> None:
    make_sparse(tmp_path / "disk", MIB, {n * 8192: b"x" for n in range(50)})
    assert info(tmp_path / "disk", "--map").splitlines()[-1].strip() == (
        "and 60 more: --json lists them"
    )


@pytest.mark.parametrize(
    ("name", "kind", "size"),
    [
        ("ram:1MiB", "memory", MIB),
        ("null:1MiB", "nothing", MIB),
        ("stats+delay(time=1us)+ram:1MiB", "memory", MIB),
        ("log+file:disk.img", "file", MIB),
    ],
)
def test_targets(image: Path, name: str, kind: str, size: int) -> None:
    found = figures(name, cwd=image.parent)
    assert (found["name"], found["kind"], found["size"]) == (name, kind, size)
    filters = [part.partition("(")[0] for part in name.split("+")[:-1]]
    assert found["filters"] == filters
    printed = facts(info(name, cwd=image.parent))
    assert printed["kind"] == (f"{kind} under {', '.join(filters)}" if filters else kind)


def test_a_block_device(image: Path) -> None:
    with loop_device(image) as device:
        found = figures(device)
        assert (found["kind"], found["size"], found["data_bytes"]) == ("block device", MIB, MIB)
        assert found["direct"]["offset"] >= 512


@pytest.mark.parametrize(("kind", "words"), [("fifo", "pipe"), ("null", "character device")])
def test_what_has_no_size(tmp_path: Path, kind: str, words: str) -> None:
    path = Path("/dev/null")
    if kind == "fifo":
        path = tmp_path / "pipe"
        os.mkfifo(path)
    found = facts(info(path))
    assert found["kind"] == words
    assert found["size"] == "none: it is read as a stream"


def test_a_file_that_takes_no_writes(image: Path) -> None:
    image.chmod(0o444)
    if os.geteuid() != 0:  # whom nobody lends a device
        assert facts(info(image))["access"] == "read-only"
        return
    with loop_device(image) as device:
        subprocess.run(["blockdev", "--setro", device], check=True)
        try:
            assert facts(info(device))["access"] == "read-only"
        finally:  # or whoever has the device next could not write
            subprocess.run(["blockdev", "--setrw", device], check=True)


def test_a_file_whose_length_nobody_knows() -> None:
    assert facts(info("/proc/version"))["size"] == "none: it is read as a stream"


# ---- servers -------------------------------------------------------------------------------------


def test_all_exports_of_a_server(tmp_path: Path) -> None:
    readonly = membuf.Disk("readonly", size=4096, block_size=512, readonly=True)
    with (
        membuf.open_target("ram:1MiB") as ram,
        served({"": ram, "a b": readonly}) as server,
    ):
        uri = str(server.uri)
        printed = info(uri)
        found = figures(uri)
    readonly.delete()
    first, second = found["exports"]
    assert (found["kind"], found["listed"], found["tls"]) == ("nbd", True, False)
    assert (first["name"], first["size"], first["writable"]) == ("", MIB, True)
    assert (second["name"], second["size"], second["writable"]) == ("a b", 4096, False)
    assert second["block_sizes"]["minimum"] == 512
    assert "can_multi_conn" in first["flags"]
    assert first["contexts"] == ["base:allocation"]
    assert printed.splitlines()[:3] == [
        uri,
        "  kind         NBD server, without TLS",
        "  exports      2 exports",
    ]
    default, named = printed.split("the default export\n")[1].split("export 'a b'\n")
    assert facts(default)["can"].startswith("flush, FUA, trim, zeros, fast zeros, prefetch")
    assert facts(named)["access"] == "read-only"
    assert facts(named)["blocks"].startswith("512 B at least, ")


def test_one_export_and_its_map() -> None:
    with membuf.open_target("ram:1MiB") as ram, served(ram, export="disk") as server:
        ram.write(bytes(4096) + b"x", 0)
        named, whole = figures(server.uri, "--map"), figures(str(server.uri).replace("disk", ""))
        printed = info(server.uri, "--map")
        mapped = figures(str(server.uri).replace("disk", ""), "--map")
    assert [one["name"] for one in named["exports"]] == ["disk"]
    assert named["listed"] is False
    assert named["data_bytes"] == mapped["data_bytes"] == 8192
    assert "data_bytes" not in whole
    assert printed.splitlines()[-1].split() == ["8192", "1040384", "1016.0", "KiB", "hole"]
    assert facts(printed)["content"] == "8.0 KiB of data, 1016.0 KiB of holes"


def test_an_export_under_a_filter() -> None:
    with membuf.open_target("ram:1MiB") as ram, served(ram, readonly=True) as server:
        found = figures(f"stats+{server.uri}")
    assert (found["kind"], found["filters"], found["writable"]) == ("nbd", ["stats"], False)


def test_a_server_with_tls(tmp_path: Path) -> None:
    folder = make_certificates(tmp_path / "pki")
    uri = f"nbds+unix:///?socket={tmp_path}/s&tls-certificates={folder}"
    with (
        membuf.open_target("ram:1MiB") as ram,
        Server(ram, uri, tls=TlsServer(str(folder))),
    ):
        assert facts(info(uri))["kind"] == "NBD server, with TLS"
        said = refused(UNUSABLE, f"nbd+unix:///?socket={tmp_path}/s")
    assert said.startswith("membuf: error: ")
    assert "TLS" in said


def test_what_a_server_says_is_no_command_for_the_terminal() -> None:
    assert printable("a\x1b[2Jb\nc\udcff é") == "a\\x1b[2Jb\\nc\\udcff é"
    with membuf.open_target("ram:1MiB") as ram, served({"\x1b[2J": ram}) as server:
        printed = info(str(server.uri))
    assert "export '\\x1b[2J'" in printed
    assert "\x1b" not in printed


def test_on_a_terminal() -> None:
    with membuf.open_target("ram:1MiB") as ram, served(ram) as server:
        leader, follower = pty.openpty()
        environment = os.environ | {"COLUMNS": "80", "TERM": "xterm-256color"}
        environment.pop("NO_COLOR", None)
        done = subprocess.run(
            [*COMMAND, "info", str(server.uri), "--map"],
            stdout=follower, stderr=subprocess.PIPE, env=environment, text=True,
        )  # fmt: skip
        os.close(follower)
        assert done.returncode == 0, done.stderr
        shown = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:
                break
            shown += part
        os.close(leader)
    assert b"\x1b[1m" in shown
    plain = shown.decode().replace("\r", "")
    assert "several connections" in plain
    assert "1.0 MiB (1048576 bytes)" in plain


# ---- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("missing", UNUSABLE, "cannot open missing: No such file or directory"),
        ("file:missing", UNUSABLE, "cannot open file:missing: No such file or directory"),
        (".", UNUSABLE, "Is a directory"),
        ("nbd+unix:///?socket=missing", UNUSABLE, "cannot connect to the NBD server: No such file"),
        ("nbd://127.0.0.1:1", UNUSABLE, "Connection refused: 127.0.0.1:1"),
        ("nbd://host.invalid", UNUSABLE, "there is no such NBD server"),
        ("device:nobody", UNUSABLE, "there is no such device"),
        ("nbd:localhost", USAGE, "an NBD URI is written nbd://HOST:PORT/EXPORT"),
        ("nbd+unix:///x", USAGE, "a unix socket is named ?socket=PATH"),
        ("foo:bar", USAGE, "'foo:bar' is no target's name and no file"),
        ("ram:lots", USAGE, "ram: takes a size"),
        ("delay(colour=red)+ram:1M", USAGE, "the filter delay has no option 'colour'"),
        ("delay(", UNUSABLE, "No such file or directory"),
    ],
)
def test_what_is_not_there(tmp_path: Path, name: str, code: int, said: str) -> None:
    found = refused(code, name, cwd=tmp_path)
    assert said in found
    assert len(found.splitlines()) <= 2


def test_no_such_export() -> None:
    with membuf.open_target("ram:1MiB") as ram, served(ram, export="disk") as server:
        said = refused(UNUSABLE, str(server.uri).replace("disk", "dusk"))
        place = server.uri.socket
        assert "is a socket" in (said_of_socket := refused(UNUSABLE, place))
        assert f"nbd+unix:///?socket={place}" in said_of_socket
    assert "has no export 'dusk'" in said
    assert "hint: with no name in the URI, all exports are listed" in said


def test_a_map_of_several_exports() -> None:
    with membuf.open_target("ram:1MiB") as ram, served({"a": ram, "b": ram}) as server:
        said = refused(USAGE, server.uri, "--map")
    assert "--map looks into one export, and there are 2" in said
    assert "hint: name it in the URI" in said


def test_a_server_that_speaks_something_else(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()

        def answer() -> None:
            for _ in range(2):
                client, _ = listening.accept()
                with client, contextlib.suppress(ConnectionResetError):
                    client.sendall(b"220 mail.example.org ESMTP\r\n")
                    client.recv(1)

        other = threading.Thread(target=answer)
        other.start()
        said = refused(UNUSABLE, f"nbd+unix:///?socket={tmp_path}/s")
        other.join()
    assert "is no NBD server: expected b'NBDMAGIC', got b'220 mail'" in said


def test_a_server_that_says_nothing(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        said = refused(UNUSABLE, f"nbd+unix:///?socket={tmp_path}/s", "--timeout", "0.2")
    assert "did not answer within 0.2 seconds" in said


def test_failures_for_programs(tmp_path: Path) -> None:
    done = run_membuf("info", "missing", "--json", cwd=tmp_path)
    assert done.returncode == UNUSABLE
    assert json.loads(done.stdout) == {
        "ok": False,
        "error": "cannot open missing: No such file or directory",
        "exit_code": UNUSABLE,
    }


def test_nobody_who_reads_it(image: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = run_membuf("info", image, stdout=full)
    assert "cannot write standard output: No space left on device" in done.stderr
    assert done.returncode == 5
