"""The client's half of the NBD negotiation and the replies after it, without sockets."""

from __future__ import annotations

import contextlib
import errno
import struct
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

import membuf
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.client import greeting
from membuf.bus.nbd.client.exchange import Coverage, Exchange
from membuf.bus.nbd.client.greeting import Agreement, ExportInfo, Greeting, StartTls, Steps
from membuf.bus.nbd.client.replies import Landing, Replies
from membuf.bus.nbd.client.wires import LostError
from membuf.bus.nbd.protocol import Command, Flag, Info, Option, Reply

HELLO = nbd.NBD_MAGIC + nbd.OPTION_MAGIC + b"\0\3"
FLAGS = Flag.HAS_FLAGS | Flag.SEND_FLUSH


def reply(option: int, kind: int, data: bytes = b"") -> bytes:
    return nbd.OPTION_REPLY.pack(nbd.OPTION_REPLY_MAGIC, option, kind, len(data)) + data


def export(size: int = 4096, flags: int = FLAGS) -> bytes:
    return reply(Option.GO, Reply.INFO, nbd.EXPORT_INFO.pack(Info.EXPORT, size, flags))


def blocks(*sizes: int) -> bytes:
    return reply(Option.GO, Reply.INFO, nbd.BLOCK_SIZES.pack(Info.BLOCK_SIZE, *sizes))


def unsupported(*options: int) -> bytes:
    return b"".join(reply(option, Reply.ERR_UNSUP) for option in options)


NO_EXTRAS = unsupported(Option.STRUCTURED_REPLY)
GO = reply(Option.GO, Reply.ACK)


def played(steps: Steps[Any], server: bytes) -> tuple[Any, list[Any]]:
    """Run a negotiation on all that the server sends; what it came to, and what was sent."""
    sent: list[Any] = []
    try:
        step = next(steps)
        while True:
            answer = b""
            if isinstance(step, int):
                answer, server = server[:step], server[step:]
                if len(answer) < step:
                    step = steps.throw(LostError("the server closed it"))
                    continue
            else:
                sent.append(step)
            step = steps.send(answer)
    except StopIteration as stop:
        return stop.value, sent


def options(sent: Iterable[Any]) -> list[int]:
    """The options among what was sent."""
    asked = [one for one in sent if isinstance(one, bytes) and one.startswith(nbd.OPTION_MAGIC)]
    return [nbd.OPTION.unpack_from(one)[1] for one in asked]


def test_everything_is_asked_for_and_told() -> None:
    structured = reply(Option.STRUCTURED_REPLY, Reply.ACK)
    context = reply(Option.SET_META_CONTEXT, Reply.META_CONTEXT, b"\0\0\0\5base:allocation")
    context += reply(Option.SET_META_CONTEXT, Reply.ACK)
    words = reply(Option.GO, Reply.INFO, struct.pack(">H", Info.DESCRIPTION) + b"a disk")
    name = reply(Option.GO, Reply.INFO, struct.pack(">H", Info.NAME) + b"disk")
    server = HELLO + structured + context + export() + blocks(512, 4096, 1 << 20) + words + name
    agreement, sent = played(Greeting("here").open("disk"), server + GO)
    assert agreement.context == 5
    assert agreement.info == ExportInfo(
        name="disk",
        size=4096,
        flags=FLAGS,
        description="a disk",
        minimum_block=512,
        preferred_block=4096,
        maximum_payload=1 << 20,
        contexts=("base:allocation",),
        structured=True,
    )
    assert options(sent) == [Option.STRUCTURED_REPLY, Option.SET_META_CONTEXT, Option.GO]
    assert sent[0] == b"\0\0\0\3"


@pytest.mark.parametrize("zeroes", [True, False])
@pytest.mark.parametrize("fixed", [True, False])
def test_old_servers_are_asked_by_export_name(fixed: bool, zeroes: bool) -> None:
    hello = HELLO[:-1] + bytes([int(fixed) + 2 * (not zeroes)])
    refusals = NO_EXTRAS + unsupported(Option.GO) if fixed else b""
    server = hello + refusals + nbd.EXPORT.pack(8192, FLAGS) + bytes(124 * zeroes)
    agreement, sent = played(Greeting("here").open("disk"), server)
    assert agreement == Agreement(ExportInfo(name="disk", size=8192, flags=FLAGS))
    assert options(sent)[-1] == Option.EXPORT_NAME
    with pytest.raises(membuf.TargetNotFoundError, match="hung up when asked for the export"):
        played(Greeting("here").open("disk"), hello + refusals)


def test_describing_opens_nothing_where_it_can_be_avoided() -> None:
    info = export().replace(struct.pack(">I", Option.GO), struct.pack(">I", Option.INFO), 1)
    server = HELLO + NO_EXTRAS + info + reply(Option.INFO, Reply.ACK)
    found, sent = played(Greeting("here").describe("disk"), server)
    assert (found.size, options(sent)[-2:]) == (4096, [Option.INFO, Option.ABORT])
    server = HELLO + NO_EXTRAS + unsupported(Option.INFO) + nbd.EXPORT.pack(512, FLAGS)
    found, sent = played(Greeting("here").describe("disk"), server)
    assert (found.size, options(sent)[-1]) == (512, Option.EXPORT_NAME)


def test_exports_are_listed_with_what_is_known_of_them() -> None:
    one = reply(Option.LIST, Reply.SERVER, b"\0\0\0\3onefirst")
    two = reply(Option.LIST, Reply.SERVER, b"\0\0\0\0")
    info = export().replace(struct.pack(">I", Option.GO), struct.pack(">I", Option.INFO), 1)
    server = HELLO + NO_EXTRAS + one + two + reply(Option.LIST, Reply.ACK)
    server += info + reply(Option.INFO, Reply.ACK) + unsupported(Option.INFO)
    found, sent = played(Greeting("here").list_exports(), server)
    assert [(one.name, one.size, one.description) for one in found] == [
        ("one", 4096, "first"),
        ("", None, ""),
    ]
    assert options(sent)[-1] == Option.ABORT


def test_tls_comes_before_everything_else() -> None:
    server = HELLO + reply(Option.STARTTLS, Reply.ACK) + NO_EXTRAS + export() + GO
    agreement, sent = played(Greeting("here", tls=True).open(""), server)
    assert agreement.info.size == 4096
    assert options(sent[:2]) == [Option.STARTTLS]
    assert isinstance(sent[2], StartTls)


REFUSALS = [
    (export(1 << 63) + GO, membuf.TargetError, "expected less than"),
    (GO, membuf.TargetError, "does not say how long"),
    (reply(3, Reply.ACK), membuf.TargetError, "expected a reply to the option GO"),
    (b"\0" * 64, membuf.TargetError, "expected a reply to the option GO"),
    (nbd.OPTION_REPLY.pack(nbd.OPTION_REPLY_MAGIC, 7, 3, 1 << 31), membuf.TargetError, "has 2147"),
    (reply(7, Reply.INFO, b"\0") + GO, membuf.TargetError, "has 1 bytes"),
    (reply(7, Reply.INFO, b"\0\0abc") + GO, membuf.TargetError, "information EXPORT has 5 bytes"),
    (export() + blocks(3, 4096, 1 << 20) + GO, membuf.TargetError, "power of two"),
    (export() + blocks(0, 4096, 1 << 20) + GO, membuf.TargetError, "power of two"),
    (export() + blocks(1 << 17, 1 << 17, 1 << 20) + GO, membuf.TargetError, "power of two"),
    (export() + blocks(4096, 4096, 512) + GO, membuf.TargetError, "power of two"),
    (
        reply(7, Reply.ERR_UNKNOWN, b"not\nhere"),
        membuf.TargetNotFoundError,
        r"no export 'disk'.*\\n",
    ),
    (reply(7, Reply.ERR_POLICY), membuf.AccessDeniedError, "ERR_POLICY"),
    (reply(7, Reply.ERR_TLS_REQD), membuf.AccessDeniedError, "nbds://"),
    (reply(7, Reply.ERR_SHUTDOWN), membuf.TargetError, "ERR_SHUTDOWN"),
    (reply(7, 0x8000_4711), membuf.TargetError, "error 0x80004711"),
]


@pytest.mark.parametrize(("server", "kind", "words"), REFUSALS)
def test_a_refusal_says_what_came_and_where(
    server: bytes, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        played(Greeting("at-this-place").open("disk"), HELLO + NO_EXTRAS + server)
    assert "at-this-place" in str(caught.value)


def test_tls_is_refused_by_either_side() -> None:
    server = HELLO + reply(Option.STARTTLS, Reply.ERR_POLICY, b"no TLS")
    with pytest.raises(membuf.AccessDeniedError, match=r"the server refused it.*'no TLS'"):
        played(Greeting("here", tls=True).open(""), server)
    with pytest.raises(membuf.AccessDeniedError, match="too old"):
        played(Greeting("here", tls=True).open(""), HELLO[:-1] + b"\0")
    required = HELLO + reply(Option.STRUCTURED_REPLY, Reply.ERR_TLS_REQD)
    with pytest.raises(membuf.AccessDeniedError, match="requires TLS"):
        played(Greeting("here").open(""), required)


def test_a_server_does_not_fill_memory_with_its_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greeting, "MOST_BYTES", 1000)
    item = reply(Option.LIST, Reply.SERVER, (96).to_bytes(4, "big") + b"x" * 96)
    with pytest.raises(membuf.MembufError, match="more than 1000 bytes of replies to LIST"):
        played(Greeting("here").list_exports(), HELLO + NO_EXTRAS + item * 11)


def test_lists_can_be_refused() -> None:
    for answer, words in (
        (reply(Option.LIST, Reply.ERR_POLICY), "ERR_POLICY"),
        (unsupported(Option.LIST), "name one"),
        (reply(3, Reply.SERVER, b"\0\0\0\x09short") + reply(3, Reply.ACK), "longer than its reply"),
    ):
        with pytest.raises(membuf.MembufError, match=words):
            played(Greeting("here").list_exports(), HELLO + NO_EXTRAS + answer)
    with pytest.raises(membuf.TargetError, match="too old to list"):
        played(Greeting("here").list_exports(), HELLO[:-1] + b"\0")


PIECES = some.lists(
    some.sampled_from(
        [HELLO, NO_EXTRAS, export(), GO, blocks(1, 2, 3), unsupported(7), nbd.NBD_MAGIC]
    )
    | some.binary(max_size=40),
    max_size=12,
)


@given(PIECES, some.booleans(), some.sampled_from(["open", "describe", "list_exports"]))
def test_whatever_a_server_sends_is_an_agreement_or_an_error(
    pieces: list[bytes], tls: bool, want: str
) -> None:
    greeting = Greeting("here", tls=tls)
    arguments = [] if want == "list_exports" else ["disk"]
    try:
        came, _ = played(getattr(greeting, want)(*arguments), HELLO + b"".join(pieces))
    except (membuf.MembufError, LostError) as error:
        came = str(error)
    assert isinstance(came, (str, list, Agreement, ExportInfo))


# ---- replies ------------------------------------------------------------------------------------

LENGTH = 64
COOKIE = 3


def chunk(kind: int, payload: bytes, done: bool) -> bytes:
    return nbd.CHUNK.pack(nbd.CHUNK_MAGIC, int(done), kind, COOKIE, len(payload)) + payload


CHUNKS = some.builds(
    chunk,
    some.sampled_from([0, 1, 2, 5, 0x8001, 0x8002, 9]),
    some.binary(max_size=30)
    | some.builds(
        lambda at, data: struct.pack(">Q", 4096 + at) + data,
        some.integers(-4, LENGTH),
        some.binary(max_size=LENGTH + 2),
    )
    | some.builds(
        lambda at, size: struct.pack(">QI", 4096 + at, size),
        some.integers(-4, LENGTH),
        some.integers(0, LENGTH + 4),
    ),
    some.booleans(),
)


def feed(replies: Replies, server: bytes) -> None:
    """Give replies what a server sends."""
    for part in replies.parts():
        length = part.length if isinstance(part, Landing) else len(part)
        if len(server) < length:
            return
        data, server = server[:length], server[length:]
        if not isinstance(part, Landing):
            part[:] = data
            continue
        while data:
            with part.exchange.room(part.start, len(data)) as room:
                assert len(room), "bytes that have no room"
                room[:] = data[: len(room)]
                part.start, data = part.start + len(room), data[len(room) :]


@given(some.lists(CHUNKS | some.binary(max_size=24), max_size=8), some.integers(1, LENGTH - 1))
def test_no_reply_writes_outside_its_read_or_ends_it_twice(pieces: list[bytes], cut: int) -> None:
    memory = bytearray(b"\xaa" * (LENGTH + 32))
    inside = memoryview(memory)[16 : 16 + LENGTH]
    read = Exchange(Command.READ, 4096, LENGTH, [inside[:cut], inside[cut:]])
    waiting = {COOKIE: read}
    ended: list[Exchange] = []

    def over(exchange: Exchange) -> None:
        del waiting[COOKIE]
        ended.append(exchange)

    with contextlib.suppress(LostError):
        feed(Replies(waiting.get, over, structured=True, context=1), b"".join(pieces))
    assert memory[:16] == memory[-16:] == b"\xaa" * 16
    assert len(ended) <= 1
    if ended and read.error is None:
        assert read.coverage is not None
        assert read.coverage.total == LENGTH


@given(some.lists(some.tuples(some.integers(0, 40), some.integers(1, 10)), max_size=20))
def test_coverage_counts_as_a_set_does(parts: list[tuple[int, int]]) -> None:
    coverage, covered = Coverage(), set[int]()
    for start, length in parts:
        new = set(range(start, start + length))
        assert coverage.add(start, start + length) == (not new & covered)
        covered |= new if not new & covered else set()
    assert coverage.total == len(covered)


def test_errors_of_the_wire_are_those_of_the_system() -> None:
    ended: list[Exchange] = []
    flush = Exchange(Command.FLUSH)
    feed(
        Replies({COOKIE: flush}.get, ended.append),
        nbd.SIMPLE_REPLY.pack(nbd.SIMPLE_REPLY_MAGIC, errno.ENOSPC, COOKIE),
    )
    assert ended == [flush]
    assert flush.error == (errno.ENOSPC, "")
