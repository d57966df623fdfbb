"""Cases that no list of steps can tell: races, limits of the process, and a few of one line."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable

import membuf
from membuf import wdf
from tests.conformance.cases import case
from tests.support import without_sanitizer


def together(*jobs: Callable[[], object]) -> None:
    """Run jobs in threads that start at one moment; what one raises is raised."""
    barrier, raised = threading.Barrier(len(jobs)), []

    def run(job: Callable[[], object]) -> None:
        barrier.wait()
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            raised.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


@case("C29")
def test_delete_of_a_child_and_of_its_parent_race() -> None:
    for _ in range(200):
        log: list[str] = []
        parent, child = python_family(log)
        together(quietly(child.delete), quietly(parent.delete))
        assert sorted(log) == ["cC", "cP", "dC", "dP"]
        assert log.index("cC") < log.index("dC")
        assert log.index("cP") < log.index("dP")


def python_family(log: list[str]) -> tuple[membuf.Object, membuf.Object]:
    """A parent and its child, with callbacks that log."""

    def made(name: str, parent: membuf.Object | None) -> membuf.Object:
        return membuf.Object(
            parent=parent,
            on_cleanup=lambda _: log.append("c" + name),
            on_destroy=lambda _: log.append("d" + name),
        )

    parent = made("P", None)
    return parent, made("C", parent)


def quietly(delete: Callable[[], None]) -> Callable[[], None]:
    """The call, for one that may come too late: the other thread was first, and is done."""

    def run() -> None:
        with contextlib.suppress(membuf.ObjectDeletedError):
            delete()

    return run


@case("C29-wdf")
def test_the_same_race_through_the_framework() -> None:
    with wdf.driver("Sample") as driver:
        for _ in range(100):
            log: list[str] = []
            parent, child = family(log)
            together(late(driver, parent), late(driver, child))
            assert sorted(log) == ["cC", "cP", "dC", "dP"]


def family(log: list[str]) -> tuple[membuf.Object, membuf.Object]:
    """A parent and its child, with callbacks that log."""
    made: list[membuf.Object] = []
    for name in "PC":
        attributes = wdf.WDF_OBJECT_ATTRIBUTES()
        wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
        attributes.EvtCleanupCallback = lambda _, name=name: log.append("c" + name)
        attributes.EvtDestroyCallback = lambda _, name=name: log.append("d" + name)
        attributes.ParentObject = made[0] if made else None
        status, thing = wdf.WdfObjectCreate(attributes)
        assert status == wdf.STATUS_SUCCESS
        assert thing is not None
        made.append(thing)
    return made[0], made[1]


def late(driver: wdf.WDFDRIVER, thing: membuf.Object) -> Callable[[], None]:
    """Delete in a thread that has no driver of its own; coming too late is an invalid handle."""

    def run() -> None:
        with driver.running():
            try:
                wdf.WdfObjectDelete(thing)
            except membuf.BugCheck as error:
                if error.p1 != wdf.WDF_INVALID_HANDLE:
                    raise

    return run


@case("C94")
def test_the_lists_own_attributes_are_checked_first() -> None:
    bad_list, bad_memory = wdf.WDF_OBJECT_ATTRIBUTES(), wdf.WDF_OBJECT_ATTRIBUTES()
    wdf.WDF_OBJECT_ATTRIBUTES_INIT(bad_list)
    bad_list.ExecutionLevel = wdf.WdfExecutionLevelPassive
    with wdf.driver("Sample"):
        status, made = wdf.WdfLookasideListCreate(bad_list, 64, wdf.PagedPool, bad_memory, 0)
        assert (status, made) == (wdf.STATUS_WDF_EXECUTION_LEVEL_INVALID, None)
        status, made = wdf.WdfLookasideListCreate(None, 64, wdf.PagedPool, bad_memory, 0)
        assert (status, made) == (wdf.STATUS_INFO_LENGTH_MISMATCH, None)
        status, made = wdf.WdfLookasideListCreate(bad_list, 0, wdf.PagedPool, bad_memory, 0)
        assert (status, made) == (wdf.STATUS_INVALID_PARAMETER, None)


@case("C119")
def test_four_threads_share_a_list() -> None:
    with membuf.Domain() as domain:
        pages = membuf.LookasideList(512, tag="Page")
        kept: list[membuf.Memory] = []

        def work() -> None:
            for i in range(500):
                memory = pages.allocate()
                memory.copy_from(b"%d" % i)
                if i % 50:
                    memory.delete()
                else:
                    kept.append(memory)

        together(work, work, work, work)
        counts = pages.statistics()
        assert counts.allocations - counts.frees == counts.outstanding == len(kept) == 40
        assert len({memory.address for memory in kept}) == 40
        for memory in kept:
            memory.delete()
        assert domain.statistics().outstanding == 0


@case("C116-long")
def test_the_depth_rises_under_misses_and_never_passes_its_maximum() -> None:
    with membuf.Domain(auto_rebalance=False):
        pages = membuf.LookasideList(64, maximum_depth=32)
        depths, held = [pages.statistics().depth], []
        for _ in range(10):
            held += [pages.allocate() for _ in range(40)]
            pages.rebalance()
            depths.append(pages.statistics().depth)
        assert depths == sorted(depths)
        assert depths[0] == 4
        assert depths[-1] == 32
        held.clear()


@case("P7")
def test_a_literal_reads_backwards() -> None:
    tag = membuf.Tag.literal("derF")
    assert (str(tag), int(tag)) == ("Fred", 0x64657246)


LOCKED = """
import os, resource, sys, membuf
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
limit = 8 << 20
resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
def fill(domain, pool):
    held = []
    try:
        while len(held) < 16:
            held.append(membuf.Memory(1 << 20, pool=pool, parent=domain))
    except membuf.InsufficientResourcesError:
        pass
    return held
with membuf.Domain(locked="required") as domain:
    held = fill(domain, membuf.NONPAGED)
    assert 0 < len(held) <= 8, len(held)
    for memory in held:
        memory.buffer[:] = bytes(1 << 20)
    assert domain.statistics().unlocked_bytes == 0
    assert len(fill(domain, membuf.PAGED)) == 16
with membuf.Domain(locked="best-effort") as domain:
    assert len(fill(domain, membuf.NONPAGED)) == 16
    assert domain.statistics().unlocked_bytes > 0
print("held", end="")
"""


@without_sanitizer
@case("P11")
def test_non_paged_memory_stops_at_the_right_to_lock() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOCKED], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("held", "")
