"""A forked child: inherited objects stay readable, the child's domain is empty and usable."""

from __future__ import annotations

from tests.support import run_python

PRELUDE = """
    import membuf, os, sys

    def in_child(work):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work()
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0, "the child failed"

    def totals():
        return [(r.tag, r.allocations, r.frees, r.bytes) for r in membuf.pool.statistics().tags]
"""


def forked(code: str) -> None:
    """Run code that forks; parent and child both have to end well and in silence."""
    child = run_python(PRELUDE + code)
    assert (child.returncode, child.stderr) == (0, "")


def test_inherited_memory_is_readable() -> None:
    forked("""
    memories = [membuf.Memory(size, tag="Inhr", pool=pool)
                for size in (64, 4096, 3 << 20) for pool in (membuf.PAGED, membuf.NONPAGED)]
    pages = membuf.LookasideList(4096)
    memories.append(pages.allocate())
    for number, memory in enumerate(memories):
        memory.copy_from(bytes([number + 1]) * memory.size)
    views = [memory.buffer for memory in memories]
    def work():
        for number, (memory, view) in enumerate(zip(memories, views)):
            assert memory.buffer == view == bytes([number + 1]) * memory.size
            memory.copy_from(b"child")
    in_child(work)
    for number, memory in enumerate(memories):
        assert memory.buffer == bytes([number + 1]) * memory.size, "the child wrote to the parent"
    """)


def test_the_childs_default_domain_is_empty_and_usable() -> None:
    forked("""
    kept = membuf.Memory(64, tag="Prnt")
    pages = membuf.LookasideList(64, tag="Prnt")
    used = pages.allocate()
    def work():
        assert totals() == [], totals()
        root = membuf.Object()
        memories = [membuf.Memory(5000, tag="Chld", parent=root) for _ in range(100)]
        for memory in memories:
            memory.copy_from(b"x" * 5000)
        assert totals() == [("Chld", 100, 0, 500_000)]
        root.delete()
        assert totals() == [("Chld", 100, 100, 0)]
        fresh = membuf.LookasideList(64, tag="List")
        fresh.allocate().delete()
        assert fresh.statistics().idle == 1
        fresh.delete()
        membuf.pool.trim()
    before = totals()
    in_child(work)
    assert totals() == before
    """)


def test_deleting_inherited_objects_is_the_childs_own_affair() -> None:
    forked("""
    log = []
    root = membuf.Object(on_destroy=lambda _: log.append("destroyed"))
    memory = membuf.Memory(4096, tag="Inhr", parent=root)
    memory.copy_from(b"parent's")
    pages = membuf.LookasideList(4096, tag="Look")
    taken = pages.allocate()
    block = membuf.pool.allocate(64, tag="Blck")
    before = totals()
    def work():
        view = memory.buffer
        root.delete()
        assert log == ["destroyed"]
        assert bytes(view[:8]) == b"parent's"
        view.release()
        taken.delete()
        block.free()
        pages.delete()
        assert all(held >= 0 and freed <= made for _, made, freed, held in totals())
    in_child(work)
    assert (log, memory.deleted, taken.deleted, block.freed) == ([], False, False, False)
    assert totals() == before
    assert bytes(memory.buffer[:8]) == b"parent's"
    taken.copy_from(b"works")
    root.delete(); taken.delete(); block.free(); pages.delete()
    assert [held for _, _, _, held in totals()] == [0] * len(totals())
    """)


def test_an_inherited_list_keeps_working_in_the_child() -> None:
    forked("""
    pages = membuf.LookasideList(64)
    for memory in [pages.allocate() for _ in range(3)]:
        memory.delete()
    def work():
        memories = [pages.allocate() for _ in range(10)]
        for number, memory in enumerate(memories):
            memory.copy_from(bytes([number]) * 64)
        for number, memory in enumerate(memories):
            assert memory.buffer == bytes([number]) * 64
            memory.delete()
        pages.flush()
        pages.rebalance()
    before = pages.statistics()
    in_child(work)
    assert pages.statistics() == before
    """)


def test_fork_while_other_threads_allocate() -> None:
    forked("""
    import threading, time, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    pages = membuf.LookasideList(64)
    stop = threading.Event()
    def churn():
        while not stop.is_set():
            memory = pages.allocate()
            membuf.Memory(5000, parent=memory)
            membuf.pool.allocate(64).free()
            memory.delete()
    threads = [threading.Thread(target=churn) for _ in range(3)]
    for thread in threads:
        thread.start()
    def work():
        pages.allocate().delete()
        membuf.Memory(5000).delete()
        membuf.pool.allocate(64).free()
        membuf.LookasideList(4096).allocate().delete()
    try:
        for _ in range(30):
            in_child(work)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    """)


def test_a_grandchild_works_like_a_child() -> None:
    forked("""
    memory = membuf.Memory(64)
    memory.copy_from(b"first")
    def grandchild():
        assert bytes(memory.buffer[:5]) == b"first"
        membuf.Memory(64).delete()
    def work():
        own = membuf.Memory(64, tag="Chld")
        in_child(grandchild)
        own.delete()
    in_child(work)
    """)


def test_leaving_a_domain_in_the_child_leaves_the_parents_alone() -> None:
    forked("""
    with membuf.Domain(tag="Drv1") as domain:
        memory = membuf.Memory(64, parent=domain)
        def work():
            domain.delete()
            assert memory.deleted
            try:
                membuf.Memory(64)
            except membuf.ObjectDeletedError:
                return
            raise AssertionError("a deleted domain gave memory")
        in_child(work)
        assert not domain.deleted and not memory.deleted
        memory.copy_from(b"works")
    assert memory.deleted
    """)
