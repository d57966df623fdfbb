"""What every MDL has: the bytes it describes, whose pages they are, and which calls are legal."""

# ruff: noqa: SLF001 - an MDL looks into its source, which is another of its class

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, SupportsIndex

from membuf._native import Pointer
from membuf.base.errors import InvalidParameterError, ObjectDeletedError
from membuf.mdl import rules
from membuf.mdl._system import Exporter
from membuf.mdl.flags import MdlFlags
from membuf.mdl.live import LiveMdl, owner_of
from membuf.mdl.locks import page_locks
from membuf.mdl.pages import (
    MAXIMUM_BYTE_COUNT,
    PAGE_SIZE,
    byte_offset,
    page_align,
    span_pages,
)
from membuf.memory import check_range
from membuf.pool import NONPAGED

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from membuf.mdl.live import Life
    from membuf.mdl.mdl import Mdl
    from membuf.mdl.rules import Kind

Access = Literal["read", "write"]

GONE: Final = memoryview(b"")
"""The bytes of an MDL that was freed."""


class Described(Exporter):
    """The bytes of an MDL and its state; see `Mdl`."""

    __slots__ = (
        "__weakref__",
        "_address",
        "_capacity",
        "_era",
        "_framework_owner",
        "_held",
        "_kind",
        "_locked",
        "_locks",
        "_mapping",
        "_next",
        "_pin_era",
        "_pin_locked",
        "_pins",
        "_source",
        "_source_locks",
        "_span",
        "_view",
        "life",
    )

    life: Life
    _address: int
    _capacity: int
    _era: int
    _framework_owner: object
    _held: list[None]
    _kind: Kind
    _locked: Access | None
    _locks: int
    _mapping: Pointer | None
    _next: Mdl | None
    _pin_era: int
    _pin_locked: bool
    _pins: tuple[int, ...]
    _source: Mdl | None
    _source_locks: int
    _span: tuple[int, int]
    _view: memoryview

    # ---- what it describes ----------------------------------------------------------------------

    @property
    def address(self) -> int:
        """The address of the first byte (MmGetMdlVirtualAddress)."""
        self._alive("read")
        return self._address

    @property
    def byte_count(self) -> int:
        """How many bytes it describes (MmGetMdlByteCount)."""
        return len(self._view)

    @property
    def byte_offset(self) -> int:
        """Where in its page the first byte lies (MmGetMdlByteOffset)."""
        return byte_offset(self.address)

    @property
    def page_count(self) -> int:
        """The pages that its bytes span."""
        start, end = self._span
        return (end - start) // PAGE_SIZE

    @property
    def kind(self) -> Kind:
        """How it was made: "raw", "locked", "nonpaged", "partial" or "pages"."""
        return self._kind

    @property
    def locked(self) -> Access | None:
        """For what it is locked by a `lock` of its own; None where it is not."""
        return self._locked

    @property
    def flags(self) -> MdlFlags:
        """The bits that the framework's MDL would have."""
        flags = _FLAGS_OF_KIND[self._kind]
        if self._locked == "write":
            flags |= MdlFlags.WRITE_OPERATION
        source = self._source
        if source is not None and not source.freed and source.system_address is not None:
            flags |= MdlFlags.PARENT_MAPPED_SYSTEM_VA
        elif self._mapping is not None and self._kind != "nonpaged":
            flags |= MdlFlags.MAPPED_TO_SYSTEM_VA
            if self._kind == "partial":
                flags |= MdlFlags.PARTIAL_HAS_BEEN_MAPPED
        return flags

    @property
    def is_nonpaged(self) -> bool:
        """Whether what it describes is non-paged pool, or kept in memory for another reason."""
        buffer = self.life.buffer
        while isinstance(buffer, memoryview):
            buffer = buffer.obj
        return getattr(buffer, "pool", None) == NONPAGED or page_locks.holds(*self._span)

    @property
    def freed(self) -> bool:
        """Whether it was freed."""
        return self._view is GONE

    @property
    def buffer(self) -> memoryview:
        """Its bytes; read-only where the buffer is, or where they are locked for reading only."""
        self._alive("view")
        # A view of its own: its release must not be ours.
        return self._view[:] if self._writable() else self._view.toreadonly()

    @property
    def system_address(self) -> int | None:
        """The system address once `map` gave one, which is the address itself; None before."""
        self._alive("read")
        mapped = self._mapping is not None or self._kind == "nonpaged"
        return self._address if mapped else None

    @property
    def owner(self) -> str:
        """Whose it is: the framework's request, or what owns the memory that it describes."""
        owner = self._framework_owner
        return owner_of(self.life.buffer) if owner is None else repr(owner)

    def record(self) -> LiveMdl:
        """What reports say of it."""
        return LiveMdl(
            address=self._address,
            size=len(self._view),
            kind=self._kind,
            locked=self._locked,
            pinned=bool(self._pins),
            owner=self.owner,
            site=self.life.site,
        )

    def __len__(self) -> int:
        return len(self._view)

    def __repr__(self) -> str:
        if self.freed:
            return f"<Mdl, freed, at {id(self):#x}>"
        state = f"locked for {self._locked}" if self._locked else self._kind
        return f"<Mdl of {len(self._view)} bytes at {self._address:#x}, {state}>"

    # ---- inside ---------------------------------------------------------------------------------

    def _clear(self) -> None:
        self._view = GONE
        self._address = self._capacity = self._era = self._locks = self._source_locks = 0
        self._kind = "raw"
        self._locked = None
        self._pins = ()
        self._span = 0, 0
        self._framework_owner = None
        self._held = []
        self._mapping = self._next = self._source = None

    def _hold_pages(self) -> None:
        """Lock the pages it describes."""
        page_locks.take(*self._span)
        self._era = page_locks.era
        self._held.append(None)

    def _give_up_hold(self) -> bool:
        """Whether its pages are to be given back: to whoever asks first, and only then.

        A deallocation asks without waiting for anybody, while the request that the MDL belongs to
        may be ending it on another thread.
        """
        try:
            self._held.pop()
        except IndexError:
            return False
        return self._era == page_locks.era

    def _describe(self, view: memoryview) -> None:
        self._set_range(view, Pointer(view).address)

    def _set_range(self, view: memoryview, address: int) -> None:
        start = page_align(address)
        self._view, self._address = view, address
        self._span = start, start + span_pages(address, len(view)) * PAGE_SIZE

    def _root(self) -> Described | None:
        """Whose pages these are, its own or its source's; None where nobody holds them."""
        mdl: Described = self
        while mdl._source is not None:
            if mdl._source.freed or mdl._source._locks != mdl._source_locks:
                return None
            mdl = mdl._source
        return None if mdl._kind == "raw" or mdl.freed else mdl

    def _writable(self) -> bool:
        root = self._root()
        return root is None or root._locked != "read"

    def _own_mapping(self, *, writable: bool) -> Pointer:
        source = self._source
        if source is not None and source._mapping is not None:
            view = memoryview(source._mapping)
            first = self._address - source._address
            view = view[first : first + len(self._view)]
        else:
            view = self.buffer
        return Pointer(view if writable else view.toreadonly())

    def _unmap(self) -> None:
        self._mapping = None

    def _alive(self, call: str) -> None:
        if self._view is GONE:
            raise ObjectDeletedError(f"cannot {call} {self!r}: make another")

    def _check(self, call: str, *, own: bool = True) -> None:
        self._alive(call)
        if own and self._framework_owner is not None and call in {"lock", "unlock", "free"}:
            raise rules.framework_owned(self, call, self._framework_owner)
        rules.check(self, call)

    def _check_pages(self, call: str) -> None:
        if self._root() is None:
            raise rules.stale(self, call)


def part_of(buffer: Buffer, offset: SupportsIndex, length: SupportsIndex | None) -> memoryview:
    """The bytes that an MDL is to describe.

    Raises:
        IntegerOverflowError: the part is not inside the buffer.
        InvalidParameterError: no byte, or more than an MDL describes.
    """
    whole = memoryview(buffer)
    if not whole.c_contiguous:
        raise InvalidParameterError(
            f"an MDL describes consecutive bytes; this {type(buffer).__name__} has gaps"
        )
    first, count = check_range(whole.nbytes, offset, length)
    if not 0 < count <= MAXIMUM_BYTE_COUNT:
        raise InvalidParameterError(
            f"an MDL describes 1 to {MAXIMUM_BYTE_COUNT} bytes, got {count}",
            operands={"needed": count, "available": MAXIMUM_BYTE_COUNT},
        )
    return whole.cast("B")[first : first + count]


_FLAGS_OF_KIND: Final[dict[str, MdlFlags]] = {
    "raw": MdlFlags(0),
    "locked": MdlFlags.PAGES_LOCKED,
    "nonpaged": MdlFlags.SOURCE_IS_NONPAGED_POOL,
    "partial": MdlFlags.PARTIAL,
    "pages": MdlFlags.PAGES_LOCKED,
}
