"""Callbacks of DMA, as the driver wrote them and as the core calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from membuf.base.errors import BugCheck, from_status
from membuf.base.status import STATUS_UNSUCCESSFUL, Status
from membuf.wdf._driver import Driver, enter
from membuf.wdf.ntdef import NT_SUCCESS
from membuf.wdf.wdm.dma import PHYSICAL_ADDRESS, SCATTER_GATHER_ELEMENT, SCATTER_GATHER_LIST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from membuf.dma import Element


def list_of(elements: Iterable[Element]) -> SCATTER_GATHER_LIST:
    """A list of elements as the framework hands it over."""
    made = [
        SCATTER_GATHER_ELEMENT(PHYSICAL_ADDRESS(address), length) for address, length in elements
    ]
    return SCATTER_GATHER_LIST(len(made), 0, made)


def program(function: Callable[..., Any] | None) -> Callable[..., None] | None:
    """EvtProgramDma."""
    call = _under_driver("EvtProgramDma", function)
    if call is None:
        return None

    def run(transaction: Any, device: Any, context: Any, direction: Any, elements: Any) -> None:
        call(transaction, device, context, direction, list_of(elements))

    return run


def reserved(function: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """EvtReserveDma."""
    return _under_driver("EvtReserveDma", function)


def power(name: str, function: Callable[[Any], int] | None) -> Callable[[Any], None] | None:
    """A power callback of an enabler, which fails by the status it answers."""
    call = _under_driver(name, function)
    if call is None:
        return None

    def run(enabler: Any) -> None:
        status = call(enabler)
        if status is not None and not NT_SUCCESS(status):
            raise from_status(Status(status), f"{name} answered {Status(status)!r}")

    return run


def _under_driver(name: str, function: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """The function, set to run under the driver that is current now.

    A bug check that it does not catch is kept on the driver, and what it was called for fails.
    """
    driver: Driver | None = enter()
    if function is None or driver is None:
        return function
    if not callable(function):
        raise TypeError(f"{name} must be callable, or None; got {function!r}")

    def run(*arguments: Any) -> Any:
        with driver.running():
            try:
                return function(*arguments)
            except BugCheck as error:
                driver.kept.append(error)
                raise from_status(STATUS_UNSUCCESSFUL, f"{name} stopped: {error}") from error

    return run
