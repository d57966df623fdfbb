"""The server's half of the negotiation, without I/O.

    greeting --> client flags --> options --> GO or EXPORT_NAME: the transmission begins
                                         +--> ABORT, or what is no NBD: the connection ends

A negotiation is a generator. It yields what is to be done: a number of bytes to receive (they are
sent into it), bytes to send (the error is raised in it where that fails), or `START_TLS`. It
returns the `Session` that was agreed on.

Source: the NBD project's protocol document, "Option haggling" and "Option types".
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Final

from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.protocol import Info, Option, Reply
from membuf.bus.nbd.server.export import Export

MOST_OPTIONS: Final = 1024
"""Options of one negotiation: a client needs a dozen."""
_MOST_QUERIES: Final = 64

CONTEXT_ID: Final = 1
_U32: Final = struct.Struct(">I")
_U16: Final = struct.Struct(">H")


class StartTls:
    """The step that secures the connection."""


START_TLS: Final = StartTls()

Step = int | bytes | StartTls


class HangUpError(Exception):
    """The connection ends: what the client sent is not what a client sends, or it said goodbye.

    Attributes:
        polite: whether the client asked for it.
    """

    def __init__(self, why: str, *, polite: bool = False) -> None:
        super().__init__(why)
        self.polite = polite


@dataclass(frozen=True, slots=True)
class Session:
    """What a negotiation came to.

    Attributes:
        export: what the client gets.
        structured: whether replies are structured.
        allocation: whether the client may ask which parts hold data.
    """

    export: Export
    structured: bool = False
    allocation: bool = False


Steps = Generator[Step, bytes, Session]
Answers = Generator[Step, bytes, Session | None]


class Negotiation:
    """One negotiation.

    Args:
        exports: what is served, by name.
        tls: "off", "allow" or "require".
    """

    def __init__(self, exports: Mapping[str, Export], tls: str = "off") -> None:
        self._exports = exports
        self._tls = tls
        self._secure = False
        self._answers: Mapping[int, Callable[[int, bytes], Answers]] = {
            Option.EXPORT_NAME: self._export_name,
            Option.ABORT: self._abort,
            Option.LIST: self._list,
            Option.STARTTLS: self._start_tls,
            Option.INFO: self._info,
            Option.GO: self._info,
            Option.STRUCTURED_REPLY: self._structured_reply,
            Option.LIST_META_CONTEXT: self._meta_context,
            Option.SET_META_CONTEXT: self._meta_context,
        }
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Nothing is agreed on; so again when the connection is secured."""
        self._structured = False
        self._context_of: str | None = None

    def steps(self) -> Steps:
        """The negotiation.

        Raises:
            HangUpError: the connection ends.
        """
        greeting = nbd.FIXED_NEWSTYLE | nbd.NO_ZEROES
        yield nbd.GREETING.pack(nbd.NBD_MAGIC, nbd.OPTION_MAGIC, greeting)
        (flags,) = nbd.CLIENT_FLAGS.unpack((yield nbd.CLIENT_FLAGS.size))
        if flags & ~greeting:
            raise HangUpError(f"unknown client flags {flags:#x}")
        self._zeroes = not flags & nbd.NO_ZEROES
        for _ in range(MOST_OPTIONS):
            option, data = yield from self._receive()
            session = yield from self._answer(option, data)
            if session is not None:
                return session
        raise HangUpError(f"more than {MOST_OPTIONS} options")

    def _receive(self) -> Generator[Step, bytes, tuple[int, bytes]]:
        magic, option, length = nbd.OPTION.unpack((yield nbd.OPTION.size))
        if magic != nbd.OPTION_MAGIC:
            raise HangUpError(f"an option begins with {nbd.OPTION_MAGIC!r}, not {magic!r}")
        if length > nbd.LARGEST_OPTION:
            raise HangUpError(f"option {option} has {length} bytes of data")
        return option, (yield length) if length else b""

    def _answer(self, option: int, data: bytes) -> Answers:
        if self._tls == "require" and not self._secure and option not in _IN_THE_CLEAR:
            if option == Option.EXPORT_NAME:
                raise HangUpError("TLS is required, and the client did not ask for it")
            yield _reply(option, Reply.ERR_TLS_REQD, b"this server requires TLS")
            return None
        answer = self._answers.get(option)
        if answer is None:
            yield _reply(option, Reply.ERR_UNSUP, b"there is no such option here")
            return None
        if option in _WITHOUT_DATA and data:
            yield _reply(option, Reply.ERR_INVALID, b"this option takes no data")
            return None
        return (yield from answer(option, data))

    # ---- options --------------------------------------------------------------------------------

    def _abort(self, option: int, _: bytes) -> Answers:
        with contextlib.suppress(OSError):  # who says goodbye need not wait for an answer
            yield _reply(option, Reply.ACK)
        raise HangUpError("the client aborted the negotiation", polite=True)

    def _list(self, option: int, _: bytes) -> Answers:
        for name in list(self._exports):  # while it is sent, others may come to be served
            encoded = name.encode()
            yield _reply(option, Reply.SERVER, _U32.pack(len(encoded)) + encoded)
        yield _reply(option, Reply.ACK)
        return None

    def _start_tls(self, option: int, _: bytes) -> Answers:
        if self._tls == "off":
            yield _reply(option, Reply.ERR_POLICY, b"this server has no TLS")
        elif self._secure:
            yield _reply(option, Reply.ERR_INVALID, b"the connection is secure already")
        else:
            yield _reply(option, Reply.ACK)
            yield START_TLS
            self._secure = True
            self._begin_anew()
        return None

    def _structured_reply(self, option: int, _: bytes) -> Answers:
        self._structured = True
        yield _reply(option, Reply.ACK)
        return None

    def _export_name(self, _: int, data: bytes) -> Answers:
        export = self._find(data)
        if export is None:
            raise HangUpError(f"no export {data[:100]!r}")
        flags = export.flags(structured=self._structured)
        yield nbd.EXPORT.pack(export.size, flags) + bytes(124 if self._zeroes else 0)
        return Session(export, self._structured, self._has_context(data))

    def _info(self, option: int, data: bytes) -> Answers:
        name, wanted = _name_and_rest(data)
        if name is None or len(wanted) < 2 or len(wanted) != 2 + 2 * _U16.unpack_from(wanted)[0]:
            yield _reply(option, Reply.ERR_INVALID, b"the lengths of the option do not agree")
            return None
        export = self._find(name)
        if export is None:
            yield _reply(option, Reply.ERR_UNKNOWN, b"there is no such export")
            return None
        flags = export.flags(structured=self._structured)
        yield _reply(option, Reply.INFO, nbd.EXPORT_INFO.pack(Info.EXPORT, export.size, flags))
        for (kind,) in dict.fromkeys(_U16.iter_unpack(wanted[2:])):  # each piece once
            piece = _PIECES.get(kind, _no_piece)(export)
            if piece is not None:
                yield _reply(option, Reply.INFO, _U16.pack(kind) + piece)
        yield _reply(option, Reply.ACK)
        if option == Option.INFO:
            return None
        return Session(export, self._structured, self._has_context(name))

    def _meta_context(self, option: int, data: bytes) -> Answers:
        setting = option == Option.SET_META_CONTEXT
        if setting:
            self._context_of = None
        name, rest = _name_and_rest(data)
        queries = None if name is None else _queries(rest)
        if name is None or queries is None or (setting and not self._structured):
            yield _reply(option, Reply.ERR_INVALID, b"ask for structured replies before")
            return None
        if self._find(name) is None:
            yield _reply(option, Reply.ERR_UNKNOWN, b"there is no such export")
            return None
        if _wants_allocation(queries, setting=setting):
            identity = CONTEXT_ID if setting else 0
            context = _U32.pack(identity) + nbd.ALLOCATION.encode()
            yield _reply(option, Reply.META_CONTEXT, context)
            if setting:
                self._context_of = name.decode(errors="replace")
        yield _reply(option, Reply.ACK)
        return None

    # ---- inside ---------------------------------------------------------------------------------

    def _find(self, name: bytes) -> Export | None:
        """The export of that name; the default one, "", is the first."""
        export = self._exports.get(name.decode(errors="replace"))
        if export is None and not name:
            return next(iter(self._exports.values()), None)
        return export

    def _has_context(self, name: bytes) -> bool:
        """Whether the context was agreed on for the very export."""
        return self._structured and self._context_of == name.decode(errors="replace")


_IN_THE_CLEAR: Final = (Option.STARTTLS, Option.ABORT)
_WITHOUT_DATA: Final = (Option.ABORT, Option.LIST, Option.STARTTLS, Option.STRUCTURED_REPLY)


def _reply(option: int, kind: int, data: bytes = b"") -> bytes:
    return nbd.OPTION_REPLY.pack(nbd.OPTION_REPLY_MAGIC, option, kind, len(data)) + data


def _name_and_rest(data: bytes) -> tuple[bytes | None, bytes]:
    """A name with its length before it, and what follows; no name where there is not so much."""
    if len(data) < 4:
        return None, b""
    (length,) = _U32.unpack_from(data)
    if length > nbd.LARGEST_NAME or length > len(data) - 4:
        return None, b""
    return data[4 : 4 + length], data[4 + length :]


def _queries(data: bytes) -> list[bytes] | None:
    if len(data) < 4:
        return None
    (count,) = _U32.unpack_from(data)
    data = data[4:]
    queries: list[bytes] = []
    while data and len(queries) < _MOST_QUERIES:
        query, data = _name_and_rest(data)
        if query is None:
            return None
        queries.append(query)
    return queries if len(queries) == count and not data else None


def _wants_allocation(queries: list[bytes], *, setting: bool) -> bool:
    """Whether one of the queries names the context; a list may ask for all of a namespace."""
    if nbd.ALLOCATION.encode() in queries:
        return True
    return not setting and (not queries or b"base:" in queries)


def _fit(text: str) -> bytes:
    """UTF-8 of at most 4096 bytes: a file's name need not be."""
    return text.encode(errors="replace")[: nbd.LARGEST_NAME].decode(errors="ignore").encode()


def _no_piece(_: Export) -> bytes | None:
    return None


_PIECES: Final[Mapping[int, Callable[[Export], bytes | None]]] = {
    Info.NAME: lambda export: export.name.encode(),
    Info.DESCRIPTION: lambda export: _fit(export.description) or None,
    Info.BLOCK_SIZE: lambda export: struct.pack(">III", *export.block_sizes),
}
