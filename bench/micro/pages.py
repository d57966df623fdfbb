"""What an MDL costs a page: its page list, its lock, its pin, over 1 GiB in one mapping.

* page list: `mdl.frames` of a pinned MDL; the peer is one read of the system's page map into a
  buffer that is there already, which is the least that anybody can pay.
* lock: `mdl.lock(); mdl.unlock()`, which probes each page for writing and counts its locks; the
  peer is mlock and munlock of the same range, which do neither.
* pin: `mdl.pin(); mdl.unpin()` of a locked MDL, a registration with io_uring.
* DMA: a transaction of 1 MiB with one transfer (initialize, execute, completed, release), on
  addresses of the simulator, which lists an element each page, and on those of this process, which
  lists one in all.

All figures are nanoseconds a page. Every page has been touched before.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator, Mapping

import membuf
import membuf.dma as dma
from bench.case import MIB, Figure, Group, Row, Settings
from bench.timing import Way, round_robin

PAGE = 4096
ENTRY = 8  # bytes of the page map for a page
ROUNDS = 10
LIBC = ctypes.CDLL(None, use_errno=True)


def missing(settings: Settings) -> str | None:
    """Why it is not measured here."""
    try:
        with mmap.mmap(-1, PAGE) as memory:
            mdl = _pinned(memory)
            frames = len(mdl.frames)
            mdl.unlock()
            assert frames == 1
            del mdl
    except membuf.MembufError as error:
        return str(error)
    return None


def _pinned(memory: mmap.mmap) -> membuf.Mdl:
    mdl = membuf.Mdl(memory)
    mdl.lock()
    mdl.pin()
    return mdl


def measure(settings: Settings) -> Mapping[str, Figure]:
    """Every way in turn; the locks on a mapping of their own, since locks of a page are counted."""
    size = 4 * MIB if settings.quick else 1024 * MIB
    rounds = min(settings.rounds, ROUNDS)
    with mmap.mmap(-1, size) as memory:
        memory.write(bytes(size))
        locking = round_robin(_locks(membuf.Mdl(memory)), rounds)
        mdl = _pinned(memory)
        reading = round_robin(_lists(mdl), rounds)
        mdl.unlock()
        del mdl
    return locking | reading | round_robin(list(_transactions()), rounds)


def _locks(mdl: membuf.Mdl) -> list[Way]:
    pages, address = mdl.page_count, ctypes.c_void_p(mdl.address)
    length = ctypes.c_size_t(mdl.byte_count)

    def locked() -> None:
        mdl.lock()
        mdl.unlock()

    def locked_by_hand() -> None:
        LIBC.mlock(address, length)
        LIBC.munlock(address, length)

    return [Way("lock", locked, pages), Way("mlock", locked_by_hand, pages)]


def _lists(mdl: membuf.Mdl) -> list[Way]:
    pages = mdl.page_count
    pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)
    entries = [bytearray(pages * ENTRY)]

    def pinned_again() -> None:
        mdl.unpin()
        mdl.pin()

    return [
        Way("frames", lambda: mdl.frames, pages),
        Way("pagemap", lambda: os.preadv(pagemap, entries, mdl.address // PAGE * ENTRY), pages),
        Way("pin", pinned_again, pages),
    ]


def _transactions() -> Iterator[Way]:
    for backend in ("sim", "self"):
        device = membuf.Object(name=f"bench, {backend}")
        enabler = dma.Enabler(device, maximum_length=MIB, backend=backend)
        transaction, mdl = enabler.transaction(), membuf.Mdl(mmap.mmap(-1, MIB))

        def whole(t: dma.Transaction = transaction, mdl: membuf.Mdl = mdl) -> None:
            t.initialize(_program, dma.WRITE_TO_DEVICE, mdl)
            t.execute()
            t.completed()
            t.release()

        yield Way(f"scatter/gather, {backend}", whole, mdl.page_count)


def _program(*_: object) -> None:
    """The device does nothing."""


GROUP = Group(
    title="MDLs and DMA, a page",
    rows=(
        Row("page list of a pinned GiB", "frames", "pagemap", 1.5, 1.1, against="a pagemap read"),
        Row("lock + unlock", "lock", "mlock", against="mlock"),
        Row("pin + unpin", "pin"),
        Row("DMA transaction of a MiB, simulated addresses", "scatter/gather, sim"),
        Row("DMA transaction of a MiB, this process's addresses", "scatter/gather, self"),
    ),
    measure=measure,
    missing=missing,
)
