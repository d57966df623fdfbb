"""Attempts to make the native core touch memory that is not its own.

Each test does something a reasonable program does not: code of the caller's runs where none is
expected and deletes what is being worked on, objects are looked at half-made or dying, chains
are long enough to overflow a stack that is walked by recursion. Under AddressSanitizer (`make
asan`) a wrong access ends the run; without it the tests check that the outcome is the promised
one.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import membuf
from membuf import _native


class Recorder:
    """Callbacks that note their own name."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getitem__(self, name: str) -> Callable[[object], None]:
        return lambda _object: self.calls.append(name)


@pytest.fixture
def calls() -> Recorder:
    return Recorder()


@pytest.fixture
def domain() -> Iterator[membuf.Domain]:
    """A domain of the test's own, current for its duration."""
    own = membuf.Domain()
    token = _native.domain_variable.set(own)
    yield own
    _native.domain_variable.reset(token)


# Python 3.13 alone lets deallocations nest ten thousand deep, whatever the stack, before it
# queues them.
SMALL_STACK = (4096 if sys.version_info[:2] == (3, 13) else 256) << 10


def on_small_stack(function: Callable[[], None]) -> None:
    """Run a function where a recursion of a few thousand levels in C overflows."""
    old = threading.stack_size(SMALL_STACK)
    try:
        thread = threading.Thread(target=function)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(old)


# ---- subclasses ----------------------------------------------------------------------------------


class WithDel(membuf.Object):
    """A subclass whose __del__ stands where the core's own finalizer would be."""

    dels = 0

    def __del__(self) -> None:
        type(self).dels += 1


@pytest.mark.parametrize("cyclic", [False, True])
def test_a_subclass_with_del_is_deleted_like_any_object(calls: Recorder, cyclic: bool) -> None:
    parent = WithDel(on_cleanup=calls["c:P"], on_destroy=calls["d:P"])
    child = membuf.Object(parent=parent, on_cleanup=calls["c:C"], on_destroy=calls["d:C"])
    parent.context["itself"] = parent if cyclic else None
    before = WithDel.dels
    del parent
    gc.collect()
    assert calls.calls == ["c:C", "c:P", "d:C", "d:P"]
    assert WithDel.dels == before + 1
    with pytest.raises(membuf.ObjectDeletedError):
        _ = child.parent


@pytest.mark.parametrize("cyclic", [False, True])
def test_a_del_that_comes_later_leaves_no_child_behind(calls: Recorder, cyclic: bool) -> None:
    class Late(membuf.Object):
        pass

    parent = Late(on_destroy=calls["d:P"])
    child = membuf.Object(parent=parent)
    memory = membuf.Memory(64, parent=parent)
    parent.context["itself"] = parent if cyclic else None
    Late.__del__ = lambda self: calls.calls.append("del")  # type: ignore[attr-defined]
    del parent
    gc.collect()
    assert calls.calls == ["del"]  # too late for callbacks, which may be garbage themselves
    assert child.deleted
    assert memory.deleted


def test_a_del_that_keeps_the_object(calls: Recorder) -> None:
    kept: list[membuf.Object] = []

    class Kept(membuf.Object):
        def __del__(self) -> None:
            kept.append(self)

    Kept(on_destroy=calls["d"])
    assert calls.calls == ["d"]
    assert kept[0].deleted
    with pytest.raises(membuf.ObjectDeletedError):
        kept.pop().reference()


class Bare(membuf.Object):
    """A subclass that leaves out the initialization."""

    def __init__(self) -> None:
        pass


def test_an_object_that_owns_others_gets_no_parent() -> None:
    first = Bare()
    second = membuf.Object(parent=first)
    for parent in (first, second):
        with pytest.raises(membuf.InvalidParameterError, match="owns objects already"):
            membuf.Object.__init__(first, parent=parent)
    assert first.parent is None
    assert first.children == (second,)


def test_an_object_whose_deletion_has_begun_gets_no_parent() -> None:
    parent, late = membuf.Object(), Bare()
    late.reference()
    late.delete()
    with pytest.raises(membuf.DeletePendingError):
        membuf.Object.__init__(late, parent=parent)
    late.dereference()
    with pytest.raises(membuf.ObjectDeletedError):
        membuf.Object.__init__(late, parent=parent)
    assert parent.children == ()


def test_a_refused_initialization_keeps_what_was_there() -> None:
    parent, late = membuf.Object(), Bare()
    parent.reference()
    parent.delete()
    found = late.add_context(dict)
    late.reference("kept")
    with pytest.raises(membuf.DeletePendingError):
        membuf.Object.__init__(late, parent=parent, on_destroy=print)
    assert late.get_context(dict) is found
    late.dereference("kept")
    parent.dereference()


# ---- objects half-made and dying -----------------------------------------------------------------


def test_nobody_sees_a_list_without_its_blocks() -> None:
    seen: list[object] = []

    class Tag:
        def __index__(self) -> int:
            seen.extend(o for o in gc.get_objects() if type(o) is membuf.LookasideList)
            return int.from_bytes(b"Evil", "little")

    gc.collect()
    before = [o for o in gc.get_objects() if type(o) is membuf.LookasideList]
    pages = membuf.LookasideList(64, tag=Tag())  # type: ignore[arg-type]
    assert pages.tag == "Evil"
    assert len(seen) == len(before)


def test_a_list_deleted_by_the_collector_while_it_allocates() -> None:
    lists = [membuf.LookasideList(64)]

    class Deleter:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            lists[0].delete()

    keep = [membuf.Memory(16) for _ in range(1000)]  # no handle is left for reuse
    thresholds = gc.get_threshold()
    gc.disable()
    gc.set_threshold(1)
    Deleter()
    try:
        with pytest.raises((membuf.ObjectDeletedError, membuf.DeletePendingError)):
            for _ in range(1000):
                gc.enable()
                lists[0].allocate()
    finally:
        gc.enable()
        gc.set_threshold(*thresholds)
    alive = weakref.ref(lists.pop())
    del keep, Deleter
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize(
    "take",
    ["membuf.Memory(64)", "membuf.LookasideList(64).allocate()", "membuf.pool.allocate(64)"],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_block_on_its_way_home_has_no_holder(take: str, domain: membuf.Domain) -> None:
    """The allocation site is the last thing to go, and its end runs the caller's code."""
    seen: list[object] = []
    names: dict[str, Any] = {"membuf": membuf}
    code = compile(f"taken = {take}", "gone", "exec")
    exec(code, names)
    end = weakref.ref(code, lambda _: seen.append(domain._holders()))
    del code, names["taken"]
    assert end() is None
    assert seen == [[]]


def test_a_block_does_not_keep_its_domain() -> None:
    domain = membuf.Domain()
    token = _native.domain_variable.set(domain)
    domain.context["own"] = membuf.pool.allocate(64)
    _native.domain_variable.reset(token)
    alive = weakref.ref(domain)
    with pytest.warns(ResourceWarning, match="without free"):
        del domain, token
    assert alive() is None


def test_a_freed_block_outlives_its_domain() -> None:
    domain = membuf.Domain(tag="Gone")
    token = _native.domain_variable.set(domain)
    block = membuf.pool.allocate(64, pool=membuf.PAGED)
    view = memoryview(block)
    _native.domain_variable.reset(token)
    block.free()
    del domain, token
    view[63] = 1
    view.release()
    assert (block.tag, block.pool, block.size, block.freed) == ("Gone", 1, 64, True)
    assert repr(block) == "<membuf.Block 64 bytes tag 'Gone' freed>"


# ---- arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [membuf.Object, membuf.Memory, _native.Domain])
def test_keywords_that_are_no_strings(made: Callable[..., object]) -> None:
    call = functools.partial(made)
    call.keywords[1] = 2
    with pytest.raises(TypeError, match="keywords must be strings"):
        call()


def test_a_block_freed_by_its_own_tag() -> None:
    block = membuf.pool.allocate(64, tag="Evil")

    class Tag:
        def __index__(self) -> int:
            block.free()
            return int.from_bytes(b"Evil", "little")

    with pytest.raises(membuf.InvalidParameterError, match="freed before") as caught:
        block.free(tag=Tag())  # type: ignore[arg-type]
    assert caught.value.bugcheck[:2] == (0xC2, 7)


class Deleting(bytearray):
    """A buffer that deletes a memory object when it is asked for its bytes.

    Before Python 3.12 a class has no say in that: there it is an ordinary buffer.
    """

    victim: membuf.Memory
    released = False

    def __buffer__(self, flags: int) -> memoryview:
        self.victim.delete()
        return memoryview(bytearray(16))

    def __release_buffer__(self, view: memoryview) -> None:
        self.released = True


ASKED = sys.version_info >= (3, 12)


def test_an_exporter_that_deletes_the_memory_it_is_assigned_to() -> None:
    buffer = Deleting(32)
    buffer.victim = membuf.Memory.preallocated(bytearray(8))
    with pytest.raises(membuf.ObjectDeletedError) if ASKED else contextlib.nullcontext():
        buffer.victim.assign_buffer(buffer)
    assert buffer.victim.deleted == ASKED
    assert buffer.released == ASKED
    if not ASKED:
        assert buffer.victim.size == 32


@pytest.mark.parametrize("method", ["copy_from", "copy_to"])
def test_an_exporter_that_deletes_the_memory_it_is_copied_with(method: str) -> None:
    buffer = Deleting(16)
    buffer.victim = membuf.Memory(64)
    with pytest.raises(membuf.ObjectDeletedError) if ASKED else contextlib.nullcontext():
        getattr(buffer.victim, method)(buffer)
    assert buffer.victim.deleted == ASKED


def test_a_cycle_through_a_name_is_collected() -> None:
    class Name(str):
        __slots__ = ("named",)
        named: membuf.Object

    name = Name("name")
    name.named = membuf.Object(name)
    ends = membuf.LookasideList(16, parent=name.named)
    alive = weakref.ref(ends)
    del name, ends
    gc.collect()
    assert alive() is None


# ---- depth ---------------------------------------------------------------------------------------

DEPTH = 20000


def chain_of_contexts() -> object:
    last = membuf.Object()
    for _ in range(DEPTH):
        following = membuf.Object()
        following.add_context(functools.partial(lambda kept: kept, last))
        last = following
    return last


def chain_of_lists() -> object:
    last = membuf.LookasideList(16)
    for _ in range(DEPTH):
        following = membuf.LookasideList(16)
        following.add_context(functools.partial(lambda kept: kept, last))
        last = following
    return last


def chain_of_memory() -> object:
    last = membuf.Memory.preallocated(bytearray(8))
    for _ in range(DEPTH):
        last = membuf.Memory.preallocated(last)
    return last


def chain_of_pointers() -> object:
    last = _native.Pointer(bytearray(8))
    for _ in range(DEPTH):
        last = _native.Pointer(last)
    assert last.size == 8
    return last


@pytest.mark.parametrize(
    "chain", [chain_of_contexts, chain_of_lists, chain_of_memory, chain_of_pointers]
)
def test_a_long_chain_ends_without_recursion(chain: Callable[[], object]) -> None:
    ends: list[bool] = []

    def make_and_drop() -> None:
        chain()
        ends.append(True)

    on_small_stack(make_and_drop)
    assert ends == [True]
