"""The NBD client and servers that answer wrongly: the connection ends, and nothing else."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import membuf
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.protocol import Chunk
from tests.nbd_fake import (
    Make,
    Peer,
    Store,
    chunk,
    fakes,
    opened,
)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Make]:
    """Makes servers, and ends them."""
    with fakes(tmp_path) as make:
        yield make


READ_AT, READ_LENGTH = 8192, 4096
PLACE = struct.pack(">Q", READ_AT)
BODY = bytes(READ_LENGTH)


def errors(number: int, size: int, words: bytes = b"") -> bytes:
    return struct.pack(">IH", number, size) + words


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "an unknown cookie": lambda c: chunk(c + 1, Chunk.NONE),
    "a simple reply with an unknown cookie": lambda c: nbd.SIMPLE_REPLY.pack(
        nbd.SIMPLE_REPLY_MAGIC, 0, c ^ 1 << 63
    ),
    "a wrong magic": lambda c: b"\0" * 64,
    "words": lambda c: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a simple reply with data": lambda c: (
        nbd.SIMPLE_REPLY.pack(nbd.SIMPLE_REPLY_MAGIC, 0, c) + BODY
    ),
    "no data": lambda c: chunk(c, Chunk.NONE),
    "too little data": lambda c: chunk(c, Chunk.OFFSET_DATA, PLACE + BODY[1:]),
    "too much data": lambda c: chunk(c, Chunk.OFFSET_DATA, PLACE + BODY + b"x"),
    "data before": lambda c: chunk(c, Chunk.OFFSET_DATA, struct.pack(">Q", READ_AT - 1) + BODY),
    "data behind": lambda c: chunk(c, Chunk.OFFSET_DATA, struct.pack(">Q", READ_AT + 1) + BODY),
    "data far away": lambda c: chunk(c, Chunk.OFFSET_DATA, b"\xff" * 8 + BODY),
    "an endless chunk": lambda c: nbd.CHUNK.pack(nbd.CHUNK_MAGIC, 1, 1, c, 0xFFFFFFFF) + PLACE,
    "an empty chunk of data": lambda c: chunk(c, Chunk.OFFSET_DATA, PLACE),
    "half a place": lambda c: chunk(c, Chunk.OFFSET_DATA, PLACE[:4]),
    "data twice": lambda c: chunk(c, Chunk.OFFSET_DATA, PLACE + BODY, done=False) * 2,
    "a part twice": lambda c: (
        chunk(c, Chunk.OFFSET_DATA, PLACE + BODY[:2], done=False)
        + chunk(c, Chunk.OFFSET_HOLE, struct.pack(">QI", READ_AT + 1, READ_LENGTH - 1))
    ),
    "a hole behind": lambda c: chunk(
        c, Chunk.OFFSET_HOLE, struct.pack(">QI", READ_AT, READ_LENGTH + 1)
    ),
    "a hole of nothing": lambda c: chunk(c, Chunk.OFFSET_HOLE, struct.pack(">QI", READ_AT, 0)),
    "a long hole chunk": lambda c: chunk(c, Chunk.OFFSET_HOLE, bytes(13)),
    "extents of a read": lambda c: chunk(c, Chunk.BLOCK_STATUS, bytes(12)),
    "an unknown chunk": lambda c: chunk(c, 77, b""),
    "an empty chunk with bytes": lambda c: chunk(c, Chunk.NONE, b"x"),
    "an empty chunk in between": lambda c: chunk(c, Chunk.NONE, done=False),
    "an error of 0": lambda c: chunk(c, Chunk.ERROR, errors(0, 0)),
    "an error with few words": lambda c: chunk(c, Chunk.ERROR, errors(5, 9, b"8 letters")[:-1]),
    "a short error": lambda c: chunk(c, Chunk.ERROR, b"\0\0\0\5"),
    "an error without its place": lambda c: chunk(c, Chunk.ERROR_OFFSET, errors(5, 2, b"no")),
    "an endless error": lambda c: nbd.CHUNK.pack(nbd.CHUNK_MAGIC, 1, 0x8001, c, 1 << 31),
    "a simple reply after a chunk": lambda c: (
        chunk(c, Chunk.OFFSET_DATA, PLACE + BODY[:2], done=False)
        + nbd.SIMPLE_REPLY.pack(nbd.SIMPLE_REPLY_MAGIC, 5, c)
    ),
    "a reply after the last": lambda c: (
        chunk(c, Chunk.OFFSET_DATA, PLACE + BODY) + chunk(c, Chunk.NONE)
    ),
    "half a reply": lambda c: chunk(c, Chunk.OFFSET_DATA, PLACE + BODY)[:1000],
}


@pytest.mark.parametrize("reply", HOSTILE.values(), ids=HOSTILE)
def test_a_wrong_reply_ends_the_connection_and_nothing_else(
    fake: Make, reply: Callable[[int], bytes]
) -> None:
    def serve(peer: Peer) -> None:
        peer.send(reply(peer.asked().cookie))

    store = Store()
    wrong, right = fake(serve), fake(store)
    memory = bytearray(b"\xaa" * (3 * READ_LENGTH))
    with opened(wrong) as target, opened(right) as other:
        with contextlib.suppress(membuf.TargetError):
            target.read(memory, READ_AT, memory_offset=READ_LENGTH, memory_length=READ_LENGTH)
        with pytest.raises(membuf.TargetBrokenPipeError, match="the connection was lost"):
            target.read(bytearray(1), 0)
        with pytest.raises(membuf.TargetBrokenPipeError):
            target.flush()
        assert memory[:READ_LENGTH] == memory[2 * READ_LENGTH :] == b"\xaa" * READ_LENGTH
        memory += b"and the memory is let go"
        assert other.read(bytearray(512)) == 512


STATUS_HOSTILE: dict[str, Callable[[int], bytes]] = {
    "a foreign context": lambda c: chunk(c, Chunk.BLOCK_STATUS, struct.pack(">III", 8, 512, 0)),
    "an empty extent": lambda c: chunk(c, Chunk.BLOCK_STATUS, struct.pack(">III", 7, 0, 0)),
    "no extents": lambda c: chunk(c, Chunk.BLOCK_STATUS, struct.pack(">I", 7)),
    "half an extent": lambda c: chunk(c, Chunk.BLOCK_STATUS, struct.pack(">II", 7, 512)),
    "nothing": lambda c: chunk(c, Chunk.NONE),
    "a simple reply": lambda c: nbd.SIMPLE_REPLY.pack(nbd.SIMPLE_REPLY_MAGIC, 0, c),
    "extents twice": lambda c: (
        chunk(c, Chunk.BLOCK_STATUS, struct.pack(">III", 7, 512, 0), done=False) * 2
    ),
    "data": lambda c: chunk(c, Chunk.OFFSET_DATA, bytes(16)),
    "too many": lambda c: nbd.CHUNK.pack(nbd.CHUNK_MAGIC, 1, Chunk.BLOCK_STATUS, c, 1 << 31),
}


@pytest.mark.parametrize("reply", STATUS_HOSTILE.values(), ids=STATUS_HOSTILE)
def test_wrong_extents_end_the_connection(fake: Make, reply: Callable[[int], bytes]) -> None:
    def serve(peer: Peer) -> None:
        peer.send(reply(peer.asked().cookie))

    with (
        opened(fake(serve)) as target,
        pytest.raises(membuf.TargetBrokenPipeError, match="the connection was lost"),
    ):
        list(target.extents())


def test_a_write_that_is_answered_with_data_ends_the_connection(fake: Make) -> None:
    def serve(peer: Peer) -> None:
        asked = peer.asked()
        peer.data(asked, asked.offset, b"data")

    source = bytearray(b"mine")
    with opened(fake(serve)) as target:
        with pytest.raises(membuf.TargetBrokenPipeError, match="reply to a WRITE"):
            target.write(source, 0)
        assert source == b"mine"


def test_chunks_that_were_not_agreed_on_end_the_connection(fake: Make) -> None:
    def serve(peer: Peer) -> None:
        peer.chunk(peer.asked(), Chunk.NONE)

    with (
        opened(fake(serve, structured=False)) as target,
        pytest.raises(membuf.TargetBrokenPipeError, match="expected a reply"),
    ):
        target.flush()
