"""The client's half of the negotiation, without I/O.

    greeting -> client flags -> [TLS] -> [structured replies -> metadata context] -> GO
                                                                   an old server: EXPORT_NAME

A negotiation is a generator. It yields what is to be done: a number of bytes to receive (they are
sent into it), bytes to send, or `START_TLS`; `LostError` is raised in it where that fails. It
returns what was agreed on, or raises what a user of the target is to read.

Source: the NBD project's protocol document, "Newstyle negotiation" and "Option types".
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from membuf.base.errors import MembufError, from_errno
from membuf.bus.nbd import protocol as nbd
from membuf.bus.nbd.client.wires import LostError
from membuf.bus.nbd.protocol import Flag, Info, Option, Reply

MOST_REPLIES: Final = 100_000
"""To one option: a list of exports has one for each."""
LARGEST_REPLY: Final = 65536
MOST_BYTES: Final = 64 << 20
"""Of all replies to one option."""
LARGEST_BLOCK: Final = 65536
"""The largest minimum block size that a server may have."""

_OLD_MAGIC: Final = struct.pack(">Q", 0x0000420281861253)
_U32: Final = struct.Struct(">I")
_U16: Final = struct.Struct(">H")
_UNTIL_TOLD: Final = nbd.LARGEST_PAYLOAD


NO_FLAGS: Final = Flag(0)


class StartTls:
    """The step that secures the connection."""


START_TLS: Final = StartTls()

Step = int | bytes | StartTls
Returned = TypeVar("Returned")
Steps = Generator[Step, bytes, Returned]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportInfo:
    """What a server says of an export.

    Attributes:
        name: its name.
        size: its bytes; None where an old server tells only who opens it.
        flags: what it can do.
        description: what the server says it is, or "".
        minimum_block, preferred_block: bytes; offsets and lengths are multiples of the first.
        maximum_payload: the most bytes of a read or write.
        contexts: the metadata contexts that can be asked for.
        structured: whether replies to reads come in pieces.

    >>> ExportInfo(name="disk", size=4096, flags=Flag.HAS_FLAGS | Flag.READ_ONLY).writable
    False
    """

    name: str
    size: int | None = None
    flags: Flag
    description: str = ""
    minimum_block: int = 1
    preferred_block: int = 4096
    maximum_payload: int = _UNTIL_TOLD
    contexts: tuple[str, ...] = ()
    structured: bool = False

    @property
    def writable(self) -> bool:
        """Whether it takes writes."""
        return not self.flags & Flag.READ_ONLY

    @property
    def multiple_connections(self) -> bool:
        """Whether what one connection wrote and flushed, all others see."""
        return bool(self.flags & Flag.CAN_MULTI_CONN)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a negotiation came to.

    Attributes:
        info: the export.
        context: the number under which the server tells of holes and data, or None.
    """

    info: ExportInfo
    context: int | None = None


class UnsupportedError(Exception):
    """The server does not know an option."""


class Greeting:
    """A negotiation.

    Args:
        place: where the server is, for errors.
        tls: whether the connection is to be secured.

    >>> steps = Greeting("example.org").open("disk")
    >>> next(steps)
    8
    >>> steps.send(b"220 mail")
    Traceback (most recent call last):
    membuf.TargetError: [Errno 71] example.org is no NBD server: expected b'NBDMAGIC', got \
b'220 mail': Protocol error
    """

    def __init__(self, place: str, *, tls: bool = False) -> None:
        self._place, self._tls = place, tls
        self._fixed = self._short = self._structured = False

    # ---- what one can want ----------------------------------------------------------------------

    def open(self, export: str) -> Steps[Agreement]:
        """Begin the transmission with an export.

        Raises:
            TargetNotFoundError: there is no such export.
            AccessDeniedError: the server does not let this client have it, or not without TLS.
            TargetError: what is there is no NBD server, or none that one can talk to.
        """
        yield from self._begin()
        if not self._fixed:
            return Agreement((yield from self._export_name(export)))
        self._structured = yield from self._ask_structured()
        context = yield from self._set_context(export) if self._structured else _none()
        try:
            info = yield from self._info(Option.GO, export)
        except UnsupportedError:
            info = yield from self._export_name(export)
        contexts = () if context is None else (nbd.ALLOCATION,)
        info = replace(info, contexts=contexts, structured=self._structured)
        return Agreement(info, context)

    def describe(self, export: str) -> Steps[ExportInfo]:
        """Ask what an export is, without opening it where the server is not an old one.

        Raises:
            MembufError: see `open`.
        """
        yield from self._begin()
        self._structured = yield from self._ask_structured() if self._fixed else _no()
        return (yield from self._describe(export, opening=True))

    def list_exports(self) -> Steps[list[ExportInfo]]:
        """Ask which exports there are, and what each is.

        Raises:
            AccessDeniedError: the server does not tell.
            MembufError: see `open`.
        """
        yield from self._begin()
        if not self._fixed:
            raise self._wrong("it is too old to list its exports: name one")
        self._structured = yield from self._ask_structured()
        try:
            names = yield from self._names()
        except UnsupportedError as error:
            raise self._wrong("it does not list its exports: name one") from error
        found: list[ExportInfo] = []
        for name, description in names:
            info = yield from self._describe(name, opening=False)
            found.append(replace(info, description=info.description or description))
        yield _option(Option.ABORT)
        return found

    # ---- the beginning --------------------------------------------------------------------------

    def _begin(self) -> Steps[None]:
        magic = yield len(nbd.NBD_MAGIC)
        if magic != nbd.NBD_MAGIC:
            raise _protocol(
                f"{self._place} is no NBD server: expected {nbd.NBD_MAGIC!r}, got {magic!r}"
            )
        style = yield len(nbd.OPTION_MAGIC)
        if style == _OLD_MAGIC:
            raise self._wrong("it speaks the oldstyle negotiation, which knows no export names")
        if style != nbd.OPTION_MAGIC:
            raise self._wrong(f"expected {nbd.OPTION_MAGIC!r} after its magic, got {style!r}")
        (flags,) = _U16.unpack((yield _U16.size))
        self._fixed = bool(flags & nbd.FIXED_NEWSTYLE)
        self._short = bool(flags & nbd.NO_ZEROES)
        yield nbd.CLIENT_FLAGS.pack(flags & (nbd.FIXED_NEWSTYLE | nbd.NO_ZEROES))
        if self._tls:
            yield from self._start_tls()

    def _start_tls(self) -> Steps[None]:
        if not self._fixed:
            raise self._denied("TLS was asked for, and the server is too old for it")
        yield _option(Option.STARTTLS)
        kind, data = yield from self._reply(Option.STARTTLS)
        if kind != Reply.ACK:
            raise self._denied(
                "TLS was asked for, and the server refused it"
                f"{_words(data)}: name it nbd:// to do without"
            )
        yield START_TLS

    def _ask_structured(self) -> Steps[bool]:
        yield _option(Option.STRUCTURED_REPLY)
        kind, data = yield from self._reply(Option.STRUCTURED_REPLY)
        if kind == Reply.ERR_TLS_REQD:
            raise self._refusal(kind, data)
        return kind == Reply.ACK

    # ---- metadata contexts ----------------------------------------------------------------------

    def _set_context(self, export: str) -> Steps[int | None]:
        found: int | None = None
        for number, name in (yield from self._contexts(Option.SET_META_CONTEXT, export)):
            if name == nbd.ALLOCATION:
                found = number
        return found

    def _contexts(self, option: Option, export: str) -> Steps[list[tuple[int, str]]]:
        asked = [nbd.ALLOCATION] if option == Option.SET_META_CONTEXT else []
        queries = b"".join(_sized(query) for query in asked)
        yield _option(option, _sized(export) + _U32.pack(len(asked)) + queries)
        found: list[tuple[int, str]] = []
        for kind, data in (yield from self._replies(option)):
            if kind == Reply.META_CONTEXT and len(data) >= _U32.size:
                (number,) = _U32.unpack_from(data)
                found.append((number, _text(data[_U32.size :])))
            elif kind & Reply.ERROR:
                return []  # a server that has none, or cannot say so; the export is asked for next
        return found

    # ---- exports --------------------------------------------------------------------------------

    def _names(self) -> Steps[list[tuple[str, str]]]:
        yield _option(Option.LIST)
        found: list[tuple[str, str]] = []
        for kind, data in (yield from self._replies(Option.LIST)):
            if kind == Reply.ERR_UNSUP:
                raise UnsupportedError
            if kind & Reply.ERROR:
                raise self._refusal(kind, data)
            if kind == Reply.SERVER:
                length = _U32.unpack_from(data)[0] if len(data) >= _U32.size else len(data)
                if length > len(data) - _U32.size:
                    raise self._wrong(f"an export's name is longer than its reply: {data[:64]!r}")
                found.append((_text(data[4 : 4 + length]), _text(data[4 + length :])))
        return found

    def _describe(self, export: str, *, opening: bool) -> Steps[ExportInfo]:
        contexts: list[tuple[int, str]] = []
        if self._structured:
            contexts = yield from self._contexts(Option.LIST_META_CONTEXT, export)
        info = yield from self._ask(export) if self._fixed else _none()
        if info is None and opening:
            info = yield from self._export_name(export)
        elif opening:
            yield _option(Option.ABORT)
        info = info or ExportInfo(name=export, flags=NO_FLAGS)
        names = tuple(name for _, name in contexts)
        return replace(info, contexts=names, structured=self._structured)

    def _ask(self, export: str) -> Steps[ExportInfo | None]:
        """What an export is; None from a server that does not answer that."""
        try:
            return (yield from self._info(Option.INFO, export))
        except UnsupportedError:
            return None

    def _info(self, option: Option, export: str) -> Steps[ExportInfo]:
        asked = (Info.NAME, Info.DESCRIPTION, Info.BLOCK_SIZE)
        pieces = b"".join(_U16.pack(piece) for piece in asked)
        yield _option(option, _sized(export) + _U16.pack(len(asked)) + pieces)
        info = ExportInfo(name=export, flags=NO_FLAGS)
        for kind, data in (yield from self._replies(option)):
            if kind == Reply.ERR_UNSUP:
                raise UnsupportedError
            if kind & Reply.ERROR:
                raise self._refusal(kind, data, export)
            if kind == Reply.INFO:
                info = self._learn(info, data)
        if info.size is None:
            raise self._wrong("it has the export, and does not say how long it is")
        return info

    def _learn(self, info: ExportInfo, data: bytes) -> ExportInfo:
        """Add a piece of information."""
        if len(data) < _U16.size:
            raise self._wrong(f"a piece of information has {len(data)} bytes")
        (kind,) = _U16.unpack_from(data)
        if kind == Info.EXPORT and len(data) == nbd.EXPORT_INFO.size:
            _, size, flags = nbd.EXPORT_INFO.unpack(data)
            return replace(info, size=self._length(size), flags=_flags(flags))
        if kind == Info.BLOCK_SIZE and len(data) == nbd.BLOCK_SIZES.size:
            return self._learn_blocks(info, *nbd.BLOCK_SIZES.unpack(data)[1:])
        if kind in (Info.EXPORT, Info.BLOCK_SIZE):
            raise self._wrong(f"the information {Info(kind).name} has {len(data)} bytes")
        if kind == Info.DESCRIPTION:
            return replace(info, description=_text(data[_U16.size :]))
        return info

    def _learn_blocks(
        self, info: ExportInfo, minimum: int, preferred: int, maximum: int
    ) -> ExportInfo:
        power = minimum and not minimum & (minimum - 1)
        if not power or minimum > LARGEST_BLOCK or maximum < minimum:
            raise self._wrong(
                f"its block sizes are {minimum}, {preferred} and {maximum} bytes; expected a power "
                f"of two up to {LARGEST_BLOCK} first, and no smaller maximum"
            )
        return replace(
            info,
            minimum_block=minimum,
            preferred_block=max(preferred, minimum),
            maximum_payload=min(maximum, nbd.LARGEST_PAYLOAD) // minimum * minimum,
        )

    def _export_name(self, export: str) -> Steps[ExportInfo]:
        """Open an export of a server that knows no GO: it hangs up where there is none."""
        yield _option(Option.EXPORT_NAME, export.encode())
        try:
            answer = yield nbd.EXPORT.size
        except LostError as error:
            raise from_errno(
                errno.ENOENT,
                f"the NBD server {self._place} hung up when asked for the export {export!r}: old "
                "servers do so where there is none",
            ) from error
        size, flags = nbd.EXPORT.unpack(answer)
        if not self._short:
            yield 124
        return ExportInfo(name=export, size=self._length(size), flags=_flags(flags))

    def _length(self, size: int) -> int:
        if size >> 63:
            raise self._wrong(f"its export has {size:#x} bytes; expected less than 2**63")
        return size

    # ---- replies --------------------------------------------------------------------------------

    def _replies(self, option: Option) -> Steps[Iterator[tuple[int, bytes]]]:
        """The replies to an option up to the last one, which is among them if it is an error."""
        found: list[tuple[int, bytes]] = []
        total = 0
        for _ in range(MOST_REPLIES):
            kind, data = yield from self._reply(option)
            total += len(data)
            if total > MOST_BYTES:
                raise self._wrong(f"more than {MOST_BYTES} bytes of replies to {option.name}")
            if kind == Reply.ACK:
                return iter(found)
            found.append((kind, data))
            if kind & Reply.ERROR:
                return iter(found)
        raise self._wrong(f"more than {MOST_REPLIES} replies to the option {option.name}")

    def _reply(self, option: Option) -> Steps[tuple[int, bytes]]:
        magic, answered, kind, length = nbd.OPTION_REPLY.unpack((yield nbd.OPTION_REPLY.size))
        if magic != nbd.OPTION_REPLY_MAGIC or answered != option:
            raise self._wrong(
                f"expected a reply to the option {option.name} with magic "
                f"{nbd.OPTION_REPLY_MAGIC:#x}, got {magic:#x} to {answered}"
            )
        if length > LARGEST_REPLY:
            raise self._wrong(f"its reply to the option {option.name} has {length} bytes")
        return kind, (yield length) if length else b""

    def _refusal(self, kind: int, data: bytes, export: str | None = None) -> MembufError:
        """The error for a reply that is one."""
        words = _words(data)
        if kind == Reply.ERR_UNKNOWN and export is not None:
            return from_errno(errno.ENOENT, f"{self._place} has no export {export!r}{words}")
        if kind == Reply.ERR_TLS_REQD:
            return self._denied(f"the server requires TLS: name it nbds://{words}")
        name = Reply(kind).name if kind in _KINDS else f"error {kind:#x}"
        what = "a request" if export is None else f"the export {export!r}"
        message = f"{self._place} refused {what} with {name}{words}"
        return from_errno(_ERRNO.get(kind, errno.EPROTO), message)

    def _denied(self, what: str) -> MembufError:
        return from_errno(errno.EACCES, f"{self._place}: {what}")

    def _wrong(self, what: str) -> MembufError:
        return _protocol(f"cannot talk to the NBD server {self._place}: {what}")


_KINDS: Final = frozenset(Reply)
_ERRNO: Final[Mapping[int, int]] = {
    Reply.ERR_POLICY: errno.EACCES,
    Reply.ERR_INVALID: errno.EINVAL,
    Reply.ERR_PLATFORM: errno.EOPNOTSUPP,
    Reply.ERR_UNSUP: errno.EOPNOTSUPP,
    Reply.ERR_SHUTDOWN: errno.ESHUTDOWN,
    Reply.ERR_TOO_BIG: errno.E2BIG,
}


def _no() -> Steps[bool]:
    return False
    yield


def _none() -> Steps[None]:
    return None
    yield


def _protocol(message: str) -> MembufError:
    return from_errno(errno.EPROTO, message)


def _option(option: Option, data: bytes = b"") -> bytes:
    return nbd.OPTION.pack(nbd.OPTION_MAGIC, option, len(data)) + data


def _sized(text: str) -> bytes:
    encoded = text.encode()
    return _U32.pack(len(encoded)) + encoded


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _words(data: bytes) -> str:
    """What the server said of a refusal, fit to be printed."""
    text = _text(data[:500])
    return f" (it said: {text!r})" if text else ""


def _flags(number: int) -> Flag:
    """The flags that are known; without the first one, none are."""
    return Flag(number & _ALL_FLAGS) if number & Flag.HAS_FLAGS else NO_FLAGS


_ALL_FLAGS: Final = int(~NO_FLAGS)
