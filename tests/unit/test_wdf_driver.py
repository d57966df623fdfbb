"""The driver: default tag and parent, the current one, what it keeps, how it stops and ends."""

from __future__ import annotations

import contextvars
import gc
import subprocess
import sys
import threading
from typing import Any

import pytest

import membuf
from membuf import wdf


def attributes(cleanup: Any = None, destroy: Any = None, parent: Any = None) -> Any:
    made = wdf.WDF_OBJECT_ATTRIBUTES()
    wdf.WDF_OBJECT_ATTRIBUTES_INIT(made)
    made.EvtCleanupCallback, made.EvtDestroyCallback, made.ParentObject = cleanup, destroy, parent
    return made


def create(*arguments: Any) -> Any:
    status, made = wdf.WdfObjectCreate(attributes(*arguments))
    assert status == wdf.STATUS_SUCCESS
    return made


def config(**fields: Any) -> wdf.WDF_DRIVER_CONFIG:
    made = wdf.WDF_DRIVER_CONFIG()
    wdf.WDF_DRIVER_CONFIG_INIT(made, None)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("service", "configured", "tag"),
    [
        ("WdfXy12", 0, "Xy12"),
        ("wdfXy12", 0, "Xy12"),
        ("WDFSample", 0, "Samp"),
        ("Sample", 0, "Samp"),
        ("WdfXyz", 0, "Xyz"),
        ("WdfXy", 0, "FxDr"),
        ("Xy", 0, "FxDr"),
        ("", 0, "FxDr"),
        ("Wdf", 0, "FxDr"),
        ("WdfWdfX", 0, "WdfX"),
        ("WdfXy12", b"Mine", "Mine"),
        ("WdfXy12", 0x656E694D, "Mine"),
        ("WdfXy12", b"Ddk ", "Xy12"),
        ("WdfXy12", 0x206B6444, "Xy12"),
    ],
)
def test_the_default_tag(service: str, configured: int | bytes, tag: str) -> None:
    with wdf.driver(service, configured) as driver:
        _, memory, _ = wdf.WdfMemoryCreate(None, wdf.PagedPool, 0, 10)
        assert memory is not None
        assert (driver.tag, memory.tag) == (tag, tag)


def test_without_a_driver_a_create_stops() -> None:
    for call in (
        lambda: wdf.WdfObjectCreate(None),
        lambda: wdf.WdfMemoryCreate(None, wdf.PagedPool, 0, 10),
        lambda: wdf.WdfMemoryCreatePreallocated(None, bytearray(8), 8),
        lambda: wdf.WdfLookasideListCreate(None, 10, wdf.PagedPool, None, 0),
        wdf.WdfGetDriver,
    ):
        with pytest.raises(membuf.BugCheck) as caught:
            call()
        assert (caught.value.code, caught.value.p1) == (0x10D, 4)
        assert "driver" in str(caught.value)


def test_drivers_nest_and_the_inner_one_is_current() -> None:
    with wdf.driver("Outer") as outer:
        with wdf.driver("Inner") as inner:
            assert wdf.WdfGetDriver() is inner
            assert create().parent is inner
        assert wdf.WdfGetDriver() is outer
        assert create().parent is outer


def test_entering_twice_ends_at_the_outer_exit() -> None:
    with wdf.driver("Sample") as driver:
        thing = create()
        with driver:
            pass
        assert not thing.deleted
        assert wdf.WdfGetDriver() is driver
    assert thing.deleted


def test_memory_counts_in_the_drivers_own_domain() -> None:
    before = membuf.pool.statistics().allocations
    with wdf.driver("Sample") as driver:
        wdf.WdfMemoryCreate(None, wdf.PagedPool, 0, 10)
        assert driver.statistics().bytes == 10
        assert str(driver.live_blocks()[0].site).startswith(__file__)
    assert membuf.pool.statistics().allocations == before


def test_driver_create_makes_the_driver_current_until_unload() -> None:
    unloaded: list[Any] = []
    status, driver = wdf.WdfDriverCreate(
        config(EvtDriverUnload=unloaded.append, DriverPoolTag=b"Mine"),
        RegistryPath="\\Registry\\Machine\\System\\Services\\WdfXy12",
    )
    assert (status, driver is not None) == (wdf.STATUS_SUCCESS, True)
    assert driver is not None
    assert (driver.service, driver.tag) == ("WdfXy12", "Mine")
    thing = create()
    assert thing.parent is wdf.WdfGetDriver() is driver
    driver.unload()
    assert unloaded == [driver]
    assert thing.deleted
    assert driver.deleted
    with pytest.raises(membuf.BugCheck):
        wdf.WdfGetDriver()
    assert membuf.pool.current_domain() is membuf.pool.default_domain()


def test_a_created_driver_can_be_ended_by_with() -> None:
    _, driver = wdf.WdfDriverCreate(config())
    assert driver is not None
    with driver:
        thing = create()
    assert thing.deleted
    with pytest.raises(membuf.BugCheck):
        wdf.WdfGetDriver()


def test_driver_attributes_give_callbacks_and_a_context() -> None:
    log: list[str] = []
    given = attributes(lambda _: log.append("c"), lambda _: log.append("d"))
    given.ContextTypeInfo = wdf.WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName="T", ContextSize=8)
    _, driver = wdf.WdfDriverCreate(config(), DriverAttributes=given)
    assert driver is not None
    assert len(wdf.WdfObjectGetTypedContext(driver, given.ContextTypeInfo)) == 8
    create(lambda _: log.append("c child"), lambda _: log.append("d child"))
    driver.unload()
    assert log == ["c child", "c", "d child", "d"]


def test_driver_create_checks_its_configuration() -> None:
    assert wdf.WdfDriverCreate(config(Size=31)) == (wdf.STATUS_INFO_LENGTH_MISMATCH, None)
    with pytest.raises(membuf.BugCheck) as caught:
        wdf.WdfDriverCreate(None)
    assert (caught.value.code, caught.value.p1) == (0x10D, 4)


def test_unload_runs_while_everything_still_lives() -> None:
    seen: list[bool] = []
    with wdf.driver("Sample") as driver:
        thing = create()
        driver.on_unload = lambda d: seen.append(thing.deleted or wdf.WdfGetDriver() is not d)
    assert seen == [False]


def test_a_raise_in_unload_does_not_stop_the_end() -> None:
    def unload(_: Any) -> None:
        raise ValueError("planted")

    def ends() -> None:
        with wdf.driver("Sample") as driver:
            driver.on_unload = unload
            things.append(create())

    things: list[Any] = []
    with pytest.raises(ValueError, match="planted"):
        ends()
    assert things[0].deleted


def test_what_is_left_of_ex_blocks_is_reported_and_freed() -> None:
    def leaks() -> None:
        with wdf.driver("Sample"):
            blocks.append(wdf.ExAllocatePoolWithTag(wdf.PagedPool, 100, b"Leak"))

    blocks: list[Any] = []
    with pytest.warns(ResourceWarning, match="'Leak'.*test_wdf_driver"):
        leaks()
    assert blocks[0].freed


# ---- callbacks -----------------------------------------------------------------------------------


def test_a_callback_runs_under_its_objects_driver_in_any_thread() -> None:
    seen: list[Any] = []

    def cleanup(_: Any) -> None:
        _, memory, _ = wdf.WdfMemoryCreate(None, wdf.PagedPool, 0, 10)
        assert memory is not None
        seen.extend([wdf.WdfGetDriver(), membuf.pool.current_domain(), memory.parent])

    with wdf.driver("Sample") as driver:
        thing = create(cleanup)
        thread = threading.Thread(target=contextvars.Context().run, args=(thing.delete,))
        thread.start()
        thread.join()
        assert seen == [driver, driver, driver]
        with wdf.driver("Other") as other:
            wdf.WdfObjectDelete(create(cleanup))
            assert seen[3:] == [other, other, other]
            thing = create(lambda _: seen.append(wdf.WdfGetDriver()), None, driver)
            with driver:
                wdf.WdfObjectDelete(thing)
            assert seen[6] is other


def test_a_bug_check_in_a_callback_reaches_the_caller_of_the_deletion() -> None:
    log: list[str] = []

    def cleanup(_: Any) -> None:
        log.append("c")
        wdf.WdfMemoryGetBuffer(None)

    with wdf.driver("Sample") as driver:
        thing = create(cleanup, lambda _: log.append("d"))
        with pytest.raises(membuf.BugCheck) as caught:
            wdf.WdfObjectDelete(thing)
        assert (caught.value.code, caught.value.p1) == (0x10D, 5)
        assert log == ["c", "d"]
        assert driver.kept == []
        create()


def test_a_callback_may_catch_its_own_bug_check() -> None:
    def cleanup(_: Any) -> None:
        with pytest.raises(membuf.BugCheck):
            wdf.WdfMemoryGetBuffer(None)

    with wdf.driver("Sample") as driver:
        wdf.WdfObjectDelete(create(cleanup))
        assert driver.kept == []


def test_a_bug_check_that_nobody_can_receive_is_raised_at_the_next_call() -> None:
    with wdf.driver("Sample") as driver:
        thing = create(lambda _: wdf.WdfMemoryGetBuffer(None))
        thread = threading.Thread(target=thing.delete)
        thread.start()
        thread.join()
        assert len(driver.kept) == 1
        with pytest.raises(membuf.BugCheck):
            wdf.WdfObjectCreate(None)
        wdf.WdfObjectCreate(None)


def test_a_bug_check_that_nobody_can_receive_is_raised_at_the_drivers_end() -> None:
    def ends() -> None:
        with wdf.driver("Sample"):
            create(lambda _: wdf.WdfMemoryGetBuffer(None))

    with pytest.raises(membuf.BugCheck) as caught:
        ends()
    assert (caught.value.code, caught.value.p1) == (0x10D, 5)


def test_other_exceptions_of_callbacks_come_as_a_group() -> None:
    def cleanup(_: Any) -> None:
        raise ValueError("planted")

    with wdf.driver("Sample"):
        thing = create(cleanup)
        with pytest.raises(ExceptionGroup) as caught:
            wdf.WdfObjectDelete(thing)
        assert caught.group_contains(ValueError, match="planted")


# ---- on_bugcheck ---------------------------------------------------------------------------------


def test_a_bug_check_leaves_the_driver_usable() -> None:
    with wdf.driver("Sample"):
        with pytest.raises(membuf.BugCheck):
            wdf.WdfObjectDelete(None)
        assert create().parent is wdf.WdfGetDriver()


def test_a_poisoned_driver_raises_the_same_bug_check_for_ever() -> None:
    driver = wdf.driver("Sample", on_bugcheck="poison").__enter__()
    with pytest.raises(membuf.BugCheck) as first:
        wdf.WdfObjectDelete(None)
    with pytest.raises(membuf.BugCheck) as second:
        wdf.WdfObjectCreate(None)
    assert second.value is first.value
    with pytest.raises(membuf.BugCheck):
        driver.__exit__(None, None, None)
    assert driver.deleted


def test_abort_ends_the_process_with_the_figures() -> None:
    code = (
        "from membuf import wdf\n"
        "with wdf.driver('S', on_bugcheck='abort'): wdf.WdfObjectDelete(None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == -6
    assert "WDF_VIOLATION (0x10D, 0x5, 0x0, 0x0, 0x0)" in done.stderr


def test_an_unknown_reaction_is_refused() -> None:
    with pytest.raises(ValueError, match="poison"):
        wdf.driver("Sample", on_bugcheck="ignore")  # type: ignore[arg-type]


def test_a_driver_that_is_dropped_takes_its_objects_with_it() -> None:
    log: list[str] = []

    def makes() -> None:
        status, driver = wdf.WdfDriverCreate(config())
        assert status == wdf.STATUS_SUCCESS
        create(lambda _: log.append("c"))
        del driver

    contextvars.Context().run(makes)
    gc.collect()
    assert log == ["c"]


# ---- threads -------------------------------------------------------------------------------------


def in_thread(work: Any) -> None:
    """Run work in a thread of its own, with a fresh context; what it raises is raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            contextvars.Context().run(work)
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def test_a_thread_has_no_driver_until_it_is_given_one() -> None:
    with wdf.driver("Sample") as driver:
        with pytest.raises(membuf.BugCheck):
            in_thread(wdf.WdfGetDriver)

        def work() -> None:
            driver.make_current()
            assert create().parent is wdf.WdfGetDriver() is driver
            assert membuf.pool.current_domain() is driver

        in_thread(work)
        thing = create()
        in_thread(lambda: wdf.WdfObjectDelete(thing))
        assert thing.deleted


def test_a_thread_may_enter_the_driver_and_leave_it() -> None:
    def work() -> None:
        with driver:
            things.append(create())
        with pytest.raises(membuf.BugCheck):
            wdf.WdfGetDriver()

    things: list[Any] = []
    with wdf.driver("Sample") as driver:
        in_thread(work)
        assert things[0].parent is driver


def test_a_driver_that_has_ended_is_no_driver() -> None:
    with wdf.driver("Sample") as driver:
        pass

    def work() -> None:
        driver.make_current()
        with pytest.raises(membuf.BugCheck) as caught:
            create()
        assert (caught.value.code, caught.value.p1) == (0x10D, 4)
        with wdf.driver("Other") as other:
            assert wdf.WdfGetDriver() is other

    in_thread(work)
    assert membuf.pool.current_domain() is membuf.pool.default_domain()


def test_a_created_driver_is_current_in_its_context_only() -> None:
    def work() -> None:
        status, driver = wdf.WdfDriverCreate(config())
        assert (status, driver) == (wdf.STATUS_SUCCESS, wdf.WdfGetDriver())
        assert driver is not None
        with pytest.raises(membuf.BugCheck):
            in_thread(wdf.WdfGetDriver)
        in_thread(driver.unload)
        assert driver.ended
        with pytest.raises(membuf.BugCheck):
            wdf.WdfGetDriver()

    in_thread(work)
    assert membuf.pool.current_domain() is membuf.pool.default_domain()
