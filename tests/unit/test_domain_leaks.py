"""What a domain says at its end about what is still out."""

from __future__ import annotations

import json

import pytest

import membuf
import membuf.verifier


def test_a_leak_is_described() -> None:
    root = membuf.Object("capture")
    domain = membuf.Domain(tag="Drv1", on_leak="raise")
    with pytest.raises(membuf.LeakError) as caught, domain:
        memory = membuf.Memory(64, tag="Left", parent=root, name="frame")
    (leak,) = caught.value.leaks
    assert (leak.tag, leak.size, leak.kind, leak.deleted) == ("Left", 64, "Memory", False)
    assert (leak.address, leak.pool) == (memory.address, membuf.NONPAGED)
    assert leak.owner == "capture"
    assert "test_domain_leaks.py" in str(leak.site)
    for part in ("Left", "64", "capture", "test_domain_leaks.py"):
        assert part in str(caught.value)
    root.delete()


def test_a_leak_does_not_hide_what_the_body_raised() -> None:
    domain = membuf.Domain(on_leak="raise")
    domain.__enter__()
    memory = membuf.Memory(64)
    error = KeyError("body")
    with pytest.warns(ResourceWarning, match="still out"):
        domain.__exit__(KeyError, error, None)
    memory.delete()


def test_a_leak_given_back_later_is_all_right() -> None:
    with pytest.raises(membuf.LeakError), membuf.Domain(on_leak="raise") as domain:
        memory = membuf.Memory(64)
        memory.copy_from(b"usable")
    assert bytes(memory.buffer[:6]) == b"usable"
    memory.delete()
    assert domain.statistics().outstanding == 0
    assert domain.live_blocks() == ()


def test_idle_blocks_of_a_list_are_no_leak() -> None:
    with membuf.Domain(on_leak="raise"):
        pages = membuf.LookasideList(64)
        for memory in [pages.allocate() for _ in range(3)]:
            memory.delete()
        del memory
        assert pages.statistics().idle == 3
    pages.delete()


def test_what_the_domain_owns_is_no_leak() -> None:
    with membuf.Domain(on_leak="raise") as domain:
        pages = membuf.LookasideList(64, parent=domain, memory_parent=domain)
        for _ in range(10):
            pages.allocate()
        membuf.Memory(64, parent=membuf.Memory(64, parent=domain))
    assert domain.statistics().outstanding == 0


@pytest.mark.parametrize("wrong", ["", "ignore", None, 3])
def test_on_leak_is_one_of_two_words(wrong: object) -> None:
    with pytest.raises((membuf.InvalidParameterError, TypeError)):
        membuf.Domain(on_leak=wrong)


def test_the_report_names_every_block() -> None:
    with membuf.Domain(name="reported"):
        root = membuf.Object("root")
        held = membuf.Memory(64, tag="Held", parent=membuf.Object("child", parent=root))
        local = membuf.pool.allocate(32, tag="Locl")
        gone = membuf.Memory(16, tag="Gone")
        view = gone.buffer
        gone.delete()
        report = membuf.verifier.report()
        assert {block.tag for block in report.blocks} == {"Held", "Locl", "Gone"}
        assert [block.tag for block in report.stale] == ["Gone"]
        assert {block.tag: block.owner for block in report.blocks}["Held"] == "root/child"
        assert report.statistics.outstanding == 2
        assert "reported" in str(report)
        loaded = json.loads(report.json())
        assert {block["size"] for block in loaded["blocks"]} == {16, 32, 64}
        view.release()
        local.free()
        root.delete()
        assert held.deleted
        assert membuf.verifier.report().blocks == ()


def test_statistics_of_a_domain_can_be_read_after_its_end() -> None:
    with membuf.Domain(tag="Over") as domain:
        membuf.Memory(64).delete()
    figures = domain.statistics()
    assert (figures.allocations, figures.frees) == (1, 1)


def test_memory_outlives_the_domain_object() -> None:
    memory = make_and_forget()
    memory.copy_from(b"alive")
    assert (memory.tag, bytes(memory.buffer[:5])) == ("Frgt", b"alive")
    memory.delete()


def make_and_forget() -> membuf.Memory:
    """A memory object whose domain nobody refers to any more."""
    domain = membuf.Domain(tag="Frgt")
    domain.__enter__()
    memory = membuf.Memory(64)
    with pytest.warns(ResourceWarning, match="Frgt"):
        domain.__exit__(None, None, None)
    return memory
