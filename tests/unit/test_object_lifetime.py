"""Who keeps whom alive: parents, Python references, the garbage collector, deep trees."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest

import membuf
from tests.support import Recorder, assert_silent, run_python


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_an_object_without_parent_goes_with_its_last_reference(recorder: Recorder) -> None:
    root = membuf.Object(**recorder.hooks("R"))
    membuf.Object(parent=root, **recorder.hooks("C"))
    alias = root
    del root
    assert recorder.log == []
    del alias
    assert recorder.text == "c:C c:R d:C d:R"


def test_the_parent_keeps_its_children(recorder: Recorder) -> None:
    root = membuf.Object(**recorder.hooks("R"))
    child = membuf.Object("child", parent=root, **recorder.hooks("C"))
    child.context["kept"] = True
    del child
    gc.collect()
    assert recorder.log == []
    assert root.children[0].context == {"kept": True}
    root.delete()


def test_a_child_does_not_keep_its_parent(recorder: Recorder) -> None:
    root = membuf.Object(**recorder.hooks("R"))
    child = membuf.Object("lonely", parent=root, **recorder.hooks("C"))
    del root
    assert recorder.text == "c:C c:R d:C d:R"
    assert child.deleted
    with pytest.raises(membuf.ObjectDeletedError, match="lonely"):
        child.reference()


def test_a_temporary_parent_takes_its_child_along() -> None:
    child = membuf.Memory(16, parent=membuf.Object())
    with pytest.raises(membuf.ObjectDeletedError):
        child.copy_from(b"x")


def test_a_callback_may_keep_the_handle_of_what_goes() -> None:
    kept: list[membuf.Object] = []
    lone = membuf.Object("kept", on_destroy=kept.append)
    del lone
    assert kept[0].deleted
    with pytest.raises(membuf.ObjectDeletedError):
        kept[0].reference()
    kept.clear()


def test_cleanup_of_a_dropped_object_may_reference_it(recorder: Recorder) -> None:
    kept: list[membuf.Object] = []

    def resurrect(handle: membuf.Object) -> None:
        handle.reference()
        kept.append(handle)

    lone = membuf.Object(**recorder.hooks("X", cleanup=resurrect))
    del lone
    assert recorder.text == "c:X"
    kept[0].dereference()
    assert recorder.text == "c:X d:X"


def test_cycles_through_the_context_are_collected(recorder: Recorder) -> None:
    lone = membuf.Object(**recorder.hooks("X"))
    lone.context["me"] = lone
    del lone
    gc.collect()
    assert recorder.text == "c:X d:X"


def test_cycles_through_a_childs_callback_are_collected(recorder: Recorder) -> None:
    root = membuf.Object(**recorder.hooks("R"))
    middle = membuf.Object(parent=root)
    membuf.Object(parent=middle, on_cleanup=lambda _, captured=root: recorder.log.append("leaf"))
    del root, middle
    gc.collect()
    assert recorder.text == "leaf c:R d:R"


def test_cycles_through_a_child_made_before_the_cycle_are_collected(recorder: Recorder) -> None:
    root = membuf.Object(**recorder.hooks("R"))
    leaf = membuf.Memory(64, parent=membuf.Memory(64, parent=root))
    leaf.context["root"] = root
    del root, leaf
    gc.collect()
    assert recorder.text == "c:R d:R"


def test_cycles_through_a_typed_context_are_collected(recorder: Recorder) -> None:
    class Holder:
        owner: object = None

    lone = membuf.Memory(64, **recorder.hooks("X"))
    lone.add_context(Holder).owner = lone
    del lone
    gc.collect()
    assert recorder.text == "c:X d:X"


def test_a_framework_reference_is_stronger_than_the_collector(recorder: Recorder) -> None:
    parent = membuf.Object(**recorder.hooks("P"))
    parent.context["me"] = parent
    parent.reference()
    membuf.Object(parent=parent, **recorder.hooks("C", cleanup=lambda _: None))
    address = id(parent)
    del parent
    gc.collect()
    assert recorder.log == []
    (found,) = (each for each in gc.get_objects() if id(each) == address)
    found.dereference()
    del found
    gc.collect()
    assert recorder.text.split() == ["c:C", "c:P", "d:C", "d:P"]


def test_cycles_through_a_subclass_attribute_are_collected() -> None:
    class Request(membuf.Object):
        pass

    log: list[str] = []
    lone = Request(on_destroy=lambda _: log.append("destroyed"))
    lone.me = lone
    watch = weakref.ref(lone)
    del lone
    gc.collect()
    assert watch() is None
    assert log == ["destroyed"]


@pytest.mark.parametrize(
    "make", [lambda: membuf.LookasideList(64), membuf.Domain], ids=["list", "domain"]
)
def test_lists_and_domains_can_be_referred_to_weakly(make: Callable[[], object]) -> None:
    lone = make()
    watch = weakref.ref(lone)
    assert watch() is lone
    del lone
    gc.collect()
    assert watch() is None


# The loader of an editable install starts a compiler's helper at import, so the small stack is
# that of a thread, not of the process.
IN_A_SMALL_STACK = """
    import gc, threading, membuf
    def work():
        root = leaf = membuf.Object()
        destroyed = []
        for level in range({levels}):
            hook = destroyed.append if level % 1000 == 0 else None
            leaf = membuf.Object(parent=leaf, on_destroy=hook)
        {end}
        assert len(destroyed) == {levels} // 1000
        del hook
    threading.stack_size(256 * 1024)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
"""
ENDS = {
    "delete": "root.delete(); assert leaf.deleted",
    "drop": "del root; assert leaf.deleted",
    "collect": "root.context['leaf'] = leaf; leaf.context['root'] = root; "
    "del root, leaf; gc.collect()",
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_a_chain_a_million_deep_needs_no_stack(end: str) -> None:
    assert_silent(run_python(IN_A_SMALL_STACK.format(levels=1_000_000, end=end)))
