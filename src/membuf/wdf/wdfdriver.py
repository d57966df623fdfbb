"""wdfdriver.h: the driver object."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from membuf.base.status import (
    STATUS_INFO_LENGTH_MISMATCH,
    STATUS_INSUFFICIENT_RESOURCES,
    STATUS_SUCCESS,
    Status,
)
from membuf.pool.domain import OnLeak
from membuf.wdf._arguments import not_null, tag_number
from membuf.wdf._attributes import WDF_OBJECT_ATTRIBUTES, check_parent_handle, validate
from membuf.wdf._callback_locks import set_scope
from membuf.wdf._contexts import prepare
from membuf.wdf._create import callbacks, give_context
from membuf.wdf._driver import Driver, OnBugCheck, need_driver
from membuf.wdf.wdftypes import WDFDRIVER

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "WDF_DRIVER_CONFIG",
    "WDF_DRIVER_CONFIG_INIT",
    "WdfDriverCreate",
    "WdfGetDriver",
    "driver",
]


@dataclass(eq=False, slots=True)
class WDF_DRIVER_CONFIG:
    """How to make a driver; zeroed until WDF_DRIVER_CONFIG_INIT fills it.

    Attributes:
        Size: of this structure, `SIZEOF`.
        EvtDriverDeviceAdd: (driver, device init), called by `Driver.add_device`.
        EvtDriverUnload: called with the driver when it is unloaded.
        DriverInitFlags: no flag means anything yet.
        DriverPoolTag: the default tag, 0 for one made from the service's name.

    >>> WDF_DRIVER_CONFIG().Size, WDF_DRIVER_CONFIG.SIZEOF
    (0, 32)
    """

    SIZEOF: ClassVar[int] = 32

    Size: int = 0
    EvtDriverDeviceAdd: Callable[..., Any] | None = None
    EvtDriverUnload: Callable[[Driver], object] | None = None
    DriverInitFlags: int = 0
    DriverPoolTag: int | bytes = 0


def WDF_DRIVER_CONFIG_INIT(
    Config: WDF_DRIVER_CONFIG, EvtDriverDeviceAdd: Callable[..., Any] | None
) -> None:
    """Zero the structure, set its size and the callback for new devices.

    >>> config = WDF_DRIVER_CONFIG()
    >>> WDF_DRIVER_CONFIG_INIT(config, None)
    >>> config.Size
    32
    """
    for member in fields(Config):
        setattr(Config, member.name, member.default)
    Config.Size = WDF_DRIVER_CONFIG.SIZEOF
    Config.EvtDriverDeviceAdd = EvtDriverDeviceAdd


def WdfDriverCreate(
    DriverConfig: WDF_DRIVER_CONFIG | None,
    *,
    RegistryPath: str = "membuf",
    DriverAttributes: WDF_OBJECT_ATTRIBUTES | None = None,
    strict: bool = False,
    verifier: bool = False,
    on_bugcheck: OnBugCheck = "raise",
) -> tuple[Status, WDFDRIVER | None]:
    """Create the driver object and make it current until its `unload()`.

    Args:
        DriverConfig: how.
        RegistryPath: its last part is the service's name, which the default tag comes from.
        DriverAttributes: callbacks and context of the driver object; no parent.
        strict: follow the framework's source where the specification lists a difference.
        verifier: check what only the framework's verifier checks.
        on_bugcheck: see `Driver`.

    Returns:
        The status and the driver; INFO_LENGTH_MISMATCH for a configuration of the wrong size.

    >>> config = WDF_DRIVER_CONFIG()
    >>> WDF_DRIVER_CONFIG_INIT(config, None)
    >>> status, made = WdfDriverCreate(config, RegistryPath="Services/WdfSample")
    >>> status, made.tag, made is WdfGetDriver()
    (STATUS_SUCCESS (0x00000000), 'Samp', True)
    >>> made.unload()
    """
    config = not_null(DriverConfig, "DriverConfig")
    check_parent_handle(DriverAttributes)
    status = validate(
        DriverAttributes, level_allowed=True, scope_allowed=True, parent_allowed=False
    )
    if status == STATUS_SUCCESS and config.Size != WDF_DRIVER_CONFIG.SIZEOF:
        status = STATUS_INFO_LENGTH_MISMATCH
    if status != STATUS_SUCCESS:
        return status, None
    status, space = prepare(DriverAttributes)
    if status != STATUS_SUCCESS:
        return STATUS_INSUFFICIENT_RESOURCES, None
    made = Driver(
        RegistryPath.replace("\\", "/").rsplit("/", 1)[-1],
        pool_tag=tag_number(config.DriverPoolTag),
        strict=strict,
        verifier=verifier,
        on_bugcheck=on_bugcheck,
    )
    made.on_device_add, made.on_unload = config.EvtDriverDeviceAdd, config.EvtDriverUnload
    _add_callbacks(made, DriverAttributes)
    set_scope(made, DriverAttributes)
    give_context(made, DriverAttributes, space)
    made.make_current()
    return STATUS_SUCCESS, made


def WdfGetDriver() -> WDFDRIVER:
    """The current driver.

    Raises:
        BugCheck: there is none.

    >>> with driver("Sample") as d:
    ...     WdfGetDriver() is d
    True
    """
    return need_driver("WdfGetDriver")


def driver(
    name: str,
    pool_tag: int | bytes = 0,
    *,
    strict: bool = False,
    verifier: bool = False,
    on_bugcheck: OnBugCheck = "raise",
    nx_optin: bool = False,
    quota: int | None = None,
    auto_rebalance: bool = True,
    on_leak: OnLeak = "warn",
) -> WDFDRIVER:
    """A driver for a `with` statement: current inside, unloaded at the exit.

    Args:
        name: the service's name, which the default tag comes from.
        pool_tag: the default tag, 0 for that of the name.
        strict: follow the framework's source where the specification lists a difference.
        verifier: check what only the framework's verifier checks.
        on_bugcheck: "raise", "poison" or "abort"; see `Driver`.
        nx_optin: let the executable pool types mean the non-executable ones.
        quota: bytes that the ...QuotaTag calls may hold together, None for no limit.
        auto_rebalance: adapt the depth of lookaside lists by itself, at most once a second.
        on_leak: when it is unloaded with pool still out, "warn" or "raise" a LeakError.

    >>> with driver("WdfXy12") as d:
    ...     d is WdfGetDriver(), d.tag
    (True, 'Xy12')
    """
    return Driver(
        name,
        pool_tag=tag_number(pool_tag),
        strict=strict,
        verifier=verifier,
        on_bugcheck=on_bugcheck,
        nx_optin=nx_optin,
        quota=quota,
        auto_rebalance=auto_rebalance,
        on_leak=on_leak,
    )


def _add_callbacks(made: Driver, attributes: WDF_OBJECT_ATTRIBUTES | None) -> None:
    on_cleanup, on_destroy = callbacks(made, attributes)
    if on_cleanup is not None or on_destroy is not None:
        made.add_context(_Callbacks, on_cleanup=on_cleanup, on_destroy=on_destroy)


class _Callbacks:
    """The type under which a driver object carries the callbacks of its attributes."""
