"""The driver object: default parent, default tag, and the rules its calls follow."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, get_args

from membuf._native import (
    Object,
    domain_variable,
    end_undeletable,
    hide_sites_below,
    set_undeletable,
)
from membuf.base.errors import BugCheck, InvalidDeviceStateError, from_status
from membuf.base.status import Status, nt_success
from membuf.base.tag import Tag
from membuf.pool import Domain, current_domain, default_domain
from membuf.pool.domain import OnLeak
from membuf.wdf import _blocks, _current, _mdls
from membuf.wdf._bugcheck import violation
from membuf.wdf._device_init import WDFDEVICE_INIT
from membuf.wdf.wdfbugcodes import WDF_REQUIRED_PARAMETER_IS_NULL

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType

    from membuf.request import Device

OnBugCheck = Literal["raise", "poison", "abort"]

OLD_DDK_TAG: Final = int(Tag(b"Ddk "))
FRAMEWORK_TAG: Final = int(Tag(b"FxDr"))
_SHORTEST_NAME: Final = 3

# A block belongs to the line of the driver that asked for it, not to the line here that did.
hide_sites_below(str(Path(__file__).parent) + os.sep)


def tag_of_service(service: str) -> int:
    """The default tag of a driver that configures none: its name's first four characters.

    A leading "wdf" is dropped first; fewer than three characters left make the framework's tag.

    >>> str(Tag(tag_of_service("WdfXy12"))), str(Tag(tag_of_service("wdfab")))
    ('Xy12', 'FxDr')
    """
    name = service[3:] if service[:3].lower() == "wdf" else service
    if len(name) < _SHORTEST_NAME:
        return FRAMEWORK_TAG
    return int(Tag(name[:4].encode("ascii", "replace")))


class Driver(Domain):
    """A driver object (WDFDRIVER): the root of all that is made without a parent.

    As a context manager it is the current driver inside, and is unloaded at the exit. Made by
    `membuf.wdf.driver` and `WdfDriverCreate`. A new thread has no current driver: it enters one, or
    calls `make_current()`.

    Attributes:
        service: the name under which the driver was installed.
        default_tag: the tag of allocations whose caller gives none.
        strict: follow the framework's source where the specification lists a difference.
        verifier: check what only the framework's verifier checks.
        nx_optin: let the executable pool types mean the non-executable ones.
        quota: bytes that the ...QuotaTag calls may hold together, None for no limit.
        on_bugcheck: "raise", "poison" (every later call raises it again) or "abort" (the process).
        on_device_add: EvtDriverDeviceAdd, called with the driver and an init; see `add_device`.
        on_unload: EvtDriverUnload, called with the driver.
        listener: told the framework's name of each callback before it is called.
        kept: bug checks that no caller could receive, oldest first.
        ended: whether it is unloaded.

    >>> import membuf.wdf
    >>> with membuf.wdf.driver("WdfXy12", strict=True) as d:
    ...     d.service, d.tag, d.strict
    ('WdfXy12', 'Xy12', True)
    """

    def __init__(
        self,
        service: str,
        *,
        pool_tag: int = 0,
        strict: bool = False,
        verifier: bool = False,
        on_bugcheck: OnBugCheck = "raise",
        nx_optin: bool = False,
        quota: int | None = None,
        auto_rebalance: bool = True,
        on_leak: OnLeak = "warn",
    ) -> None:
        if on_bugcheck not in get_args(OnBugCheck):
            choices = ", ".join(get_args(OnBugCheck))
            raise ValueError(f"on_bugcheck must be one of {choices}; got {on_bugcheck!r}")
        configured = pool_tag not in (0, OLD_DDK_TAG)
        self.default_tag = pool_tag if configured else tag_of_service(service)
        super().__init__(
            tag=self.default_tag,
            locked="required" if strict else "best-effort",
            auto_rebalance=auto_rebalance,
            on_leak=on_leak,
            name=service,
        )
        self.service, self.strict, self.verifier = service, strict, verifier
        self.nx_optin, self.quota, self.on_bugcheck = nx_optin, quota, on_bugcheck
        self.on_device_add: Callable[[Driver, WDFDEVICE_INIT], object] | None = None
        self.on_unload: Callable[[Driver], object] | None = None
        self.listener: Callable[[str], object] | None = None
        self.kept: list[BugCheck] = []
        self._poison: BugCheck | None = None
        self.ended = False
        set_undeletable(self)

    def __enter__(self) -> Self:
        super().__enter__()
        _current.push(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _current.pop(self)
        if self._entries > 1:
            super().__exit__(kind, value, traceback)
            return
        try:
            self._end()
        finally:
            try:
                _mdls.free_leaked(self)
            finally:
                self._exit_domain(kind, value, traceback)
        if kind is None:
            self.raise_kept()

    def _exit_domain(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            super().__exit__(kind, value, traceback)
        finally:  # whatever was said of the leaks
            _blocks.free_leaked(self)

    def _end(self) -> None:
        unload = self.callback("EvtDriverUnload", self.on_unload)
        try:
            if unload is not None:
                unload(self)
        finally:
            end_undeletable(self)
            self.ended = True

    def make_current(self) -> None:
        """Make this the driver of what follows in this context, as a thread of the driver does.

        Nothing ends with it: the driver ends at the exit of its `with`, or by `unload()`.
        """
        _current.push(self)
        domain_variable.set(self)

    def unload(self) -> None:
        """End a driver made by WdfDriverCreate, as the exit of a `with` does.

        EvtDriverUnload runs first; then everything the driver owns is deleted, leaks are reported,
        and a bug check that was kept is raised.
        """
        try:
            with self:
                pass
        finally:
            _current.pop(self)
            if current_domain() is self:
                domain_variable.set(default_domain())

    @contextmanager
    def running(self) -> Generator[None]:
        """Be the current driver, as one of its callbacks."""
        drivers = _current.drivers.set((*_current.drivers.get(), self))
        domain = domain_variable.set(self)
        inside = _current.calling_back.set(True)
        try:
            yield
        finally:
            _current.calling_back.reset(inside)
            domain_variable.reset(domain)
            _current.drivers.reset(drivers)

    def callback(
        self, name: str, function: Callable[[Any], object] | None
    ) -> Callable[[Any], None] | None:
        """The function, set to run under this driver in whatever thread calls it.

        A bug check that it does not catch is kept: the core, which calls, has no use for it.

        Args:
            name: what the framework calls it.
            function: the driver's, or None.
        """
        if function is None:
            return None
        if not callable(function):
            raise TypeError(f"a callback must be callable, or None; got {function!r}")

        def run(owner: Any) -> None:
            with self.running():
                self.heard(name)
                try:
                    function(owner)
                except BugCheck as error:
                    self.kept.append(error)

        return run

    def heard(self, name: str) -> None:
        """Tell who watches the driver that one of its callbacks is about to be called."""
        if self.listener is not None:
            self.listener(name)

    def add_device(self, name: str | None = None, lower: Any = None) -> Device:
        """Have EvtDriverDeviceAdd make a device, and start it: what is done for found hardware.

        Args:
            name: what `device:` targets call it, unless the driver names it.
            lower: the I/O target below it, or None.

        Raises:
            MembufError: the callback's status, where that is no success; nothing is left then.
            InvalidDeviceStateError: it made no device.
            BugCheck: what the callback ran into.
        """
        init = WDFDEVICE_INIT(self, name=name, lower=lower)
        status = Status(self._call_device_add(init))
        device = init.device
        if not nt_success(status) and device is not None:
            end_undeletable(device)
        if not nt_success(status):
            raise from_status(status, f"EvtDriverDeviceAdd of {self!r} answered {status}")
        if device is None:
            reason = f"EvtDriverDeviceAdd of {self!r} made no device: it must call WdfDeviceCreate"
            raise InvalidDeviceStateError(reason)
        device.start()
        return device

    def _call_device_add(self, init: WDFDEVICE_INIT) -> Any:
        if self.on_device_add is None:
            raise InvalidDeviceStateError(f"{self!r} has no EvtDriverDeviceAdd")
        with self.running():
            self.heard("EvtDriverDeviceAdd")
            return self.on_device_add(self, init)

    def bug_checked(self, error: BugCheck) -> None:
        """Hear of a bug check that one of the driver's calls is about to raise."""
        if self.on_bugcheck == "abort":
            sys.stderr.write(f"membuf.wdf: driver {self.service!r}: {error}\n")
            sys.stderr.flush()
            os.abort()
        if self.on_bugcheck == "poison" and self._poison is None:
            self._poison = error

    def raise_kept(self) -> None:
        """Raise the oldest bug check that was kept, or the one that poisoned the driver.

        Inside a callback both wait for its end.
        """
        if _current.calling_back.get():
            return
        if self.kept:
            raise self.kept.pop(0)
        if self._poison is not None:
            raise self._poison


def enter() -> Driver | None:
    """What every call begins and a deletion ends with: the current driver, once it is in order.

    Raises:
        BugCheck: one that the driver has kept because no caller could receive it.
    """
    driver = _current.driver()
    if driver is not None:
        driver.raise_kept()
    return driver


def need_driver(call: str) -> Driver:
    """The current driver, for a call that cannot do without.

    Raises:
        BugCheck: there is none, or it keeps a bug check.
    """
    driver = enter()
    if driver is None:
        violation(
            WDF_REQUIRED_PARAMETER_IS_NULL,
            reason=f"{call} needs a driver: call WdfDriverCreate, or use membuf.wdf.driver(...)",
        )
    return driver


def driver_of(thing: Object) -> Driver:
    """The driver whose an object is: the one above it, or else the current one.

    Raises:
        BugCheck: there is neither.
    """
    at: Object | None = thing
    while at is not None:
        if isinstance(at, Driver):
            return at
        at = at.parent
    return need_driver(f"a callback of {thing!r}")
