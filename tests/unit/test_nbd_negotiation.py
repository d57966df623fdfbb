"""The server's half of the negotiation, without a socket: what each option is answered with."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest

import membuf
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.protocol import Flag, Info, Option, Reply
from membuf.bus.nbd.server.export import Export
from membuf.bus.nbd.server.negotiation import (
    MOST_OPTIONS,
    START_TLS,
    HangUpError,
    Negotiation,
    Session,
)
from tests.nbd import named, option, queries

ALLOCATION = b"base:allocation"
EVERYTHING = (
    Flag.HAS_FLAGS
    | Flag.SEND_FLUSH
    | Flag.SEND_FUA
    | Flag.SEND_CACHE
    | Flag.CAN_MULTI_CONN
    | Flag.SEND_WRITE_ZEROES
    | Flag.SEND_FAST_ZERO
    | Flag.SEND_TRIM
)


@pytest.fixture
def target() -> Iterator[Any]:
    """What the exports stand for; nothing of it is used."""
    with membuf.open_target("null:1MiB") as one:
        yield one


@pytest.fixture
def exports(target: Any) -> dict[str, Export]:
    """A default export and one that is only read."""
    return {
        "": export(target, "", 1 << 20),
        "größe": export(target, "größe", 512, readonly=True, description="small"),
    }


def export(target: Any, name: str, size: int, **more: Any) -> Export:
    """An export that can everything."""
    given: dict[str, Any] = {
        "readonly": False,
        "block_sizes": (1, 4096, 1 << 25),
        "trims": True,
        "zeros": True,
        "tells": True,
        "write_through": False,
    }
    return Export(name=name, served=target, size=size, **(given | more))


class Talk:
    """A negotiation that is fed with bytes.

    Attributes:
        said: what it sent and nobody took.
        session: what it came to; None while it goes on.
        secured: how often TLS was to start.
    """

    def __init__(self, exports: dict[str, Export], tls: str = "off", flags: int | None = 3) -> None:
        self._steps = Negotiation(exports, tls).steps()
        self._fed = bytearray()
        self.said = bytearray()
        self.session: Session | None = None
        self.secured = 0
        self._wanted = 0
        self._advance(None)
        assert self.take(nbd.GREETING.size) == b"NBDMAGICIHAVEOPT\x00\x03"
        if flags is not None:
            self.feed(struct.pack(">I", flags))

    def _advance(self, answer: bytes | None) -> None:
        try:
            step = self._steps.send(answer)  # type: ignore[arg-type]
            while not isinstance(step, int):
                if isinstance(step, bytes):
                    self.said += step
                else:
                    assert step is START_TLS
                    self.secured += 1
                step = self._steps.send(b"")
        except StopIteration as end:
            self.session = end.value
        else:
            assert step > 0
            self._wanted = step

    def feed(self, data: bytes) -> None:
        """Send it bytes; those behind the end are left."""
        self._fed += data
        while self.session is None and len(self._fed) >= self._wanted:
            part, self._fed = bytes(self._fed[: self._wanted]), self._fed[self._wanted :]
            self._advance(part)

    def take(self, count: int) -> bytes:
        """Bytes of what it said."""
        assert len(self.said) >= count
        part, self.said = bytes(self.said[:count]), self.said[count:]
        return part

    def ask(self, kind: int, data: bytes = b"", **more: Any) -> list[tuple[int, bytes]]:
        """Send an option; its replies."""
        self.feed(option(kind, data, **more))
        return self.replies(kind)

    def replies(self, kind: int) -> list[tuple[int, bytes]]:
        """All that it said, as replies to one option."""
        found = []
        while self.said:
            magic, asked, reply, size = nbd.OPTION_REPLY.unpack(self.take(nbd.OPTION_REPLY.size))
            assert (magic, asked) == (nbd.OPTION_REPLY_MAGIC, kind)
            found.append((reply, self.take(size)))
        return found

    def kinds(self, kind: int, data: bytes = b"", **more: Any) -> list[int]:
        """Send an option; the kinds of its replies."""
        return [reply for reply, _ in self.ask(kind, data, **more)]


@pytest.fixture
def talk(exports: dict[str, Export]) -> Talk:
    """A negotiation without TLS, after the flags."""
    return Talk(exports)


# ---- greeting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [4, 0x8000_0000, 0xFFFF_FFFF])
def test_unknown_client_flags_end_it(exports: dict[str, Export], flags: int) -> None:
    with pytest.raises(HangUpError, match="unknown client flags"):
        Talk(exports, flags=flags)


@pytest.mark.parametrize("flags", [0, 1, 2, 3])
def test_known_client_flags_go_on(exports: dict[str, Export], flags: int) -> None:
    assert Talk(exports, flags=flags).kinds(Option.LIST)[-1] == Reply.ACK


def test_an_option_that_begins_otherwise_ends_it(talk: Talk) -> None:
    with pytest.raises(HangUpError, match="an option begins with"):
        talk.feed(b"IHAVEOPX" + bytes(8))


@pytest.mark.parametrize("length", [nbd.LARGEST_OPTION + 1, 0xFFFF_FFFF])
def test_an_option_that_is_too_long_ends_it_before_its_data(talk: Talk, length: int) -> None:
    with pytest.raises(HangUpError, match=f"has {length} bytes"):
        talk.feed(option(Option.GO, length=length))


def test_the_longest_option_is_answered(talk: Talk) -> None:
    assert talk.kinds(0x1234, bytes(nbd.LARGEST_OPTION)) == [Reply.ERR_UNSUP]


@pytest.mark.parametrize("kind", [0, 4, 11, 99, 0xFFFF_FFFF])
@pytest.mark.parametrize("data", [b"", b"x" * 1000])
def test_an_unknown_option_is_refused_and_it_goes_on(talk: Talk, kind: int, data: bytes) -> None:
    assert talk.kinds(kind, data) == [Reply.ERR_UNSUP]
    assert talk.kinds(Option.STRUCTURED_REPLY) == [Reply.ACK]


def test_a_flood_of_options_ends(talk: Talk) -> None:
    for _ in range(MOST_OPTIONS - 1):
        assert talk.kinds(99) == [Reply.ERR_UNSUP]
    with pytest.raises(HangUpError, match="more than"):
        talk.feed(option(99))


@pytest.mark.parametrize("cut", [1, 7])
def test_it_waits_for_the_rest_of_an_option(talk: Talk, cut: int) -> None:
    whole = option(Option.GO, named(b""))
    talk.feed(whole[:-cut])
    assert (talk.session, bytes(talk.said)) == (None, b"")
    talk.feed(whole[-cut:])
    assert talk.session is not None


# ---- options without data ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Option.LIST, Option.STARTTLS, Option.STRUCTURED_REPLY])
def test_data_where_none_belongs_is_refused(talk: Talk, kind: int) -> None:
    assert talk.kinds(kind, b"x") == [Reply.ERR_INVALID]


def test_an_abort_is_acknowledged_and_polite(talk: Talk) -> None:
    with pytest.raises(HangUpError) as caught:
        talk.feed(option(Option.ABORT))
    assert caught.value.polite
    assert talk.replies(Option.ABORT) == [(Reply.ACK, b"")]


def test_an_abort_whose_answer_nobody_waits_for_is_polite(exports: dict[str, Export]) -> None:
    steps = Negotiation(exports).steps()
    next(steps)
    steps.send(b"")
    steps.send(struct.pack(">I", 3))
    assert steps.send(option(Option.ABORT)) == nbd.OPTION_REPLY.pack(
        nbd.OPTION_REPLY_MAGIC, Option.ABORT, Reply.ACK, 0
    )
    with pytest.raises(HangUpError) as caught:
        steps.throw(BrokenPipeError())
    assert caught.value.polite


def test_the_list_names_every_export(talk: Talk) -> None:
    names = ["", "größe"]
    expected = [(Reply.SERVER, packed(name.encode())) for name in names]
    assert talk.ask(Option.LIST) == [*expected, (Reply.ACK, b"")]


def packed(name: bytes) -> bytes:
    """A name with its length before it."""
    return struct.pack(">I", len(name)) + name


def test_exports_may_change_while_they_are_listed(exports: dict[str, Export]) -> None:
    steps = Negotiation(exports).steps()
    for answer in (None, b"", struct.pack(">I", 3), option(Option.LIST)):
        step = steps.send(answer)  # type: ignore[arg-type]
    assert isinstance(step, bytes)
    one = exports.pop("")
    exports["other"] = exports["more"] = one
    said = [steps.send(b"") for _ in range(2)]
    assert all(isinstance(step, bytes) for step in said)
    assert steps.send(b"") == nbd.OPTION.size


# ---- INFO and GO ---------------------------------------------------------------------------------


def test_go_gives_the_export(talk: Talk, exports: dict[str, Export]) -> None:
    (first, data), last = talk.ask(Option.GO, named(b""))
    assert (first, data) == (Reply.INFO, struct.pack(">HQH", 0, 1 << 20, EVERYTHING))
    assert last == (Reply.ACK, b"")
    assert talk.session == Session(exports[""], structured=False, allocation=False)


def test_info_gives_the_same_and_goes_on(talk: Talk, exports: dict[str, Export]) -> None:
    first = talk.ask(Option.INFO, named(b""))
    assert talk.session is None
    assert talk.ask(Option.GO, named(b"")) == first
    assert talk.session is not None


def test_info_answers_what_was_asked_once_each(talk: Talk) -> None:
    asked = [Info.NAME, Info.DESCRIPTION, Info.BLOCK_SIZE, 77, Info.NAME, Info.EXPORT]
    replies = talk.ask(Option.INFO, named("größe".encode(), *asked))
    readonly = EVERYTHING & ~(Flag.SEND_TRIM | Flag.SEND_WRITE_ZEROES | Flag.SEND_FAST_ZERO)
    assert replies == [
        (Reply.INFO, struct.pack(">HQH", 0, 512, readonly | Flag.READ_ONLY)),
        (Reply.INFO, struct.pack(">H", Info.NAME) + "größe".encode()),
        (Reply.INFO, struct.pack(">H", Info.DESCRIPTION) + b"small"),
        (Reply.INFO, struct.pack(">HIII", Info.BLOCK_SIZE, 1, 4096, 1 << 25)),
        (Reply.ACK, b""),
    ]


def test_a_description_that_there_is_not_is_left_out(talk: Talk) -> None:
    replies = talk.ask(Option.INFO, named(b"", Info.DESCRIPTION))
    assert [kind for kind, _ in replies] == [Reply.INFO, Reply.ACK]


def test_a_flood_of_information_is_answered_once(talk: Talk) -> None:
    data = named("größe".encode(), *[Info.NAME, 9, 10] * 10_000)
    assert len(talk.ask(Option.INFO, data)) == 3


@pytest.mark.parametrize("kind", [Option.INFO, Option.GO])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        bytes(3),
        bytes(4),
        bytes(5),
        struct.pack(">I", 1),
        struct.pack(">I", 0xFFFF_FFFF) + bytes(10),
        struct.pack(">I", 5) + b"four",
        struct.pack(">I", nbd.LARGEST_NAME + 1) + bytes(nbd.LARGEST_NAME + 1 + 2),
        named(b"", count=1),
        named(b"", 1, count=0),
        named(b"", 1, 2, count=0xFFFF),
        named(b"", 3) + b"x",
        named(b"name")[:-1],
    ],
)
def test_lengths_that_disagree_are_refused(talk: Talk, kind: int, data: bytes) -> None:
    assert talk.kinds(kind, data) == [Reply.ERR_INVALID]
    assert talk.session is None
    assert talk.kinds(Option.GO, named(b""))[-1] == Reply.ACK


@pytest.mark.parametrize("kind", [Option.INFO, Option.GO])
@pytest.mark.parametrize("name", [b"no", b"\xff", b"\0", "GRÖSSE".encode(), b"x" * 4096])
def test_an_unknown_export_is_refused(talk: Talk, kind: int, name: bytes) -> None:
    assert talk.kinds(kind, named(name)) == [Reply.ERR_UNKNOWN]
    assert talk.session is None


def test_the_default_export_is_the_first_where_none_has_no_name(target: Any) -> None:
    one = export(target, "only", 1)
    talk = Talk({"only": one})
    talk.ask(Option.GO, named(b""))
    assert talk.session == Session(one)


def test_bytes_behind_go_are_left_for_the_transmission(talk: Talk) -> None:
    talk.feed(option(Option.GO, named(b"")) + b"command")
    assert talk.session is not None
    assert bytes(talk._fed) == b"command"


# ---- EXPORT_NAME ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("flags", "zeroes"), [(0, 124), (1, 124), (2, 0), (3, 0)])
def test_the_old_way_to_the_export(exports: dict[str, Export], flags: int, zeroes: int) -> None:
    talk = Talk(exports, flags=flags)
    talk.feed(option(Option.EXPORT_NAME, b""))
    assert bytes(talk.said) == struct.pack(">QH", 1 << 20, EVERYTHING) + bytes(zeroes)
    assert talk.session == Session(exports[""])


def test_the_old_way_keeps_what_was_agreed_on(talk: Talk, exports: dict[str, Export]) -> None:
    talk.ask(Option.STRUCTURED_REPLY)
    talk.ask(Option.SET_META_CONTEXT, queries("größe".encode(), ALLOCATION))
    talk.feed(option(Option.EXPORT_NAME, "größe".encode()))
    assert talk.session == Session(exports["größe"], structured=True, allocation=True)
    _, flags = struct.unpack(">QH", talk.said)
    assert flags & Flag.SEND_DF


@pytest.mark.parametrize("name", [b"no", b"\xff\xfe", b"x" * 4097, b"x" * nbd.LARGEST_OPTION])
def test_the_old_way_to_nowhere_ends_it(talk: Talk, name: bytes) -> None:
    with pytest.raises(HangUpError, match="no export"):
        talk.feed(option(Option.EXPORT_NAME, name))
    assert bytes(talk.said) == b""


# ---- structured replies and contexts -------------------------------------------------------------


def test_structured_replies_are_the_sessions(talk: Talk) -> None:
    assert talk.kinds(Option.STRUCTURED_REPLY) == [Reply.ACK]
    assert talk.kinds(Option.STRUCTURED_REPLY) == [Reply.ACK]
    talk.ask(Option.GO, named(b""))
    assert talk.session is not None
    assert (talk.session.structured, talk.session.allocation) == (True, False)


def test_the_flag_of_fragments_goes_with_structured_replies(talk: Talk) -> None:
    assert not flags_of(talk) & Flag.SEND_DF
    talk.ask(Option.STRUCTURED_REPLY)
    assert flags_of(talk) & Flag.SEND_DF


def flags_of(talk: Talk) -> int:
    """The default export's transmission flags."""
    return int(struct.unpack(">HQH", talk.ask(Option.INFO, named(b""))[0][1])[2])


def test_contexts_need_structured_replies(talk: Talk) -> None:
    assert talk.kinds(Option.SET_META_CONTEXT, queries(b"", ALLOCATION)) == [Reply.ERR_INVALID]
    assert talk.kinds(Option.LIST_META_CONTEXT, queries(b""))[-1] == Reply.ACK


@pytest.mark.parametrize("asked", [(), (b"base:",), (b"base:allocation",), (b"x", b"base:")])
def test_contexts_are_listed(talk: Talk, asked: tuple[bytes, ...]) -> None:
    replies = talk.ask(Option.LIST_META_CONTEXT, queries(b"", *asked))
    assert replies == [(Reply.META_CONTEXT, bytes(4) + ALLOCATION), (Reply.ACK, b"")]


@pytest.mark.parametrize("asked", [(b"base",), (b"qemu:dirty-bitmap:",), (b"",), (b"BASE:",)])
def test_other_contexts_there_are_not(talk: Talk, asked: tuple[bytes, ...]) -> None:
    assert talk.ask(Option.LIST_META_CONTEXT, queries(b"", *asked)) == [(Reply.ACK, b"")]


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [
        ((), False),
        ((b"base:",), False),
        ((b"base:allocation",), True),
        ((b"x:y", b"base:allocation", b"base:allocation"), True),
        ((b"base:allocation:more",), False),
    ],
)
def test_contexts_are_set(talk: Talk, asked: tuple[bytes, ...], agreed: bool) -> None:
    talk.ask(Option.STRUCTURED_REPLY)
    replies = talk.ask(Option.SET_META_CONTEXT, queries(b"", *asked))
    context = [(Reply.META_CONTEXT, struct.pack(">I", 1) + ALLOCATION)]
    assert replies == [*(context if agreed else []), (Reply.ACK, b"")]
    talk.ask(Option.GO, named(b""))
    assert talk.session is not None
    assert talk.session.allocation is agreed


@pytest.mark.parametrize(
    ("then", "why"),
    [
        (queries(b""), "nothing is asked for"),
        (queries(b"no"), "an unknown export"),
        (queries(b"", ALLOCATION, count=2), "lengths that disagree"),
        (queries("größe".encode(), ALLOCATION), "another export"),
    ],
    ids=str,
)
def test_setting_contexts_again_forgets_those_before(talk: Talk, then: bytes, why: str) -> None:
    talk.ask(Option.STRUCTURED_REPLY)
    talk.ask(Option.SET_META_CONTEXT, queries(b"", ALLOCATION))
    talk.ask(Option.SET_META_CONTEXT, then)
    talk.ask(Option.GO, named(b""))
    assert talk.session is not None
    assert not talk.session.allocation, why


def test_listing_contexts_changes_nothing(talk: Talk) -> None:
    talk.ask(Option.STRUCTURED_REPLY)
    talk.ask(Option.SET_META_CONTEXT, queries(b"", ALLOCATION))
    talk.ask(Option.LIST_META_CONTEXT, queries(b"no"))
    talk.ask(Option.GO, named(b""))
    assert talk.session is not None
    assert talk.session.allocation


@pytest.mark.parametrize("kind", [Option.LIST_META_CONTEXT, Option.SET_META_CONTEXT])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(3),
        bytes(4),
        bytes(7),
        struct.pack(">I", 1) + b"n",
        struct.pack(">I", 0xFFFF_FFFF) + bytes(8),
        queries(b"", ALLOCATION, count=0),
        queries(b"", ALLOCATION, count=2),
        queries(b"", ALLOCATION, count=0xFFFF_FFFF),
        queries(b"", ALLOCATION)[:-1],
        queries(b"", ALLOCATION) + b"x",
        queries(b"", b"x" * 4097),
        queries(b"x" * 4097, ALLOCATION),
        queries(b"", *[b"x"] * 65),
    ],
)
def test_queries_that_disagree_are_refused(talk: Talk, kind: int, data: bytes) -> None:
    talk.ask(Option.STRUCTURED_REPLY)
    assert talk.kinds(kind, data) == [Reply.ERR_INVALID]


@pytest.mark.parametrize("kind", [Option.LIST_META_CONTEXT, Option.SET_META_CONTEXT])
def test_contexts_of_an_unknown_export_are_refused(talk: Talk, kind: int) -> None:
    talk.ask(Option.STRUCTURED_REPLY)
    assert talk.kinds(kind, queries(b"no", ALLOCATION)) == [Reply.ERR_UNKNOWN]


# ---- TLS -----------------------------------------------------------------------------------------


def test_a_server_without_tls_says_so(talk: Talk) -> None:
    assert talk.kinds(Option.STARTTLS) == [Reply.ERR_POLICY]
    assert talk.secured == 0


@pytest.mark.parametrize(
    "kind",
    [
        Option.LIST,
        Option.INFO,
        Option.GO,
        Option.STRUCTURED_REPLY,
        Option.LIST_META_CONTEXT,
        Option.SET_META_CONTEXT,
        99,
    ],
)
def test_where_tls_is_required_nothing_else_is_answered(
    exports: dict[str, Export], kind: int
) -> None:
    talk = Talk(exports, "require")
    assert talk.kinds(kind, named(b"")) == [Reply.ERR_TLS_REQD]
    assert talk.session is None


def test_where_tls_is_required_the_old_way_ends_it(exports: dict[str, Export]) -> None:
    talk = Talk(exports, "require")
    with pytest.raises(HangUpError, match="TLS is required"):
        talk.feed(option(Option.EXPORT_NAME, b""))
    assert bytes(talk.said) == b""


def test_where_tls_is_required_goodbye_may_be_said(exports: dict[str, Export]) -> None:
    talk = Talk(exports, "require")
    with pytest.raises(HangUpError) as caught:
        talk.feed(option(Option.ABORT))
    assert caught.value.polite


@pytest.mark.parametrize("mode", ["allow", "require"])
def test_a_secured_connection_begins_anew(exports: dict[str, Export], mode: str) -> None:
    talk = Talk(exports, mode)
    talk.ask(Option.STRUCTURED_REPLY)
    talk.ask(Option.SET_META_CONTEXT, queries(b"", ALLOCATION))
    assert talk.kinds(Option.STARTTLS) == [Reply.ACK]
    assert talk.secured == 1
    talk.ask(Option.GO, named(b""))
    assert talk.session == Session(exports[""], structured=False, allocation=False)


@pytest.mark.parametrize("mode", ["allow", "require"])
def test_what_is_agreed_on_in_secret_holds(exports: dict[str, Export], mode: str) -> None:
    talk = Talk(exports, mode)
    assert talk.kinds(Option.STARTTLS) == [Reply.ACK]
    talk.ask(Option.STRUCTURED_REPLY)
    talk.ask(Option.SET_META_CONTEXT, queries(b"", ALLOCATION))
    talk.ask(Option.GO, named(b""))
    assert talk.session == Session(exports[""], structured=True, allocation=True)


@pytest.mark.parametrize("mode", ["allow", "require"])
def test_a_connection_is_secured_once(exports: dict[str, Export], mode: str) -> None:
    talk = Talk(exports, mode)
    assert talk.kinds(Option.STARTTLS) == [Reply.ACK]
    assert talk.kinds(Option.STARTTLS) == [Reply.ERR_INVALID]
    assert talk.secured == 1


def test_where_tls_is_allowed_it_goes_without(exports: dict[str, Export]) -> None:
    talk = Talk(exports, "allow")
    talk.ask(Option.GO, named(b""))
    assert talk.session == Session(exports[""])
    assert talk.secured == 0


def test_starttls_with_data_does_not_start_it(exports: dict[str, Export]) -> None:
    talk = Talk(exports, "require")
    assert talk.kinds(Option.STARTTLS, b"x") == [Reply.ERR_INVALID]
    assert talk.secured == 0
