"""The NBD client with the servers of others: nbdkit and qemu-nbd, on unix sockets and on TCP."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

import membuf
from membuf.bus.nbd import NbdTarget, describe, list_exports
from membuf.bus.nbd.protocol import Flag
from membuf.testing import check_target
from tests.nbd_certificates import make_certificates

MIB = 1 << 20
SECONDS = 30
PROGRAMS = f"{os.environ['PATH']}:/usr/sbin:/sbin"


class Server:
    """A program that serves at a unix socket or a port, and is ended with the block."""

    def __init__(self, *command: object, socket: Path | None = None, port: int = 0) -> None:
        self.command = [str(part) for part in command]
        self.socket, self.port = socket, port
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command,
            env=os.environ | {"PATH": PROGRAMS},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + SECONDS
        while not self.answers():
            assert self.process.poll() is None, f"{self.command} ended"
            assert time.monotonic() < end, f"{self.command} does not listen"
            time.sleep(0.01)

    def answers(self) -> bool:
        """Whether it greets."""
        family = socket.AF_UNIX if self.socket is not None else socket.AF_INET
        place: Any = str(self.socket) if self.socket is not None else ("127.0.0.1", self.port)
        with contextlib.suppress(OSError), socket.socket(family) as sock:
            sock.settimeout(SECONDS)
            sock.connect(place)
            return sock.recv(8) == b"NBDMAGIC"
        return False

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "sock"


def uri(place: Path, export: str = "") -> str:
    return f"nbd+unix:///{export}?socket={place}"


def nbdkit(place: Path, *arguments: object) -> Server:
    return Server("nbdkit", "-f", "-U", place, *arguments, socket=place)


def qemu_nbd(place: Path, image: Path, *arguments: object) -> Server:
    return Server(
        "qemu-nbd", "-t", "-f", "raw", "-k", place, *arguments, image, socket=place
    )  # fmt: skip


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def opened(name: str, **options: Any) -> NbdTarget:
    target = membuf.open_target(name, **options)
    assert isinstance(target, NbdTarget)
    return target


async def read_together(target: NbdTarget, parts: list[tuple[int, int]], model: bytearray) -> None:
    """Have many reads on their way at once."""
    memories = [bytearray(length) for _, length in parts]
    reads = [
        target.read_async(memory, offset)
        for memory, (offset, _) in zip(memories, parts, strict=True)
    ]
    assert await asyncio.gather(*reads) == [length for _, length in parts]
    for memory, (offset, length) in zip(memories, parts, strict=True):
        assert memory == model[offset : offset + length]


def exercise(target: NbdTarget, seed: int, rounds: int = 150) -> None:
    """Read, write, zero and trim at random, in every way; hold each read against a model."""
    dice = random.Random(seed)
    block = target.offset_alignment
    model = bytearray(target.size)
    assert target.read(model, 0) == target.size

    def some() -> tuple[int, int]:
        length = dice.choice([block, 8 * block, dice.randrange(1, 300_000) // block * block])
        length = min(length or block, target.size)
        return dice.randrange((target.size - length) // block + 1) * block, length

    for _ in range(rounds):
        offset, length = some()
        part = slice(offset, offset + length)
        match dice.randrange(6):
            case 0 | 1:
                model[part] = dice.randbytes(length)
                assert target.write(model[part], offset) == length
            case 2:
                target.zero(offset, length)
                model[part] = bytes(length)
            case 3:
                asyncio.run(read_together(target, [some() for _ in range(16)], model))
            case 4:
                memory = [bytearray(length // 2), bytearray(length - length // 2)]
                if block == 1 and length > 1:
                    assert target.read(memory, offset) == length
                    assert b"".join(memory) == model[part]
            case _:
                target.flush()
    whole = bytearray(target.size)
    assert target.read_many([(whole, 0)]) == [target.size]
    assert whole == model


# ---- nbdkit -------------------------------------------------------------------------------------

NBDKITS: dict[str, list[str]] = {
    "memory": ["memory", "8M"],
    "without structured replies": ["--no-sr", "memory", "8M"],
    "oldest newstyle": ["--mask-handshake=0", "memory", "8M"],
    "without zeroes": ["--filter=nozero", "memory", "8M"],
    "without extents": ["--filter=noextents", "memory", "8M"],
    "blocks of 4 KiB": [
        "--filter=blocksize-policy", "memory", "8M", "blocksize-minimum=4096",
        "blocksize-preferred=4096", "blocksize-maximum=65536", "blocksize-error-policy=error",
    ],
    "slowly": ["--filter=delay", "memory", "8M", "delay-read=1ms", "delay-write=1ms"],
    "with FUA made of flushes": ["--filter=fua", "memory", "8M", "fuamode=emulate"],
}  # fmt: skip


@pytest.mark.parametrize("arguments", NBDKITS.values(), ids=NBDKITS)
def test_nbdkit_stores_what_it_is_sent(place: Path, arguments: list[str]) -> None:
    with nbdkit(place, *arguments), opened(uri(place)) as target:
        assert target.size == 8 * MIB
        exercise(target, 1)


def test_several_connections_see_the_same(place: Path) -> None:
    with nbdkit(place, "memory", "8M"), opened(uri(place), connections=4) as target:
        assert target.connections == 4
        exercise(target, 2)


def test_nbdkit_keeps_the_rules_of_targets(place: Path) -> None:
    made: list[NbdTarget] = []

    def factory() -> NbdTarget:
        made.append(opened(uri(place), connections=2, reconnect=SECONDS))
        return made[-1]

    with nbdkit(place, "memory", "1M"):
        check_target(factory)
        assert {target.connections for target in made} == {2}


def test_an_export_is_described_and_listed(place: Path) -> None:
    with nbdkit(place, "-e", "first", "memory", "1M"):
        info = describe(uri(place, "first"))
        assert (info.size, info.contexts, info.writable) == (MIB, ("base:allocation",), True)
        assert info.flags & Flag.SEND_FUA
        assert [one.size for one in list_exports(uri(place))] == [MIB]


def test_the_servers_errors_are_the_targets(place: Path) -> None:
    arguments = ["--filter=error", "memory", "1M", "error=ENOSPC", "error-pwrite-rate=1"]
    with nbdkit(place, *arguments), opened(uri(place)) as target:
        with pytest.raises(membuf.TargetError) as caught:
            target.write(b"x" * 512, 0)
        assert caught.value.errno == errno.ENOSPC
        assert target.read(bytearray(512)) == 512


def test_a_read_only_server_is_read(place: Path) -> None:
    with nbdkit(place, "-r", "memory", "1M"):
        with opened(uri(place)) as target:
            assert not target.writable
            assert target.read(bytearray(512)) == 512
        with pytest.raises(membuf.TargetError, match="takes no writes"):
            opened(uri(place), access="read-write")


def test_a_sparse_file_is_seen_as_it_is(place: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(4 * MIB)
        file.seek(MIB)
        file.write(b"d" * 65536)
    with nbdkit(place, "file", image), opened(uri(place)) as target:
        assert list(target.extents()) == [
            membuf.Extent(0, MIB, False),
            membuf.Extent(MIB, 65536, True),
            membuf.Extent(MIB + 65536, 3 * MIB - 65536, False),
        ]
        target.trim(MIB, 65536)
        target.write(b"e" * 4096, 0)
        target.flush()
        assert [extent.data for extent in target.extents()] == [True, False]
        assert image.stat().st_blocks * 512 <= 8192


def test_many_extents_are_all_told(place: Path) -> None:
    with nbdkit(place, "memory", "1G"), opened(uri(place)) as target:
        for index in range(1500):
            target.write(b"x", index * 128 * 1024)
        runs = [extent for extent in target.extents() if extent.data]
        assert len(runs) == 1500
        assert sum(extent.length for extent in target.extents()) == 1 << 30


def test_more_than_the_wire_can_say_at_once_is_said_in_parts(place: Path) -> None:
    with nbdkit(place, "memory", "6G"), opened(uri(place)) as target:
        target.write(b"x" * 4096, 5 << 30)
        target.zero(0, 6 << 30)
        target.trim(0, 6 << 30)
        assert list(target.extents()) == [membuf.Extent(0, 6 << 30, False)]
        big = bytearray(b"y") * (80 << 20)
        assert target.write(big, 4 << 30) == len(big)
        back = bytearray(len(big))
        assert target.read(back, 4 << 30) == len(big)
        assert back == big


# ---- qemu-nbd -----------------------------------------------------------------------------------


def test_qemu_stores_what_it_is_sent(place: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(os.urandom(8 * MIB))
    with qemu_nbd(place, image, "-x", "disk", "-D", "a disk", "-e", "4"):
        with opened(uri(place, "disk"), connections=3) as target:
            assert target.info.description == "a disk"
            assert target.connections == 3
            exercise(target, 3)
            whole = bytearray(target.size)
            target.read(whole)
            target.flush()
            assert image.read_bytes() == whole
        with pytest.raises(membuf.TargetNotFoundError, match="no export 'other'"):
            opened(uri(place, "other"))
        assert [(one.name, one.description) for one in list_exports(uri(place))] == [
            ("disk", "a disk")
        ]


def test_qemu_sees_holes_and_makes_them(place: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"d" * MIB)
    with qemu_nbd(place, image, "--discard=unmap"), opened(uri(place)) as target:
        target.zero(65536, 65536)
        target.trim(MIB // 2, 65536)
        target.flush()
        assert [extent.data for extent in target.extents()] == [True, False, True, False, True]
        told = json.loads(
            subprocess.check_output(
                ["qemu-img", "map", "--output=json", "-f", "raw", image],
                env=os.environ | {"PATH": PROGRAMS},
            )
        )
        assert [part["data"] for part in told] == [True, False, True, False, True]


# ---- TCP and TLS --------------------------------------------------------------------------------


def test_tcp_carries_what_unix_sockets_do() -> None:
    port = free_port()
    serving = Server("nbdkit", "-f", "-i", "127.0.0.1", "-p", port, "memory", "4M", port=port)
    with serving, opened(f"nbd://127.0.0.1:{port}/", connections=2) as target:
        exercise(target, 4)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls") / "pki")


def test_tls_carries_everything(place: Path, certificates: Path) -> None:
    tls = ["--tls=require", f"--tls-certificates={certificates}", "--tls-verify-peer"]
    with nbdkit(place, *tls, "memory", "8M"):
        secure = f"nbds+unix:///?socket={place}&tls-certificates={certificates}"
        with opened(secure, connections=2) as target:
            exercise(target, 5)
        assert [one.size for one in list_exports(secure)] == [8 * MIB]
        with pytest.raises(membuf.AccessDeniedError, match="requires TLS"):
            opened(uri(place))


def test_tls_checks_who_is_there(certificates: Path, tmp_path: Path) -> None:
    port = free_port()
    tls = ["--tls=require", f"--tls-certificates={certificates}"]
    serving = Server(
        "nbdkit", "-f", "-i", "127.0.0.1", "-p", port, *tls, "memory", "1M", port=port
    )  # fmt: skip
    others = make_certificates(tmp_path / "others", client=False)
    with serving:
        here = f"nbds://localhost:{port}/?tls-certificates="
        with opened(f"{here}{certificates}") as target:
            assert target.read(bytearray(512)) == 512
        with opened(f"nbds://127.0.0.1:{port}/?tls-certificates={certificates}") as target:
            assert target.read(bytearray(512)) == 512
        with pytest.raises(membuf.AccessDeniedError, match=r"certificate|signature"):
            opened(f"{here}{others}")
        with pytest.raises(membuf.AccessDeniedError, match=r"[Hh]ostname"):
            opened(f"{here}{certificates}&tls-hostname=example.org")
        with pytest.raises(membuf.AccessDeniedError):
            opened(f"nbds://localhost:{port}/")
        with opened(f"{here}{others}&tls-verify-peer=false") as target:
            assert target.read(bytearray(512)) == 512


def test_a_client_without_its_certificate_is_told(
    place: Path, certificates: Path, tmp_path: Path
) -> None:
    tls = ["--tls=require", f"--tls-certificates={certificates}", "--tls-verify-peer"]
    anonymous = tmp_path / "anonymous"
    anonymous.mkdir()
    (anonymous / "ca-cert.pem").write_bytes((certificates / "ca-cert.pem").read_bytes())
    with nbdkit(place, *tls, "memory", "1M"), pytest.raises(membuf.MembufError) as caught:
        opened(f"nbds+unix:///?socket={place}&tls-certificates={anonymous}")
    assert str(place) in str(caught.value)


def test_a_server_without_tls_is_no_secure_one(place: Path, certificates: Path) -> None:
    refused = pytest.raises(membuf.AccessDeniedError, match="TLS was asked for")
    with nbdkit(place, "--tls=off", "memory", "1M"), refused:
        opened(f"nbds+unix:///?socket={place}&tls-certificates={certificates}")


def test_qemu_speaks_tls(certificates: Path, tmp_path: Path) -> None:
    image, port = tmp_path / "image", free_port()
    image.write_bytes(bytes(4 * MIB))
    credentials = f"tls-creds-x509,id=tls0,endpoint=server,dir={certificates},verify-peer=on"
    serving = Server(
        "qemu-nbd", "-t", "-f", "raw", "--object", credentials, "--tls-creds", "tls0",
        "-b", "127.0.0.1", "-p", port, "-x", "disk", image, port=port,
    )  # fmt: skip
    with serving:
        name = f"nbds://localhost:{port}/disk?tls-certificates={certificates}"
        with opened(name) as target:
            exercise(target, 6, rounds=60)


# ---- crashes ------------------------------------------------------------------------------------


def crash(server: Server, place: Path) -> None:
    server.kill()
    place.unlink()


def test_a_server_that_crashes_and_comes_back_is_found_again(place: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    content = os.urandom(8 * MIB)
    image.write_bytes(content)
    with (
        nbdkit(place, "--filter=delay", "file", image, "delay-read=5ms") as server,
        opened(uri(place), reconnect=SECONDS, connections=2) as target,
    ):
        whole, counts = bytearray(8 * MIB), list[int]()

        async def read_all() -> None:
            view = memoryview(whole)
            parts = [view[at : at + 16384] for at in range(0, len(whole), 16384)]
            reads = [target.read_async(part, 16384 * i) for i, part in enumerate(parts)]
            counts.extend(await asyncio.gather(*reads))

        # nbdkit ends with the thread that started it: that is this one.
        thread = threading.Thread(target=lambda: asyncio.run(read_all()))
        thread.start()
        for _ in range(2):
            time.sleep(0.05)
            crash(server, place)
            server.start()
        thread.join()
        assert counts == [16384] * 512
        assert whole == content
        assert target.write(b"after", 0) == 5
        target.flush()


def test_a_flush_after_a_crash_says_what_may_be_lost(place: Path) -> None:
    with (
        nbdkit(place, "memory", "1M") as server,
        opened(uri(place), reconnect=SECONDS) as target,
    ):
        assert target.write(b"lost", 0) == 4
        crash(server, place)
        server.start()
        data = bytearray(4)
        assert target.read(data, 0) == 4
        assert data == bytes(4), "nbdkit keeps no memory"
        with pytest.raises(membuf.TargetError, match="may have lost them") as caught:
            target.flush()
        assert caught.value.errno == errno.EIO
        target.write(b"kept", 0)
        target.flush()


def test_without_reconnection_a_crash_is_the_end(place: Path) -> None:
    with (
        nbdkit(place, "--filter=delay", "memory", "1M", "delay-read=60") as server,
        opened(uri(place)) as target,
    ):
        told: list[Any] = []
        over = threading.Event()

        def tell(*end: Any) -> None:
            told.append(end)
            over.set()

        target.read_nowait(bytearray(512), 0, tell)
        server.process.send_signal(signal.SIGKILL)
        assert over.wait(SECONDS)
        assert isinstance(told[0][2], membuf.TargetBrokenPipeError)
        with pytest.raises(membuf.TargetBrokenPipeError, match="the connection was lost"):
            target.write(b"x", 0)


STACKS: list[Callable[[str], str]] = [
    lambda name: f"delay(time=0s)+{name}",
    lambda name: f"stats+checksum+{name}",
    lambda name: f"log+cow+{name}",
]


@pytest.mark.parametrize("stack", STACKS)
def test_filters_stand_over_an_export(place: Path, stack: Callable[[str], str]) -> None:
    with nbdkit(place, "memory", "1M"), membuf.open_target(stack(uri(place))) as target:
        data = os.urandom(100_000)
        assert target.write(data, 4096) == len(data)
        back = bytearray(len(data))
        assert target.read(back, 4096) == len(data)
        assert back == data
        assert target.size == MIB
