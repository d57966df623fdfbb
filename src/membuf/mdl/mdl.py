"""Memory descriptor lists: the pages of a run of bytes, locked, shared in part, and chained."""

# ruff: noqa: SLF001 - an MDL looks into those of its chain and its source

from __future__ import annotations

import warnings
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self, SupportsIndex

from membuf.base import status as st
from membuf.base.errors import (
    AccessViolationError,
    FrameUnknownError,
    InvalidParameterError,
    from_status,
)
from membuf.base.integers import exact_index
from membuf.mdl import rules
from membuf.mdl.claims import guarantees_of, is_fixed
from membuf.mdl.described import GONE, Access, Described, part_of
from membuf.mdl.frames import frames_of
from membuf.mdl.live import live
from membuf.mdl.locks import page_locks
from membuf.mdl.pages import span_pages
from membuf.mdl.pins import pins
from membuf.mdl.probe import probe
from membuf.mdl.vectors import batches

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from membuf._native import Pointer


class Mdl(Described):
    """The pages that a run of bytes spans.

    It holds its buffer for as long as it lives, so the bytes are neither freed nor moved meanwhile.

    Args:
        buffer: any buffer of contiguous bytes: memory, a block, bytearray, mmap, numpy array ...
        offset: where the described part begins, in bytes.
        length: its bytes; None or 0 reaches to the end.

    Raises:
        IntegerOverflowError: the part is not inside the buffer.
        InvalidParameterError: no byte, or more than an MDL describes (4 GiB less a page).

    Source: IoAllocateMdl and the calls on what it returns.

    >>> import membuf
    >>> mdl = Mdl(membuf.Memory(8192, alignment=4096), offset=100)
    >>> mdl.byte_count, mdl.byte_offset, mdl.page_count, mdl.kind
    (8092, 100, 2, 'raw')
    """

    __slots__ = ()

    def __init__(
        self, buffer: Buffer, offset: SupportsIndex = 0, length: SupportsIndex | None = None
    ) -> None:
        self._clear()
        self._describe(part_of(buffer, offset, length))
        self._capacity = self.page_count
        self.life = live.add(self, buffer)

    # ---- locking --------------------------------------------------------------------------------

    def lock(self, access: Access = "write") -> None:
        """Make the pages present, check that they can be accessed so, and keep them in memory.

        Each `lock` needs one `unlock`; pages under several MDLs are locked until the last of them
        is unlocked. Their frames may still change: see `pin`.

        Args:
            access: what will be done to the bytes; "write" allows both.

        Raises:
            AccessViolationError: the buffer or a page of it cannot be read, or written.
            InsufficientResourcesError: the system refuses to lock so much (WORKING_SET_QUOTA).
            InvalidDeviceStateError: locked already, or not its own pages (bug check C4, B0).

        Source: MmProbeAndLockPages.

        >>> mdl = Mdl(bytearray(100))
        >>> mdl.lock("read")
        >>> mdl.locked, mdl.buffer.readonly
        ('read', True)
        >>> mdl.unlock()
        """
        if access not in {"read", "write"}:
            raise InvalidParameterError(f'access must be "read" or "write", got {access!r}')
        with page_locks.transition:
            self._check("lock")
            start, end = self._span
            self._probe(start, end, write=access == "write")
            self._hold_pages()
            self._locks += 1
            self._kind, self._locked = "locked", access

    def unlock(self) -> None:
        """Give the pages back, and the system address with them.

        Raises:
            InvalidDeviceStateError: never locked (bug check C4, 7C), or not by `lock` (7D, B4).

        Source: MmUnlockPages.

        >>> mdl = Mdl(bytearray(100))
        >>> mdl.lock(); mdl.unlock()
        >>> mdl.kind
        'raw'
        """
        with page_locks.transition:
            self._check("unlock")
            self._undo_lock()

    def build_nonpaged(self) -> None:
        """Describe memory that is never paged out, as it is: no lock, and no unlock.

        Raises:
            InvalidDeviceStateError: locked, built or partial (bug check C4, B0).

        Source: MmBuildMdlForNonPagedPool.

        >>> import membuf
        >>> mdl = Mdl(membuf.Memory(64))
        >>> mdl.build_nonpaged()
        >>> mdl.map() is mdl.map()
        True
        """
        with page_locks.transition:
            self._check("build_nonpaged")
            self._locks += 1
            self._kind = "nonpaged"

    # ---- the system address ---------------------------------------------------------------------

    def map(self, *, writable: bool = True, first: bool = False) -> Pointer:
        """The bytes at their system address; the same at every call until they are unlocked.

        Args:
            writable: False makes what a first call gives read-only (MdlMappingNoWrite).
            first: refuse where it has a system address already.

        Raises:
            InvalidDeviceStateError: not locked (bug check C4, B3), or mapped before (B2).

        Source: MmGetSystemAddressForMdlSafe, and MmMapLockedPagesSpecifyCache for `first`.

        >>> mdl = Mdl(bytearray(b"abc"))
        >>> mdl.lock()
        >>> bytes(mdl.map()), mdl.map().address == mdl.address
        (b'abc', True)
        >>> mdl.unlock()
        """
        with page_locks.transition:
            self._check("map")
            self._check_pages("map")
            if first and self.system_address is not None:
                raise rules.mapped_before(self)
            if self._mapping is None:
                self._mapping = self._own_mapping(writable=writable)
            return self._mapping

    def user_view(self, *, writable: bool = True) -> memoryview:
        """The bytes as user mode would map them: as often as wanted, apart from `map`.

        Raises:
            InvalidDeviceStateError: not locked (bug check C4, B3), or non-paged (B2).

        Source: MmMapLockedPagesSpecifyCache with UserMode.
        """
        self._check("map again")
        self._check_pages("map again")
        return self.buffer if writable else self.buffer.toreadonly()

    def unmap(self) -> None:
        """Give the system address back before the unlock that would.

        Raises:
            InvalidDeviceStateError: not mapped (bug check C4, B6), or partial (B5).

        Source: MmUnmapLockedPages.
        """
        with page_locks.transition:
            self._check("unmap")
            if self._mapping is None:
                raise rules.not_mapped(self)
            self._unmap()

    def prepare_for_reuse(self) -> None:
        """Give back a partial MDL's own system address; nothing for any other.

        Source: MmPrepareMdlForReuse.
        """
        self._alive("prepare")
        if self._kind == "partial":
            self._unmap()

    # ---- parts and chains -----------------------------------------------------------------------

    def partial(self, offset: SupportsIndex, length: SupportsIndex = 0) -> Mdl:
        """Another MDL for a part of the bytes, sharing the pages of this one.

        Args:
            offset: where the part begins, in bytes.
            length: its bytes; 0 reaches to the end.

        Raises:
            InvalidDeviceStateError: the pages are not locked (bug check C4, B3).
            InvalidParameterError: not inside (bug check 12E).

        Source: IoBuildPartialMdl.

        >>> mdl = Mdl(bytearray(100))
        >>> mdl.lock()
        >>> part = mdl.partial(90)
        >>> part.byte_count, part.address - mdl.address
        (10, 90)
        >>> mdl.unlock()
        """
        first, count = exact_index(offset, "offset"), exact_index(length, "length")
        part = type(self).__new__(type(self))
        part._clear()
        part._build(self, self.address + first, count)
        part._capacity = part.page_count
        part.life = live.add(part, self.life.buffer)
        return part

    def build_partial(self, source: Mdl, address: SupportsIndex, length: SupportsIndex = 0) -> None:
        """Make this MDL describe a part of another, whose pages it shares.

        Args:
            source: locked, built over non-paged memory, or partial itself.
            address: where the part begins, as an address of the source.
            length: its bytes; 0 reaches to the end of the source.

        Raises:
            InvalidDeviceStateError: this one is locked, or the source is not.
            InvalidParameterError: not inside the source, or more pages than this MDL was
                made for (bug check 12E).

        Source: IoBuildPartialMdl.
        """
        first, count = exact_index(address, "address"), exact_index(length, "length")
        self._check("initialize")
        if source is self or self._kind == "nonpaged":
            raise rules.bad_range(source, self, first, count)
        self._build(source, first, count)

    def initialize(
        self, buffer: Buffer, offset: SupportsIndex = 0, length: SupportsIndex | None = None
    ) -> None:
        """Make it describe another buffer, as if it were new.

        Raises:
            InvalidDeviceStateError: it is locked.

        Source: MmInitializeMdl.
        """
        view = part_of(buffer, offset, length)
        with page_locks.transition:
            self._check("initialize")
            self._unmap()
            self._unpin()
            self._locks += 1
            self._next, self._source, self._kind = None, None, "raw"
            self._describe(view)
            self._capacity = max(self._capacity, self.page_count)
            self.life.buffer = buffer

    @property
    def next(self) -> Mdl | None:
        """The next MDL of its chain, or None."""
        return self._next

    @next.setter  # noqa: A003 - the framework's name
    def next(self, mdl: Mdl | None) -> None:
        self._alive("chain")
        if mdl is not None:
            mdl._alive("chain")
            if any(link is self for link in mdl.walk()):
                raise InvalidParameterError(f"{mdl!r} leads back to {self!r}: a chain has an end")
        self._next = mdl

    Next = next  # noqa: A003 - the framework's names of both
    MdlFlags = Described.flags

    def chain(self, other: Mdl) -> Self:
        """Append another MDL, with what hangs on it, to the end of this one's chain.

        Raises:
            InvalidParameterError: they are in one chain already.

        >>> chain = Mdl(bytearray(10)).chain(Mdl(bytearray(20)))
        >>> [mdl.byte_count for mdl in chain.walk()]
        [10, 20]
        """
        if not isinstance(other, Mdl):
            raise TypeError(f"an MDL is chained to MDLs only; got {type(other).__name__}")
        *_, tail = self.walk()
        here = {id(link) for link in self.walk()}
        if any(id(link) in here for link in other.walk()):
            raise InvalidParameterError(f"{other!r} is in the chain of {self!r} already")
        tail.next = other
        return self

    def walk(self) -> Iterator[Mdl]:
        """This MDL and those that follow it in its chain."""
        link: Mdl | None = self
        while link is not None:
            following = link._next
            yield link
            link = following

    def iovecs(self) -> list[memoryview]:
        """The bytes of the whole chain, a buffer an MDL, as `os.preadv` takes them.

        >>> chain = Mdl(bytearray(10)).chain(Mdl(bytearray(20)))
        >>> [len(vector) for vector in chain.iovecs()]
        [10, 20]
        """
        return [mdl.buffer for mdl in self.walk()]

    def iovec_batches(self) -> list[list[memoryview]]:
        """As `iovecs`, split where one system call ends: 1024 buffers, or 2 GiB less a page.

        >>> [len(batch) for batch in Mdl(bytearray(10)).iovec_batches()]
        [1]
        """
        return batches(self.iovecs())

    # ---- what may be claimed --------------------------------------------------------------------

    def pin(self) -> None:
        """Fix the frames of the pages until `unpin` or `unlock`; first lock what is not locked.

        Raises:
            MembufError: NOT_SUPPORTED: the build, the system or this kind of memory does not
                allow it (read-only memory, and mappings of files on disk).
            InsufficientResourcesError: more than the process may lock or pin (WORKING_SET_QUOTA).
            InvalidDeviceStateError: pinned already, or partial: its source is to be pinned.

        >>> mdl = Mdl(bytearray(100))
        >>> mdl.pin()
        >>> sorted(mdl.guarantees & {"pinned", "resident"})
        ['pinned', 'resident']
        >>> mdl.unpin(); mdl.kind
        'raw'
        """
        with page_locks.transition:
            self._check("pin")
            if self._pins:
                raise rules.refusal(self, "pin", rules.Rule(0, "it is pinned already"))
            locks = self._kind == "raw"
            if locks:
                self.lock("read" if self._view.readonly else "write")
            try:
                self._pins, self._pin_era = pins.pin(*self._span), pins.era
            except BaseException:
                if locks:
                    self.unlock()
                raise
            self._pin_locked = locks

    def unpin(self) -> None:
        """Let the frames change again, and unlock what `pin` locked.

        Raises:
            InvalidDeviceStateError: not pinned.
        """
        with page_locks.transition:
            self._check("pin")
            if not self._pins:
                raise rules.refusal(self, "unpin", rules.Rule(0, "it is not pinned"))
            if self._pin_locked:
                self.unlock()
            else:
                self._unpin()

    @property
    def guarantees(self) -> frozenset[str]:
        """What may be claimed of the pages now; nothing more may be.

        - "resident": they stay in memory;
        - "pinned": their frames stay the same;
        - "contiguous": the frames follow each other, by construction and not by luck;
        - "frames-known": `frames` tells them;
        - "synthetic": the numbers are a simulator's.
        """
        return guarantees_of(self)

    @property
    def frames(self) -> array[int]:
        """The page frame numbers, a page each.

        Raises:
            FrameUnknownError: the pages may move, or the system hides the numbers.
            InvalidDeviceStateError: not locked (bug check C4, B3).

        Source: MmGetMdlPfnArray.
        """
        self._check("read the frames of")
        self._check_pages("read the frames of")
        start, end = self._span
        if not is_fixed(self):
            raise FrameUnknownError(f"the frames of {self!r} may change at any time: pin it")
        frames = frames_of(start, end)
        if frames is None:
            raise FrameUnknownError(
                f"the system does not tell the frames of {self!r}: that needs CAP_SYS_ADMIN"
            )
        return frames

    # ---- the end --------------------------------------------------------------------------------

    def free(self) -> None:
        """Let the buffer go; only of this MDL, never of its chain.

        Raises:
            InvalidDeviceStateError: locked, or the framework's.

        Source: IoFreeMdl.

        >>> mdl = Mdl(bytearray(100))
        >>> mdl.free()
        >>> mdl.freed
        True
        """
        with page_locks.transition:
            self._check("free")
            self._unmap()
            self._unpin()
            self._view, self._source, self._next = GONE, None, None
            self.life.end()

    def free_pages(self) -> None:
        """Give pages back that were allocated for this MDL, and the MDL with them.

        Raises:
            InvalidDeviceStateError: its pages are somebody else's.

        Source: MmFreePagesFromMdl, then ExFreePool.
        """
        with page_locks.transition:
            self._check("free the pages of")
            self._undo_lock()
            self.free()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Undo what there is to undo, and free it.

        >>> mdl = Mdl(bytearray(100))
        >>> mdl.lock(); mdl.close()
        >>> mdl.freed
        True
        """
        with page_locks.transition:
            if self.freed:
                return
            if self._kind == "pages":
                self.free_pages()
                return
            if self._locked:
                self.unlock()
            self.free()

    def end(self) -> None:
        """End an MDL of the framework's own, locked or not: for the request it belongs to."""
        with page_locks.transition:
            self._undo_lock()
            self._framework_owner = None
            self.free()

    def __del__(self) -> None:
        if getattr(self, "_view", GONE) is GONE:
            return
        self.life.end()
        mine = self._framework_owner is None
        pinned = bool(self._pins) and self._pin_era == pins.era
        if pinned:
            pins.unpin_later(self._pins, self._view)
        locked = self._give_up_hold()
        if locked:
            page_locks.give_back_later(*self._span, self._view)
        # Garbage with its request: no driver forgot it. Nor is it news in a forked child.
        if mine and (locked or pinned):
            self.life.dropped()
            how = {"pages": "free_pages", "locked": "unlock"}.get(self._kind, "unpin")
            warnings.warn(f"{self!r} was dropped without {how}()", ResourceWarning, 2, self)
        if mine and locked:
            self._kind, self._locked = "raw", None  # whoever is garbage with it finds it so

    # ---- inside ---------------------------------------------------------------------------------

    def _undo_lock(self) -> None:
        span = self._span
        self._unmap()
        self._unpin()
        self._kind, self._locked = "raw", None
        if self._give_up_hold():
            page_locks.give_back(*span)

    def _unpin(self) -> None:
        slots, self._pins = self._pins, ()
        if slots and self._pin_era == pins.era:
            pins.unpin(slots)

    def _probe(self, start: int, end: int, *, write: bool) -> None:
        if write and self._view.readonly:
            raise AccessViolationError(f"{self!r} describes read-only memory: lock it for reading")
        error = probe(start, end, write=write)
        if error:
            raise from_status(
                st.STATUS_ACCESS_VIOLATION,
                f"a page of {self!r} cannot be {'written' if write else 'read'}",
                operands={"errno": error},
            )

    def _build(self, source: Mdl, address: int, length: int) -> None:
        source._check("describe a part of", own=False)
        source._check_pages("describe a part of")
        offset = address - source._address
        count = length or source.byte_count - offset
        inside = 0 <= offset < source.byte_count and 0 < count <= source.byte_count - offset
        if not inside or (self._capacity and span_pages(address, count) > self._capacity):
            raise rules.bad_range(source, self, address, length)
        self._unmap()
        self._set_range(source._view[offset : offset + count], address)
        self._source, self._source_locks, self._kind = source, source._locks, "partial"
