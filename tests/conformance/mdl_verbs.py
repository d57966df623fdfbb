"""The verbs of the case tables that are about MDLs, for both faces."""

from __future__ import annotations

import ctypes
import gc
import mmap
from typing import Any

import membuf
import membuf.mdl
import membuf.verifier
from membuf import wdf
from tests.conformance.script import Outcome, Step, number
from tests.mdl import collapse, frames_by_pagemap, locked_bytes, run_in_fork

PAGE = membuf.mdl.PAGE_SIZE
NO_RESERVE = 0x4000
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE
READ_WRITE, FIXED = 0x3, 0x10

_libc = ctypes.CDLL(None, use_errno=True)


class MdlVerbs:
    """What both faces say alike: looking, and what only Python has."""

    things: dict[str, Any]
    locked_before: int
    frames_before: list[int]

    def do_pages(self, step: Step) -> None:
        """pages B 4*PAGE: memory of its own, from the start of a page."""
        self.things[step.arguments[0]] = mmap.mmap(-1, step.number(1), flags=PRIVATE)

    def do_unmap_page(self, step: Step) -> None:
        """unmap_page B 1: the second page of B is no memory any more."""
        address = membuf.Mdl(self.things[step.arguments[0]]).address + step.number(1) * PAGE
        assert _libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(PAGE)) == 0

    def do_remap_page(self, step: Step) -> None:
        """remap_page B 1: it is again, before somebody else's memory lies there."""
        address = membuf.Mdl(self.things[step.arguments[0]]).address + step.number(1) * PAGE
        _libc.mmap(ctypes.c_void_p(address), PAGE, READ_WRITE, PRIVATE | FIXED, -1, 0)

    def do_mdl_range(self, step: Step) -> str:
        """mdl_range A: byte count and offset in the first page."""
        mdl = self.things[step.arguments[0]]
        return f"{mdl.byte_count} at {mdl.byte_offset:#x}"

    def do_kind(self, step: Step) -> str:
        """kind A."""
        return str(self.things[step.arguments[0]].kind)

    def do_flags(self, step: Step) -> int:
        """flags A: the bits of its flags."""
        return int(self.things[step.arguments[0]].flags)

    def do_guarantees(self, step: Step) -> str:
        """guarantees A: what may be claimed, sorted."""
        return " ".join(sorted(self.things[step.arguments[0]].guarantees))

    def do_link(self, step: Step) -> str:
        """link A B C: a chain of them; the byte counts along it."""
        head, *rest = (self.things[name] for name in step.arguments)
        for mdl in rest:
            head.chain(mdl)
        return " ".join(str(mdl.byte_count) for mdl in head.walk())

    def do_mdls_out(self, step: Step) -> int:
        """mdls_out: how many the leak report shows."""
        return len(membuf.verifier.report().mdls)

    def do_note_locked(self, step: Step) -> None:
        """note_locked: how much the system has locked, for locked_pages."""
        gc.collect()  # what earlier cases left is unlocked now, not meanwhile
        self.locked_before = locked_bytes()

    def do_locked_pages(self, step: Step) -> int:
        """locked_pages: how many the system has locked since."""
        return (locked_bytes() - self.locked_before) // PAGE

    def do_pin(self, step: Step) -> None:
        """pin A."""
        self.things[step.arguments[0]].pin()

    def do_unpin(self, step: Step) -> None:
        """unpin A."""
        self.things[step.arguments[0]].unpin()

    def do_note_frames(self, step: Step) -> None:
        """note_frames A: by the system's page map."""
        self.frames_before = frames_by_pagemap(self.things[step.arguments[0]])

    def do_frames_moved(self, step: Step) -> bool:
        """frames_moved A: whether one is another than noted."""
        return frames_by_pagemap(self.things[step.arguments[0]]) != self.frames_before

    def do_disturb(self, step: Step) -> None:
        """disturb A: collapse into huge pages, and a fork with writes to every page."""
        mdl = self.things[step.arguments[0]]

        def touch() -> None:
            view = mdl.buffer
            for offset in range(0, len(view), PAGE):
                view[offset] = 1

        collapse(mdl)
        run_in_fork(lambda: None, meanwhile=touch)


class PythonMdlVerbs(MdlVerbs):
    """`membuf.Mdl`."""

    def do_mdl(self, step: Step) -> None:
        """mdl A B [offset] [length]."""
        part = [number(word) for word in step.arguments[2:]]
        self.things[step.arguments[0]] = membuf.Mdl(self.things[step.arguments[1]], *part)

    def do_own_pages(self, step: Step) -> None:
        """own_pages A 5000."""
        self.things[step.arguments[0]] = membuf.mdl.allocate_pages(step.number(1))

    def do_lock(self, step: Step) -> None:
        """lock A write."""
        self.things[step.arguments[0]].lock(step.arguments[1])

    def do_unlock(self, step: Step) -> None:
        """unlock A."""
        self.things[step.arguments[0]].unlock()

    def do_build_nonpaged(self, step: Step) -> None:
        """build_nonpaged A."""
        self.things[step.arguments[0]].build_nonpaged()

    def do_map(self, step: Step) -> int:
        """map A: how far its system address is from its own."""
        mdl = self.things[step.arguments[0]]
        return int(mdl.map().address - mdl.address)

    def do_map_again(self, step: Step) -> None:
        """map_again A: a mapping of its own."""
        self.things[step.arguments[0]].map(first=True)

    def do_unmap(self, step: Step) -> None:
        """unmap A."""
        self.things[step.arguments[0]].unmap()

    def do_prepare(self, step: Step) -> None:
        """prepare A for reuse."""
        self.things[step.arguments[0]].prepare_for_reuse()

    def do_frames(self, step: Step) -> int:
        """frames A: how many are told."""
        return len(self.things[step.arguments[0]].frames)

    def do_partial(self, step: Step) -> None:
        """partial P A 5000 0: offset and length."""
        source = self.things[step.arguments[1]]
        self.things[step.arguments[0]] = source.partial(step.number(2), step.number(3))

    def do_free_mdl(self, step: Step) -> None:
        """free_mdl A."""
        self.things[step.arguments[0]].free()

    def do_free_pages(self, step: Step) -> None:
        """free_pages A: its own."""
        self.things[step.arguments[0]].free_pages()

    def do_span(self, step: Step) -> int:
        """span 0xFFF 2: pages."""
        return membuf.mdl.span_pages(step.number(0), step.number(1))


class WdfMdlVerbs(MdlVerbs):
    """The kernel's calls."""

    def do_mdl(self, step: Step) -> Outcome:
        """mdl A B [offset] [length]; NULL is INSUFFICIENT_RESOURCES."""
        offset, length = (*(number(word) for word in step.arguments[2:]), 0, 0)[:2]
        view = memoryview(self.things[step.arguments[1]])[offset:]
        mdl = wdf.IoAllocateMdl(view, length or len(view), False, False, None)
        if mdl is None:
            return Outcome("INSUFFICIENT_RESOURCES")
        self.things[step.arguments[0]] = mdl
        assert wdf.MmGetMdlByteCount(mdl) == mdl.byte_count
        assert wdf.MmGetMdlByteOffset(mdl) == mdl.byte_offset
        assert wdf.MmSizeOfMdl(view, mdl.byte_count) == 48 + 8 * mdl.page_count
        return Outcome()

    def do_own_pages(self, step: Step) -> None:
        """own_pages A 5000."""
        self.things[step.arguments[0]] = wdf.MmAllocatePagesForMdlEx(
            0, 2**64 - 1, 0, step.number(1), wdf.MmCached, wdf.MM_ALLOCATE_FULLY_REQUIRED
        )

    def do_lock(self, step: Step) -> None:
        """lock A write."""
        operation = wdf.IoReadAccess if step.arguments[1] == "read" else wdf.IoWriteAccess
        wdf.MmProbeAndLockPages(self.things[step.arguments[0]], wdf.KernelMode, operation)

    def do_unlock(self, step: Step) -> None:
        """unlock A."""
        wdf.MmUnlockPages(self.things[step.arguments[0]])

    def do_build_nonpaged(self, step: Step) -> None:
        """build_nonpaged A."""
        wdf.MmBuildMdlForNonPagedPool(self.things[step.arguments[0]])

    def do_map(self, step: Step) -> int:
        """map A: how far its system address is from its own."""
        mdl = self.things[step.arguments[0]]
        address = wdf.MmGetSystemAddressForMdlSafe(mdl, wdf.NormalPagePriority)
        assert address is not None
        return address.address - wdf.MmGetMdlVirtualAddress(mdl)

    def do_map_again(self, step: Step) -> None:
        """map_again A: a mapping of its own."""
        mdl = self.things[step.arguments[0]]
        wdf.MmMapLockedPagesSpecifyCache(
            mdl, wdf.KernelMode, wdf.MmCached, None, False, wdf.NormalPagePriority
        )

    def do_unmap(self, step: Step) -> None:
        """unmap A."""
        mdl = self.things[step.arguments[0]]
        wdf.MmUnmapLockedPages(wdf.MmGetMdlVirtualAddress(mdl), mdl)

    def do_prepare(self, step: Step) -> None:
        """prepare A for reuse."""
        wdf.MmPrepareMdlForReuse(self.things[step.arguments[0]])

    def do_frames(self, step: Step) -> int:
        """frames A: how many are told."""
        return len(wdf.MmGetMdlPfnArray(self.things[step.arguments[0]]))

    def do_partial(self, step: Step) -> None:
        """partial P A 5000 0: offset and length, into an MDL with room for many pages."""
        source, room = self.things[step.arguments[1]], bytearray(1 << 16)
        part = wdf.IoAllocateMdl(room, len(room), False, False, None)
        assert part is not None
        start = wdf.MmGetMdlVirtualAddress(source) + step.number(2)
        try:
            wdf.IoBuildPartialMdl(source, part, start, step.number(3))
        except membuf.BugCheck:
            wdf.IoFreeMdl(part)
            raise
        self.things[step.arguments[0]] = part

    def do_free_mdl(self, step: Step) -> None:
        """free_mdl A."""
        wdf.IoFreeMdl(self.things[step.arguments[0]])

    def do_free_pages(self, step: Step) -> None:
        """free_pages A: its own."""
        mdl = self.things[step.arguments[0]]
        wdf.MmFreePagesFromMdl(mdl)
        wdf.ExFreePool(mdl)

    def do_span(self, step: Step) -> int:
        """span 0xFFF 2: pages."""
        return wdf.ADDRESS_AND_SIZE_TO_SPAN_PAGES(step.number(0), step.number(1))
