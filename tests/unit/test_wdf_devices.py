"""Devices of a driver: how they are added, whose callbacks run where, and what locks them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

import membuf
from membuf import wdf
from membuf.request import find_device
from tests.wdf_receiving import Lab, lab, queue_config

OK = wdf.STATUS_SUCCESS
PARALLEL = wdf.WdfIoQueueDispatchParallel


def attributes(**fields: Any) -> wdf.WDF_OBJECT_ATTRIBUTES:
    made = wdf.WDF_OBJECT_ATTRIBUTES()
    wdf.WDF_OBJECT_ATTRIBUTES_INIT(made)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def completes(queue: Any, request: Any, length: int) -> None:
    wdf.WdfRequestComplete(request, OK)


# ---- adding --------------------------------------------------------------------------------------


def test_a_device_is_added_by_its_driver() -> None:
    log: list[str] = []

    def device_add(driver: Any, init: Any) -> int:
        log.append("add")
        assert wdf.WdfGetDriver() is driver
        assert wdf.WdfDeviceInitAssignName(init, r"\Device\Added") == OK
        _, device = wdf.WdfDeviceCreate(init, None)
        config = queue_config(PARALLEL, default=True, EvtIoWrite=completes)
        return int(wdf.WdfIoQueueCreate(device, config, None)[0])

    config = wdf.WDF_DRIVER_CONFIG()
    wdf.WDF_DRIVER_CONFIG_INIT(config, device_add)
    _, driver = wdf.WdfDriverCreate(config)
    assert driver is not None
    device = driver.add_device()
    assert (log, device.started, find_device("Added")) == (["add"], True, device)
    with device.open() as handle:
        assert handle.start_write(b"x").wait() == (OK, 0)
    driver.unload()
    assert device.deleted


def test_a_device_that_is_not_added_leaves_nothing() -> None:
    def device_add(driver: Any, init: Any) -> int:
        wdf.WdfDeviceCreate(init, None)
        return int(wdf.STATUS_INSUFFICIENT_RESOURCES)

    with wdf.driver("Sample") as driver:
        with pytest.raises(membuf.InvalidDeviceStateError, match="has no EvtDriverDeviceAdd"):
            driver.add_device()
        driver.on_device_add = device_add
        with pytest.raises(membuf.InsufficientResourcesError):
            driver.add_device()
        assert driver.children == ()
        driver.on_device_add = lambda driver, init: OK
        with pytest.raises(membuf.InvalidDeviceStateError, match="made no device"):
            driver.add_device()


def test_an_init_makes_one_device() -> None:
    with wdf.driver("Sample") as driver:
        init = wdf.WdfControlDeviceInitAllocate(driver, None)
        wdf.WdfDeviceInitSetIoType(init, wdf.WdfDeviceIoUndefined)
        assert wdf.WdfDeviceCreate(init, None) == (wdf.STATUS_INVALID_PARAMETER, None)
        wdf.WdfDeviceInitSetIoType(init, wdf.WdfDeviceIoDirect)
        refused = wdf.WdfDeviceCreate(init, attributes(ParentObject=driver))
        assert refused == (wdf.STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED, None)
        assert wdf.WdfDeviceCreate(init, None)[0] == OK
        for wrong in (init, None):
            with pytest.raises(membuf.BugCheck) as caught:
                wdf.WdfDeviceCreate(wrong, None)
            assert caught.value.p1 == wdf.WDF_REQUIRED_PARAMETER_IS_NULL
        freed = wdf.WdfControlDeviceInitAllocate(driver, None)
        wdf.WdfDeviceInitFree(freed)
        with pytest.raises(membuf.BugCheck):
            wdf.WdfFdoInitSetFilter(freed)


def test_what_is_wrong_of_an_init_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "membuf.wdf")
    with wdf.driver("Sample") as driver:
        init = wdf.WdfControlDeviceInitAllocate(driver, None)
        wdf.WdfDeviceInitSetIoTypeEx(init, wdf.WDF_IO_TYPE_CONFIG())
        wdf.WdfDeviceInitSetFileObjectConfig(init, wdf.WDF_FILEOBJECT_CONFIG(), None)
        wdf.WdfDeviceInitSetRequestAttributes(init, attributes(ParentObject=driver))
        assert len(caplog.records) == 3
        assert (init.io_type, init.file_config, init.request_attributes) == (2, None, None)


# ---- callbacks -----------------------------------------------------------------------------------


def test_requests_and_devices_have_what_their_attributes_say() -> None:
    log: list[str] = []
    info = wdf.WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName="COUNTERS", ContextSize=16)
    of_request = attributes(
        EvtCleanupCallback=lambda _: log.append("c:request"),
        EvtDestroyCallback=lambda _: log.append("d:request"),
        ContextTypeInfo=info,
    )

    def write(queue: Any, request: Any, length: int) -> None:
        space = wdf.WdfObjectGetTypedContext(request, info)
        log.append(f"{bytes(space[:2])!r}")
        space[0] = 7
        wdf.WdfRequestComplete(request, OK)

    with wdf.driver("Sample") as driver:
        init = wdf.WdfControlDeviceInitAllocate(driver, None)
        wdf.WdfDeviceInitSetRequestAttributes(init, of_request)
        of_device = attributes(EvtDestroyCallback=lambda _: log.append("d:device"))
        _, device = wdf.WdfDeviceCreate(init, of_device)
        of_queue = attributes(EvtDestroyCallback=lambda _: log.append("d:queue"))
        config = queue_config(PARALLEL, default=True, EvtIoWrite=write)
        wdf.WdfIoQueueCreate(device, config, of_queue)
        assert device is not None
        with device.open() as handle:
            log.clear()
            handle.write(b"x")
            handle.write(b"x")
        once = [repr(b"\0\0"), "c:request", "d:request"]
        assert log[:6] == once * 2
        log.clear()
    assert [entry for entry in log if "request" not in entry] == ["d:queue", "d:device"]


def test_openings_are_told_of() -> None:
    log: list[Any] = []

    def create(device: Any, request: Any, file: Any) -> None:
        log.append(("create", wdf.WdfFileObjectGetDevice(file) is device))
        wdf.WdfRequestComplete(request, OK)

    def setup(init: Any) -> None:
        config = wdf.WDF_FILEOBJECT_CONFIG()
        closed = lambda file: log.append("close")  # noqa: E731
        cleanup = lambda file: log.append("cleanup")  # noqa: E731
        wdf.WDF_FILEOBJECT_CONFIG_INIT(config, create, closed, cleanup)
        info = wdf.WDF_OBJECT_CONTEXT_TYPE_INFO(ContextName="FILE", ContextSize=8)
        of_file = attributes(ContextTypeInfo=info)
        wdf.WdfDeviceInitSetFileObjectConfig(init, config, of_file)
        log.append(info)

    with lab(setup=setup) as own:
        info = log.pop(0)
        assert wdf.WdfObjectGetTypedContext(own.handle.file, info) is not None
        with pytest.raises(membuf.MembufError, match="cannot be deleted"):
            wdf.WdfObjectDelete(own.handle.file)
        own.handle.close()
    assert log == [("create", True), "cleanup", "close"]


def test_callbacks_run_under_their_driver_in_any_thread() -> None:
    seen: list[Any] = []

    def write(queue: Any, request: Any, length: int) -> None:
        seen.append((wdf.WdfGetDriver(), membuf.pool.current_domain()))
        wdf.WdfRequestComplete(request, OK)

    with lab(queue_config(PARALLEL, EvtIoWrite=write)) as own:
        thread = threading.Thread(target=own.handle.write, args=(b"x",))
        thread.start()
        thread.join()
        driver = wdf.WdfGetDriver()
    assert seen == [(driver, driver)]


def test_a_bug_check_in_a_callback_is_kept_and_its_request_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: reported.append(args.exc_value))

    def write(queue: Any, request: Any, length: int) -> None:
        wdf.WdfRequestCompleteWithInformation(request, OK, length + 1)

    with lab(queue_config(PARALLEL, EvtIoWrite=write)) as own:
        failed = own.handle.start_write(b"abc").wait()
        assert failed == (wdf.STATUS_UNSUCCESSFUL, 0)
        with pytest.raises(membuf.BugCheck) as caught:
            wdf.WdfIoQueueGetState(own.queue)
        assert (caught.value.p1, caught.value.p2) == (wdf.WDF_REQUEST_FATAL_ERROR, 4)
        assert wdf.WdfIoQueueGetState(own.queue)[1:] == (0, 0)
    assert [str(error).startswith("EvtIoWrite stopped") for error in reported] == [True]


def test_who_watches_a_driver_hears_of_its_callbacks() -> None:
    heard: list[str] = []
    with wdf.driver("Sample") as driver:
        driver.listener = heard.append
        own = Lab(driver, queue_config(PARALLEL, EvtIoWrite=completes))
        own.handle.write(b"x")
        wdf.WdfObjectCreate(attributes(EvtCleanupCallback=print, EvtDestroyCallback=print))
        driver.on_unload = lambda _: None
    assert heard == ["EvtIoWrite", "EvtDriverUnload", "EvtCleanupCallback", "EvtDestroyCallback"]


@pytest.mark.parametrize("name", ["EvtIoRead", "EvtIoCanceledOnQueue"])
def test_a_callback_must_be_callable(name: str) -> None:
    fields: dict[str, Any] = {name: 3}
    config = queue_config(PARALLEL, **{"EvtIoDefault": print, **fields})
    with wdf.driver("Sample") as driver:
        with pytest.raises(TypeError, match=f"{name} must be"):
            Lab(driver, config)
        (device,) = driver.children
        assert device.queues == ()


def test_callbacks_of_a_device_must_be_callable() -> None:
    with wdf.driver("Sample") as driver:
        init: Any = wdf.WdfControlDeviceInitAllocate(driver, None)
        with pytest.raises(TypeError, match="EvtIoInCallerContext must be"):
            wdf.WdfDeviceInitSetIoInCallerContextCallback(init, 3)
        config: Any = wdf.WDF_FILEOBJECT_CONFIG()
        wdf.WDF_FILEOBJECT_CONFIG_INIT(config, None, 3, None)
        with pytest.raises(TypeError, match="EvtFileClose must be"):
            wdf.WdfDeviceInitSetFileObjectConfig(init, config, None)
        assert (init.in_caller_context, init.file_config) == (None, None)


# ---- synchronization -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of_device", "of_queue", "excluded"),
    [
        (wdf.WdfSynchronizationScopeInheritFromParent, None, False),
        (wdf.WdfSynchronizationScopeNone, None, False),
        (wdf.WdfSynchronizationScopeQueue, None, True),
        (wdf.WdfSynchronizationScopeDevice, None, True),
        (wdf.WdfSynchronizationScopeNone, wdf.WdfSynchronizationScopeQueue, True),
        (wdf.WdfSynchronizationScopeDevice, wdf.WdfSynchronizationScopeNone, False),
    ],
)
def test_a_scope_lets_one_callback_run_at_a_time(
    of_device: int, of_queue: int | None, excluded: bool
) -> None:
    inside, most = 0, 0
    met = threading.Event()

    def write(queue: Any, request: Any, length: int) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if inside == 2:
            met.set()
        met.wait(0.05 if excluded else 5)
        inside -= 1
        wdf.WdfRequestComplete(request, OK)

    with wdf.driver("Sample") as driver:
        init = wdf.WdfControlDeviceInitAllocate(driver, None)
        _, device = wdf.WdfDeviceCreate(init, attributes(SynchronizationScope=of_device))
        given = None if of_queue is None else attributes(SynchronizationScope=of_queue)
        config = queue_config(PARALLEL, default=True, EvtIoWrite=write)
        assert wdf.WdfIoQueueCreate(device, config, given)[0] == OK
        assert device is not None
        with device.open() as handle:
            together(lambda: handle.write(b"x"), lambda: handle.write(b"x"))
    assert most == (1 if excluded else 2)


def together(*jobs: Callable[[], object]) -> None:
    """Run jobs in threads."""
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_locks_of_devices_queues_and_files() -> None:
    with lab() as own:
        for thing in (own.device, own.queue, own.handle.file):
            wdf.WdfObjectAcquireLock(thing)
            for call, what in (
                (wdf.WdfObjectAcquireLock, wdf.WDF_RECURSIVE_LOCK),
                (wdf.WdfObjectReleaseLock, None),
                (wdf.WdfObjectReleaseLock, wdf.WDF_INVALID_LOCK_OPERATION),
            ):
                if what is None:
                    call(thing)
                    continue
                with pytest.raises(membuf.BugCheck) as caught:
                    call(thing)
                assert caught.value.p1 == what


def test_a_queue_in_the_scope_of_its_device_has_the_devices_lock() -> None:
    with wdf.driver("Sample") as driver:
        init = wdf.WdfControlDeviceInitAllocate(driver, None)
        scope = attributes(SynchronizationScope=wdf.WdfSynchronizationScopeDevice)
        _, device = wdf.WdfDeviceCreate(init, scope)
        _, queue = wdf.WdfIoQueueCreate(device, queue_config(), None)
        wdf.WdfObjectAcquireLock(device)
        with pytest.raises(membuf.BugCheck):
            wdf.WdfObjectAcquireLock(queue)
        wdf.WdfObjectReleaseLock(queue)


def test_the_scope_of_a_driver_is_inherited() -> None:
    config = wdf.WDF_DRIVER_CONFIG()
    wdf.WDF_DRIVER_CONFIG_INIT(config, None)
    scope = attributes(SynchronizationScope=wdf.WdfSynchronizationScopeDevice)
    _, driver = wdf.WdfDriverCreate(config, DriverAttributes=scope)
    assert driver is not None
    own = Lab(driver)
    wdf.WdfObjectAcquireLock(own.device)
    wdf.WdfObjectReleaseLock(own.queue)
    driver.unload()


def test_threads_that_need_a_lock_for_the_first_time_share_one() -> None:
    held: list[int] = []
    for _ in range(50):
        device = membuf.Device()

        def work(device: Any = device) -> None:
            wdf.WdfObjectAcquireLock(device)
            held.append(1)
            held.pop()
            wdf.WdfObjectReleaseLock(device)

        together(work, work, work)
        assert held == []
