"""The framework's calls of a driver's callbacks: under its driver, and one at a time if asked."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from membuf._native import set_undeletable
from membuf.base.errors import BugCheck, from_status
from membuf.base.status import STATUS_SUCCESS, STATUS_UNSUCCESSFUL
from membuf.request import RequestType
from membuf.wdf._callback_locks import lock_around
from membuf.wdf._contexts import prepare
from membuf.wdf._create import dress
from membuf.wdf._driver import driver_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from membuf._native import Object
    from membuf.request import Device, Queue, ReceivedRequest
    from membuf.wdf._attributes import WDF_OBJECT_ATTRIBUTES
    from membuf.wdf._device_init import WDFDEVICE_INIT
    from membuf.wdf._driver import Driver
    from membuf.wdf._queue_config import WDF_IO_QUEUE_CONFIG


def event(
    driver: Driver,
    name: str,
    function: Callable[..., object],
    spread: Callable[[Any], Iterable[Any]],
    synchronized: Callable[[Any], Object | None] | None = None,
) -> Callable[[Any], None]:
    """A callback of the Python face that calls a driver's.

    Args:
        driver: it is current meanwhile.
        name: what the framework calls the callback, for who watches the driver.
        function: the driver's.
        spread: what `function` is called with, made of the one argument of the Python face.
        synchronized: whose callback lock is held meanwhile, where callbacks are synchronized.

    A bug check that it does not catch is kept on the driver, and what it was called for fails.
    """
    check_callable(name, function)

    def run(argument: Any) -> None:
        owner = None if synchronized is None else synchronized(argument)
        lock = None if owner is None else lock_around(owner)
        with nullcontext() if lock is None else lock, driver.running():
            driver.heard(name)
            try:
                function(*spread(argument))
            except BugCheck as error:
                driver.kept.append(error)
                raise from_status(STATUS_UNSUCCESSFUL, f"{name} stopped: {error}") from error

    run.__name__ = run.__qualname__ = name
    return run


def check_callable(name: str, function: Any) -> None:
    """Refuse a callback that could not be called.

    Raises:
        TypeError: it is neither callable nor None.
    """
    if function is not None and not callable(function):
        raise TypeError(f"{name} must be callable, or None; got {function!r}")


def cancel_event(request: ReceivedRequest, function: Callable[..., object]) -> Callable[..., None]:
    """An EvtRequestCancel as a callback of the Python face."""
    driver = driver_of(request.device)
    return event(driver, "EvtRequestCancel", function, lambda r: (r,), queue_of)


def state_event(
    queue: Queue, function: Callable[..., object] | None, context: object
) -> Callable[[Any], None] | None:
    """An EvtIoQueueState as a callback of the Python face; None where the driver gives none."""
    if function is None:
        return None
    driver = driver_of(queue)
    return event(driver, "EvtIoQueueState", function, lambda _: (queue, context), lambda q: q)


def handlers(driver: Driver, config: WDF_IO_QUEUE_CONFIG) -> dict[RequestType, Any]:
    """What a queue of the configuration is to call, by type of request."""
    return {
        kind: event(driver, name, getattr(config, name), spread, queue_of)
        for kind, (name, spread) in PRESENTED.items()
        if getattr(config, name) is not None
    }


def canceled_event(driver: Driver, config: WDF_IO_QUEUE_CONFIG) -> Callable[..., None] | None:
    """An EvtIoCanceledOnQueue as a callback of the Python face; None where the driver has none."""
    function = config.EvtIoCanceledOnQueue
    if function is None:
        return None
    return event(driver, "EvtIoCanceledOnQueue", function, of_request, queue_of)


def install_device(device: Device, init: WDFDEVICE_INIT) -> None:
    """Have a device call what its init names."""
    driver = init.driver
    if not init.control:
        set_undeletable(device)
    if init.request_attributes is not None:
        device.on_arrival(partial(_dress, driver, init.request_attributes))
    function = init.in_caller_context
    if function is not None:
        device.on_in_caller_context(event(driver, "EvtIoInCallerContext", function, of_device))
    if init.file_config is not None:
        _install_files(device, init)


def _install_files(device: Device, init: WDFDEVICE_INIT) -> None:
    driver, config = init.driver, init.file_config
    if config.EvtDeviceFileCreate is not None or init.file_attributes is not None:
        device.on_create(partial(_create_file, init))
    if config.EvtFileCleanup is not None:
        device.on_cleanup(event(driver, "EvtFileCleanup", config.EvtFileCleanup, lambda f: (f,)))
    if config.EvtFileClose is not None:
        device.on_close(event(driver, "EvtFileClose", config.EvtFileClose, lambda f: (f,)))


def _create_file(init: WDFDEVICE_INIT, request: ReceivedRequest) -> None:
    if init.file_attributes is not None:
        _dress(init.driver, init.file_attributes, request.file)
    function = init.file_config.EvtDeviceFileCreate
    if function is None:
        request.complete()
    else:
        event(init.driver, "EvtDeviceFileCreate", function, of_file)(request)


def _dress(driver: Driver, attributes: WDF_OBJECT_ATTRIBUTES, made: Object) -> None:
    """Give an object that the framework made what its attributes ask for."""
    status, space = prepare(attributes)
    if status != STATUS_SUCCESS:
        raise from_status(status, f"no context for {made!r}")
    dress(driver, attributes, space, made)


def queue_of(request: ReceivedRequest) -> Queue | None:
    """Whose callbacks exclude each other: those for requests of one queue."""
    return request.queue


def of_request(request: ReceivedRequest) -> tuple[Any, ...]:
    """Queue and request: EvtIoDefault, EvtIoCanceledOnQueue."""
    return request.queue, request


def of_transfer(request: ReceivedRequest) -> tuple[Any, ...]:
    """Queue, request and length: EvtIoRead, EvtIoWrite."""
    return request.queue, request, request.length


def of_control(request: ReceivedRequest) -> tuple[Any, ...]:
    """Queue, request, both lengths and the code: EvtIoDeviceControl and its internal twin."""
    return request.queue, request, request.output_length, request.input_length, request.code


def of_device(request: ReceivedRequest) -> tuple[Any, ...]:
    """Device and request: EvtIoInCallerContext."""
    return request.device, request


def of_file(request: ReceivedRequest) -> tuple[Any, ...]:
    """Device, request and file object: EvtDeviceFileCreate."""
    return request.device, request, request.file


PRESENTED: Final = {
    RequestType.READ: ("EvtIoRead", of_transfer),
    RequestType.WRITE: ("EvtIoWrite", of_transfer),
    RequestType.DEVICE_CONTROL: ("EvtIoDeviceControl", of_control),
    RequestType.INTERNAL_DEVICE_CONTROL: ("EvtIoInternalDeviceControl", of_control),
    RequestType.OTHER: ("EvtIoDefault", of_request),
}
"""The callbacks that present requests, by the type they are for; OTHER is the rest."""
