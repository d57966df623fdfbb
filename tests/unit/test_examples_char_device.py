"""The mailbox of the gallery."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import membuf
from tests.unit.test_examples_gallery import EXAMPLES, load

example = load("char_device")


@pytest.fixture
def mailbox() -> Iterator[Any]:
    mailbox = example.Mailbox(limit=3)
    yield mailbox
    mailbox.device.delete()


def test_the_example_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "char_device.py")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "a read that waited: b'hello'" in done.stdout
    assert "a third one: STATUS_DISK_FULL" in done.stdout
    assert "all: [b'one', b'two', b'three']" in done.stdout
    assert "one that gave up: STATUS_CANCELLED" in done.stdout


def test_letters_come_in_the_order_they_were_sent(mailbox: Any) -> None:
    with mailbox.device.open() as handle:
        for letter in (b"one", b"two", b"three"):
            assert handle.write(letter) == len(letter)
        assert [handle.read(10) for _ in range(3)] == [b"one", b"two", b"three"]


def test_a_read_waits_for_a_letter(mailbox: Any) -> None:
    with mailbox.device.open() as reader, mailbox.device.open("write") as writer:
        buffers = [bytearray(10), bytearray(10)]
        waiting = [reader.start_read(buffer) for buffer in buffers]
        assert not any(pending.done for pending in waiting)
        assert mailbox.readers.waiting == 2
        writer.write(b"first")
        assert [pending.done for pending in waiting] == [True, False]
        writer.write(b"second")
        assert [pending.wait()[1] for pending in waiting] == [5, 6]
        assert buffers == [b"first" + bytes(5), b"second" + bytes(4)]


def test_a_reader_that_gives_up_gets_nothing(mailbox: Any) -> None:
    with mailbox.device.open() as handle:
        pending = handle.start_read(bytearray(10))
        assert pending.cancel()
        assert pending.wait()[0].name == "STATUS_CANCELLED"
        handle.write(b"kept")
        assert handle.read(10) == b"kept"


def test_a_task_that_is_cancelled_gives_up(mailbox: Any) -> None:
    async def give_up(handle: Any) -> bytes:
        task = asyncio.create_task(handle.read_async(10))
        await asyncio.sleep(0)
        assert mailbox.readers.waiting == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert mailbox.readers.waiting == 0
        await handle.write_async(b"kept")
        return await handle.read_async(10)

    with mailbox.device.open() as handle:
        assert asyncio.run(give_up(handle)) == b"kept"


def test_a_timeout_and_a_closed_handle_give_up(mailbox: Any) -> None:
    with membuf.open_target("device:mailbox") as target, pytest.raises(membuf.IoTimeoutError):
        target.read(bytearray(10), 0, timeout=0.01)
    handle = mailbox.device.open()
    pending = handle.start_read(bytearray(10))
    handle.close()
    assert pending.wait()[0].name == "STATUS_CANCELLED"
    assert mailbox.readers.waiting == 0


def test_a_letter_that_does_not_fit_stays(mailbox: Any) -> None:
    with mailbox.device.open() as handle:
        handle.write(b"a long letter")
        with pytest.raises(membuf.BufferTooSmallError):
            handle.read(5)
        assert handle.read(100) == b"a long letter"
        short, long = bytearray(2), bytearray(20)
        first, second = handle.start_read(short), handle.start_read(long)
        handle.write(b"for the second")
        assert first.wait()[0].name == "STATUS_BUFFER_TOO_SMALL"
        assert second.wait()[1] == 14


def test_control_codes(mailbox: Any) -> None:
    with mailbox.device.open() as handle:
        assert handle.ioctl(example.PEEK, out_length=10) == b""
        handle.write(b"letter")
        assert handle.ioctl(example.PEEK, out_length=10) == b"letter"
        assert handle.ioctl(example.COUNT, out_length=4) == (1).to_bytes(4, "little")
        with pytest.raises(membuf.MembufError):
            handle.ioctl(example.PEEK, out_length=3)
        with pytest.raises(membuf.BufferTooSmallError):
            handle.ioctl(example.COUNT)
        with pytest.raises(membuf.BufferTooSmallError):
            handle.ioctl(example.LIMIT, b"123")
        with pytest.raises(membuf.MembufError, match="INVALID_DEVICE_REQUEST"):
            handle.ioctl(example.COUNT + 0x100, out_length=4)
        handle.ioctl(example.LIMIT, (1).to_bytes(4, "little"))
        with pytest.raises(membuf.MembufError, match="DISK_FULL"):
            handle.write(b"another")
        assert handle.read(10) == b"letter"


def test_rights_are_those_of_the_code(mailbox: Any) -> None:
    with mailbox.device.open("read") as reader, pytest.raises(membuf.AccessDeniedError):
        reader.ioctl(example.LIMIT, bytes(4))
    with mailbox.device.open("write") as writer, pytest.raises(membuf.AccessDeniedError):
        writer.ioctl(example.PEEK, out_length=4)


def test_many_writers_and_readers_lose_nothing() -> None:
    mailbox = example.Mailbox(limit=1000)
    got: list[bytes] = []

    def write(number: int) -> None:
        for count in range(50):
            handle.write(b"%d-%d" % (number, count))

    def read() -> None:
        for _ in range(50):
            got.append(handle.read(20))  # noqa: PERF401

    with mailbox.device.open() as handle:
        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        threads += [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(got) == sorted(b"%d-%d" % (n, c) for n in range(4) for c in range(50))
    mailbox.device.delete()


def test_it_is_opened_with_a_limit() -> None:
    device = example.open(limit="1")
    with device.open() as handle:
        handle.write(b"one")
        with pytest.raises(membuf.MembufError, match="DISK_FULL"):
            handle.write(b"two")
    device.delete()
    for limit in ("0", "few", "-1"):
        with pytest.raises(ValueError, match="limit is a count"):
            example.open(limit)
