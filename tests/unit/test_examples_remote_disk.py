"""The remote disk of the gallery, over a server of the test's own that can be told to misbehave."""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import membuf
from tests.unit.test_examples_gallery import load

example = load("remote_disk")

BLOCK = 4096


class Server(ThreadingHTTPServer):
    """A file behind HTTP; the next requests for parts of it fail as `faults` says."""

    daemon_threads = True

    def __init__(self, data: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.data = data
        self.ranges = True
        self.faults: deque[str] = deque()
        self.asked: list[tuple[int, int]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/disk.img"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.answer(200, b"", len(self.server.data))

    def do_GET(self) -> None:
        data = self.server.data
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked is None or not self.server.ranges:
            self.answer(200, data, len(data))
            return
        part = data[int(asked[1]) : int(asked[2]) + 1]
        self.server.asked.append((int(asked[1]), len(part)))
        fault = self.server.faults.popleft() if self.server.faults else ""
        if fault == "drop":
            self.answer(206, part[:100], len(part))
        elif fault == "hang up":
            self.close_connection = True
        elif fault == "short":
            self.answer(206, part[:-1], len(part) - 1)
        elif fault == "long":
            self.answer(206, part + b"x", len(part) + 1)
        elif fault:
            self.answer(int(fault), b"", 0)
        else:
            self.answer(206, part, len(part))

    def answer(self, code: int, data: bytes, length: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(length))
        if self.server.ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(random.Random(1).randbytes(100_001)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def served(server: Server, **settings: str) -> Iterator[tuple[Any, Any]]:
    settings = {"block": "4KiB", "wait": "1us", **settings}
    disk = example.open(server.url, **settings)
    server.asked.clear()
    with membuf.open_target("device:remote") as target:
        yield target, disk.context["cache"]
    disk.delete()


@pytest.mark.parametrize(("block", "cache"), [("4KiB", "1MiB"), ("4KiB", "8KiB"), ("1000", "1000")])
def test_it_reads_what_is_there(server: Server, block: str, cache: str) -> None:
    numbers = random.Random(2)
    with served(server, block=block, cache=cache) as (target, kept):
        assert target.size == len(server.data)
        for _ in range(60):
            length = numbers.randrange(1, 20_000)
            offset = numbers.randrange(0, len(server.data) - length + 1)
            data = bytearray(length)
            assert target.read(data, offset) == length
            assert data == server.data[offset : offset + length]
        data = bytearray(target.size)
        assert target.read(data, 0) == target.size
        assert data == server.data
        data = bytearray(1)
        target.read(data, target.size - 1)
        assert data == server.data[-1:]
        assert len(kept.kept) <= kept.most
        assert kept.blocks.statistics().outstanding == len(kept.kept)


def test_a_block_is_fetched_once(server: Server) -> None:
    async def read_at_once_and_again(target: Any) -> None:
        reads = [target.read_async(bytearray(100), number * 100) for number in range(40)]
        assert await asyncio.gather(*reads) == [100] * 40
        assert await target.read_async(bytearray(BLOCK), 0) == BLOCK

    with served(server) as (target, kept):
        asyncio.run(read_at_once_and_again(target))
        assert server.asked == [(0, BLOCK)]
        assert kept.remote.fetches == 1
        assert kept.hits >= 1


def test_the_least_recently_read_block_goes(server: Server) -> None:
    with served(server, cache="12KiB") as (target, kept):
        for number in (0, 1, 2, 0, 3):  # 1 goes for 3
            target.read(bytearray(10), number * BLOCK)
        assert sorted(kept.kept) == [0, 2, 3]
        server.asked.clear()
        target.read(bytearray(10), 0)
        assert server.asked == []
        target.read(bytearray(10), BLOCK)
        assert server.asked == [(BLOCK, BLOCK)]
        assert kept.blocks.statistics().outstanding == 3


@pytest.mark.parametrize("fault", ["drop", "hang up", "short", "long", "503", "500"])
def test_what_fails_is_fetched_again(server: Server, fault: str) -> None:
    with served(server) as (target, kept):
        # aiohttp itself asks once more where nothing came back.
        server.faults.extend([fault] * (4 if fault == "hang up" else 2))
        data = bytearray(BLOCK)
        assert target.read(data, BLOCK) == BLOCK
        assert data == server.data[BLOCK : 2 * BLOCK]
        assert kept.remote.fetches == 1
        assert kept.remote.retries == 2


@pytest.mark.parametrize("fault", ["drop", "hang up", "short", "503"])
def test_what_fails_too_often_has_failed(server: Server, fault: str) -> None:
    with served(server, tries="2") as (target, kept):
        server.faults.extend([fault] * (4 if fault == "hang up" else 2))
        with pytest.raises(membuf.MembufError, match="IO_DEVICE_ERROR"):
            target.read(bytearray(BLOCK), 0)
        assert kept.coming == {}
        data = bytearray(BLOCK)
        target.read(data, 0)
        assert data == server.data[:BLOCK]


def test_one_block_that_fails_fails_the_read_and_not_the_others(server: Server) -> None:
    with served(server, tries="1") as (target, kept):
        server.faults.append("503")
        with pytest.raises(membuf.MembufError, match="IO_DEVICE_ERROR"):
            target.read(bytearray(3 * BLOCK), 0)
        assert len(kept.kept) == 2
        data = bytearray(3 * BLOCK)
        target.read(data, 0)
        assert data == server.data[: 3 * BLOCK]


def test_a_file_that_is_gone_is_not_asked_for_again(server: Server) -> None:
    with served(server) as (target, kept):
        server.faults.append("404")
        with pytest.raises(membuf.MembufError):
            target.read(bytearray(10), 0)
        assert kept.remote.retries == 0


def test_it_takes_no_writes(server: Server) -> None:
    with served(server) as (target, _):
        with pytest.raises(membuf.MembufError, match="WRITE_PROTECTED"):
            target.write(b"x", 0)
        for clear in (target.trim, target.zero):
            with pytest.raises(membuf.MembufError):
                clear(0, 1)


def test_a_server_that_does_not_do_parts_is_refused(server: Server) -> None:
    server.ranges = False
    with pytest.raises(ValueError, match="cannot be read in parts"):
        example.open(server.url)
    server.data = b""
    with pytest.raises(ValueError, match="is empty"):
        example.open(server.url)


def test_what_is_not_there_is_refused(server: Server) -> None:
    with pytest.raises(FileNotFoundError):
        example.open("file:///no/such/disk.img")
    with pytest.raises(ValueError, match="rotocol"):
        example.open("carrier-pigeon://coop/disk.img")


def test_other_file_systems_do_as_well(tmp_path: Any) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(range(256)) * 100)
    disk = example.open(f"file://{image}", block="1000", cache="3000")
    with membuf.open_target("device:remote") as target:
        data = bytearray(25600)
        target.read(data, 0)
        assert data == image.read_bytes()
    disk.delete()


@pytest.mark.parametrize(
    ("name", "text"),
    [("block", "big"), ("cache", "?"), ("tries", "0"), ("tries", "-1"), ("wait", "a bit"),
     ("block", "0"), ("cache", "1KiB")],
)  # fmt: skip
def test_bad_settings_are_refused(server: Server, name: str, text: str) -> None:
    with pytest.raises(ValueError, match=name):
        example.open(server.url, **{name: text})
