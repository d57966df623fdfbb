"""Every public call of the memory system once, its error paths too, leaving nothing behind.

The leak tests repeat each entry and look at the meters; the fault tests make every allocation
inside of it fail in turn. ``test_the_table_covers_the_public_face`` keeps the table complete.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable

import membuf
import membuf.verifier

CALLS: dict[str, Callable[[], None]] = {}

Call = Callable[[], None]


def covers(*names: str) -> Callable[[Call], Call]:
    """Enter a call into the table under the public names that it exercises."""

    def enter(call: Call) -> Call:
        for name in names:
            assert name not in CALLS, f"{name} is in the table twice"
            CALLS[name] = call
        return call

    return enter


class refused:  # noqa: N801 - reads like a function
    """The body has to be refused in one of these ways.

    No generator, as there are no lambdas in the table: Python 3.12 and 3.13 crash where they have
    no memory to make one.
    """

    def __init__(self, *kinds: type[BaseException]) -> None:
        self.kinds = kinds

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        if kind is None:
            raise AssertionError(f"nothing was refused; expected one of {self.kinds}")
        return issubclass(kind, self.kinds)


def quiet(handle: membuf.Object) -> None:
    """A callback that does nothing."""


def planted(handle: membuf.Object) -> None:
    """A callback that raises."""
    raise KeyError("planted")


def gone() -> membuf.Memory:
    """A memory object that was deleted."""
    memory = membuf.Memory(64)
    memory.delete()
    return memory


@covers("Object", "Object.delete", "Object.deleted")
def _object() -> None:
    root = membuf.Object("root", on_cleanup=quiet, on_destroy=quiet)
    membuf.Object("child", parent=root, on_cleanup=planted)
    with refused(TypeError):
        membuf.Object(parent=3)
    with refused(ExceptionGroup):
        root.delete()
    assert root.deleted
    with refused(membuf.ObjectDeletedError):
        root.delete()


@covers("Object.name", "Object.parent", "Object.children", "Object.__repr__")
def _relations() -> None:
    root = membuf.Object("root")
    child = membuf.Object("child", parent=root)
    assert (root.children, child.parent, child.name) == ((child,), root, "child")
    repr(root)
    root.delete()
    repr(child)
    for name in ("parent", "children"):
        with refused(membuf.ObjectDeletedError):
            getattr(child, name)


@covers("Object.context", "Object.add_context", "Object.get_context")
def _contexts() -> None:
    lone = membuf.Object()
    lone.context["me"] = 1
    made = lone.add_context(dict, on_cleanup=quiet, on_destroy=quiet)
    assert lone.add_context(dict, on_cleanup=quiet) is made is lone.get_context(dict)
    assert lone.get_context(list) is None
    with refused(TypeError):
        lone.add_context(None)
    lone.reference()
    lone.delete()
    with refused(membuf.DeletePendingError):
        lone.add_context(list)
    lone.dereference()


@covers("Object.reference", "Object.dereference", "Object.reference_count")
def _references() -> None:
    lone = membuf.Object()
    lone.reference("tag")
    lone.reference()
    assert lone.reference_count == 3
    with refused(membuf.MembufError):
        lone.dereference("other")
    lone.dereference("tag")
    lone.delete()
    lone.dereference()
    with refused(membuf.ObjectDeletedError):
        lone.reference()


@covers("Object.__enter__", "Object.__exit__")
def _with() -> None:
    with refused(KeyError), membuf.Object() as lone:
        raise KeyError
    with refused(membuf.ObjectDeletedError), lone:
        pass


@covers(
    "Collection",
    "Collection.add",
    "Collection.remove",
    "Collection.add_context",
    "Collection.first",
    "Collection.last",
)
def _collection() -> None:
    idle = membuf.Collection("idle", on_cleanup=quiet, on_destroy=quiet)
    lone = membuf.Object(on_destroy=planted)
    with refused(TypeError):
        idle.add(3)
    with refused(membuf.MembufError):
        idle.remove(lone)
    for _ in range(3):
        idle.add(lone)
    idle.remove(lone)
    del idle[-1]
    idle.add_context(dict, on_destroy=quiet)
    assert (len(idle), list(idle), lone in idle) == (1, [lone], True)
    assert idle.first is idle.last is idle[0] is lone
    lone.delete()
    with refused(ExceptionGroup):
        idle.delete()
    with refused(membuf.ObjectDeletedError):
        idle.add(membuf.Object())


@covers("SpinLock", "SpinLock.acquire", "SpinLock.release", "SpinLock.locked", "SpinLock.held")
def _spin_lock() -> None:
    lock = membuf.SpinLock("lock", on_cleanup=quiet, on_destroy=quiet)
    lock.acquire()
    assert lock.locked
    assert lock.held
    with refused(membuf.InvalidDeviceStateError):
        lock.acquire()
    lock.release()
    with refused(membuf.InvalidDeviceStateError):
        lock.release()
    with refused(KeyError), lock:
        raise KeyError
    lock.delete()
    with refused(membuf.ObjectDeletedError):
        lock.acquire()


@covers("WaitLock", "WaitLock.acquire", "WaitLock.release", "WaitLock.locked", "WaitLock.held")
def _wait_lock() -> None:
    with membuf.WaitLock() as lock:
        assert not lock.acquire(timeout=0)
        with refused(membuf.InvalidDeviceStateError):
            lock.acquire()
    assert not lock.locked
    assert not lock.held


@covers(
    "Memory",
    "Memory.delete",
    "Memory.tag",
    "Memory.pool",
    "Memory.source",
    "Memory.site",
    "Memory.__repr__",
)
def _memory() -> None:
    memory = membuf.Memory(64, tag="Call", zero=True, alignment=64, name="n", on_destroy=quiet)
    assert (memory.tag, memory.pool, memory.source) == ("Call", membuf.NONPAGED, "pool")
    assert memory.site
    repr(memory)
    membuf.Memory(5000, pool=membuf.PAGED, parent=memory)
    memory.delete()
    for arguments in ((0,), (2.7,), (-1,), (2**62,), (2**70,)):
        with refused(membuf.MembufError, TypeError):
            membuf.Memory(*arguments)
    with refused(membuf.InvalidParameterError):
        membuf.Memory(64, alignment=3)
    with refused(membuf.InvalidParameterError):
        membuf.Memory(64, tag="too long")


@covers("Memory.size", "Memory.address", "Memory.readonly", "Memory.buffer", "Memory.__len__")
def _bytes() -> None:
    with membuf.Memory(64) as memory:
        assert memory.size == len(memory) == 64
        assert memory.address
        assert not memory.readonly
        memory.buffer[:4] = b"view"
    for name in ("size", "address", "readonly", "buffer"):
        with refused(membuf.ObjectDeletedError):
            getattr(memory, name)
    with refused(membuf.ObjectDeletedError):
        len(memory)


@covers("Memory.__buffer__")
def _views() -> None:
    memory = membuf.Memory(64)
    view = memoryview(memory)
    memory.delete()
    assert len(view) == 64
    view.release()
    with refused(BufferError, membuf.ObjectDeletedError):
        memoryview(memory)
    orphan = membuf.Memory(64).buffer
    orphan.release()


@covers("Memory.preallocated", "Memory.assign_buffer")
def _preallocated() -> None:
    memory = membuf.Memory.preallocated(bytearray(16), tag="Call", on_cleanup=quiet)
    view = memory.buffer
    memory.assign_buffer(bytearray(8))
    memory.assign_buffer(b"constant")
    with refused(membuf.InvalidParameterError):
        memory.assign_buffer(b"")
    with refused(TypeError):
        memory.assign_buffer(None)
    with refused(membuf.AccessViolationError):
        memory.copy_from(b"x")
    memory.delete()
    view.release()
    with refused(membuf.MembufError):
        membuf.Memory(16).assign_buffer(bytearray(4))
    with refused(membuf.InvalidParameterError):
        membuf.Memory.preallocated(b"")
    with refused(TypeError):
        membuf.Memory.preallocated("text")


@covers("Memory.copy_from", "Memory.copy_to")
def _copies() -> None:
    with membuf.Memory(64) as memory:
        memory.copy_from(b"abc", 61)
        memory.copy_to(bytearray(3), offset=61)
        with refused(membuf.InvalidBufferSizeError):
            memory.copy_from(b"abcd", 61)
        with refused(membuf.BufferTooSmallError):
            memory.copy_to(bytearray(65))
        with refused(TypeError, BufferError):
            memory.copy_to(b"constant")
        with refused(TypeError):
            memory.copy_from(b"x", 2.7)
        with refused(TypeError):
            memory.copy_from(3)
    with refused(membuf.ObjectDeletedError):
        memory.copy_from(b"x")


@covers("Memory.__dlpack__", "Memory.__dlpack_device__")
def _dlpack() -> None:
    with membuf.Memory(64) as memory:
        assert memory.__dlpack_device__() == (1, 0)
        memory.__dlpack__()
        memory.__dlpack__(max_version=(1, 0), copy=True)
        kept = memory.__dlpack__(max_version=(1, 0))
        with refused(BufferError):
            memory.__dlpack__(dl_device=(2, 0))
    del kept
    with refused(membuf.ObjectDeletedError):
        memory.__dlpack__()


@covers("Memory.__reduce_ex__")
def _pickle() -> None:
    with membuf.Memory(64, tag="Call") as memory:
        bands: list[pickle.PickleBuffer] = []
        stream = pickle.dumps(memory, 5, buffer_callback=bands.append)
        pickle.loads(stream, buffers=[bytearray(bands[0])])
        pickle.loads(pickle.dumps(memory))
    with refused(membuf.ObjectDeletedError):
        pickle.dumps(memory, 5)


@covers("LookasideList", "LookasideList.size", "LookasideList.tag", "LookasideList.pool")
def _lookaside() -> None:
    owner = membuf.Object()
    pages = membuf.LookasideList(4096, tag="Call", memory_parent=owner, maximum_depth=8, zero=True)
    assert (pages.size, pages.tag, pages.pool) == (4096, "Call", membuf.NONPAGED)
    repr(pages)
    pages.delete()
    with refused(membuf.InvalidParameterError):
        membuf.LookasideList(0)
    with refused(membuf.InvalidParameterError):
        membuf.LookasideList(2**32)
    with refused(TypeError):
        membuf.LookasideList(64, memory_parent=3)


@covers(
    "LookasideList.allocate",
    "LookasideList.statistics",
    "LookasideList.rebalance",
    "LookasideList.flush",
)
def _traffic() -> None:
    pages = membuf.LookasideList(64, tag="Call")
    owner = membuf.Object()
    memories = [pages.allocate(parent=owner, on_destroy=quiet) for _ in range(10)]
    view = memories[0].buffer
    owner.delete()
    assert pages.statistics().allocations == 10
    view.release()
    pages.rebalance()
    pages.allocate()
    pages.flush()
    with refused(membuf.MembufError):
        pages.allocate(parent=owner)
    kept = pages.allocate()
    pages.delete()
    with refused(membuf.DeletePendingError):
        pages.allocate()
    kept.delete()
    for call in (pages.allocate, pages.statistics, pages.rebalance, pages.flush):
        with refused(membuf.ObjectDeletedError):
            call()


@covers("pool.allocate", "pool.free", "Block", "Block.free", "Block.freed", "Block.__repr__")
def _blocks() -> None:
    block = membuf.pool.allocate(1024, tag="Call", pool=membuf.PAGED, zero=True)
    repr(block)
    with refused(membuf.MembufError):
        membuf.pool.free(block, tag="Othr")
    membuf.pool.free(block, tag="Call")
    assert block.freed
    with refused(membuf.MembufError):
        block.free()
    with refused(TypeError):
        membuf.pool.free(b"no block")
    with refused(membuf.InvalidParameterError):
        membuf.pool.allocate(0)


@covers(
    "Block.size",
    "Block.address",
    "Block.tag",
    "Block.pool",
    "Block.site",
    "Block.__len__",
    "Block.__getitem__",
    "Block.__setitem__",
    "Block.__buffer__",
)
def _block_bytes() -> None:
    block = membuf.pool.allocate(64, tag="Call")
    assert (block.size, len(block), block.tag, block.pool) == (64, 64, "Call", membuf.NONPAGED)
    assert block.address
    assert block.site
    block[0] = 1
    block[1:3] = b"ab"
    assert (block[0], bytes(block[1:3])) == (1, b"ab")
    with refused(IndexError):
        block[64]
    with refused(ValueError, membuf.MembufError):
        block[0:2] = b"long"
    view = memoryview(block)
    block.free()
    view.release()
    with refused(BufferError, membuf.MembufError):
        memoryview(block)


@covers("pool.statistics", "pool.set_limit", "pool.trim")
def _pool() -> None:
    with membuf.Domain(tag="Call"):
        membuf.pool.set_limit(4096)
        with refused(membuf.InsufficientResourcesError):
            membuf.Memory(4097)
        membuf.pool.set_limit(None)
        membuf.pool.trim()
        assert membuf.pool.statistics().bytes == 0
        with refused(TypeError):
            membuf.pool.set_limit("64KiB")


@covers(
    "Domain",
    "Domain.live_blocks",
    "Domain.rebalance",
    "Domain.set_limit",
    "Domain.sites",
    "Domain.statistics",
    "Domain.tag",
    "Domain.trim",
    "pool.current_domain",
    "pool.default_domain",
    "verifier.report",
)
def _domain() -> None:
    with membuf.Domain(tag="Call", limit=1 << 20) as domain:
        membuf.Memory(64, parent=membuf.Object(parent=domain))
        membuf.LookasideList(64, parent=domain).allocate().delete()
        view = membuf.Memory(64, parent=domain).buffer
        assert membuf.pool.current_domain() is domain is not membuf.pool.default_domain()
        assert (domain.tag, domain.sites) == ("Call", True)
        domain.set_limit(None)
        domain.rebalance()
        domain.trim()
        assert len(domain.live_blocks()) == domain.statistics().outstanding == 2
        assert str(membuf.verifier.report())
        membuf.verifier.report(domain).json()
        view.release()
    assert domain.statistics().outstanding == 0
    with refused(TypeError):
        membuf.Domain(limit=2.7)
    with refused(membuf.LeakError), membuf.Domain(on_leak="raise"):
        left = membuf.Memory(64)
    left.delete()


@covers("_native.Domain")
def _native_domain() -> None:
    domain = membuf._native.Domain(tag="Call", limit=1 << 20, locked="required", name="native")
    membuf.Object(parent=domain, on_cleanup=quiet)
    domain.set_limit(None)
    domain.trim()
    domain.delete()
    with refused(membuf.InvalidParameterError):
        membuf._native.Domain(limit=-1)
    with refused(membuf.InvalidParameterError, TypeError):
        membuf._native.Domain(locked="never")


@covers("verifier.faults", "verifier.sweep")
def _faults() -> None:
    with membuf.Domain(tag="Call"):
        with membuf.verifier.faults(after=2):
            kept = membuf.Memory(64)
            with refused(membuf.InsufficientResourcesError):
                membuf.Memory(64)
        kept.delete()
        membuf.verifier.sweep(lambda: membuf.Memory(64, parent=membuf.Memory(64)))
    with refused(membuf.InvalidParameterError), membuf.verifier.faults(after=0):
        pass


@covers("Pointer", "Pointer.address", "Pointer.size", "Pointer.__len__", "Pointer.__getitem__",
        "Pointer.__setitem__", "Pointer.__buffer__")  # fmt: skip
def _pointer() -> None:
    memory = membuf.Memory(64)
    pointer = membuf._native.Pointer(memory)
    assert (pointer.size, len(pointer), pointer.address) == (64, 64, memory.address)
    pointer[0] = 7
    assert bytes(pointer[0:1]) == b"\x07"
    memoryview(pointer).release()
    memory.delete()
    with refused(BufferError, membuf.MembufError):
        memoryview(pointer)
    with refused(TypeError):
        membuf._native.Pointer(3)


@covers("align_up", "align_down")
def _alignment() -> None:
    assert (membuf.align_up(9, 8), membuf.align_down(9, 8)) == (16, 8)
    with refused(membuf.InvalidParameterError):
        membuf.align_up(9, 3)
    with refused(membuf.IntegerOverflowError):
        membuf.align_up(2**64 - 1, 8)


@covers(
    "MemoryDescriptor",
    "MemoryDescriptor.buffer",
    "MemoryDescriptor.handle",
    "MemoryDescriptor.length",
    "MemoryDescriptor.offset",
    "MemoryDescriptor.target",
    "MemoryDescriptor.type",
)
def _descriptors() -> None:
    with membuf.Memory(64) as memory:
        described = membuf.MemoryDescriptor.handle(memory, offset=8, length=8)
        assert (described.offset, described.length) == (8, 8)
        assert described.target is memory
        assert described.type
        with refused(membuf.IntegerOverflowError):
            membuf.MemoryDescriptor.handle(memory, offset=65)
    membuf.MemoryDescriptor.buffer(bytearray(8))
