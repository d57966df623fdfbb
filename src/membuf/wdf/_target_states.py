"""What wdfiotarget.h has to make, open, stop and close targets; `wdfiotarget` shows it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from membuf.base.status import (
    STATUS_INFO_LENGTH_MISMATCH,
    STATUS_INVALID_DEVICE_REQUEST,
    STATUS_INVALID_DEVICE_STATE,
    STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS,
    Status,
)
from membuf.bus import RemoteTarget
from membuf.target import StopAction, TargetState
from membuf.wdf._arguments import handle, not_null
from membuf.wdf._attributes import WDF_OBJECT_ATTRIBUTES, check_parent_handle, validate
from membuf.wdf._bugcheck import ignoring, perform
from membuf.wdf._create import create
from membuf.wdf._driver import enter, need_driver
from membuf.wdf._target_params import (
    FILE_OPEN,
    WDF_IO_TARGET_OPEN_PARAMS,
    WDF_IO_TARGET_OPEN_TYPE,
    WDF_IO_TARGET_PURGE_IO_ACTION,
    WDF_IO_TARGET_STATE,
)
from membuf.wdf.wdftypes import WDFDEVICE, WDFIOTARGET

if TYPE_CHECKING:
    from membuf._native import Object

_READS, _WRITES = 0x9000_0001, 0x5000_0002


def WdfIoTargetCreate(
    Device: WDFDEVICE | None, IoTargetAttributes: WDF_OBJECT_ATTRIBUTES | None
) -> tuple[Status, WDFIOTARGET | None]:
    """Create a remote target, which is closed until it is opened.

    Args:
        Device: the default parent.
        IoTargetAttributes: how, or None; a parent must be the device or under it.

    Returns:
        The status and the target; INVALID_DEVICE_REQUEST for a parent elsewhere.

    Raises:
        BugCheck: no driver, or a handle that is not one.

    >>> import membuf, membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     device = membuf.Device()
    ...     status, target = WdfIoTargetCreate(device, None)
    ...     WdfIoTargetGetState(target).name
    'WdfIoTargetClosed'
    """
    driver = need_driver("WdfIoTargetCreate")
    device = handle(Device, WDFDEVICE, "Device")
    check_parent_handle(IoTargetAttributes)
    status = validate(IoTargetAttributes)
    if status != STATUS_SUCCESS:
        return status, None
    named = None if IoTargetAttributes is None else IoTargetAttributes.ParentObject
    parent = device if named is None else named
    if not _is_under(parent, device):
        return STATUS_INVALID_DEVICE_REQUEST, None
    return create(driver, IoTargetAttributes, partial(RemoteTarget, parent=parent))


def _is_under(thing: Object | None, ancestor: Object) -> bool:
    while thing is not None and thing is not ancestor:
        thing = thing.parent
    return thing is ancestor


def WdfIoTargetOpen(
    IoTarget: WDFIOTARGET | None, OpenParams: WDF_IO_TARGET_OPEN_PARAMS | None
) -> Status:
    """Open a remote target and start it.

    Returns:
        INVALID_DEVICE_STATE where it is open; INFO_LENGTH_MISMATCH or INVALID_PARAMETER for the
        parameters; INVALID_DEVICE_REQUEST for a reopen that there is no name for; what opening the
        name answers.

    Raises:
        BugCheck: not a live handle of a remote target, or OpenParams is NULL.

    >>> import membuf, membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     device = membuf.Device()
    ...     status, target = WdfIoTargetCreate(device, None)
    ...     params = membuf.wdf.WDF_IO_TARGET_OPEN_PARAMS()
    ...     name = "file:/dev/zero"
    ...     membuf.wdf.WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(params, name, 3)
    ...     WdfIoTargetOpen(target, params)
    STATUS_SUCCESS (0x00000000)
    """
    enter()
    target = handle(IoTarget, RemoteTarget, "IoTarget")
    params = not_null(OpenParams, "OpenParams")
    if target.state not in (TargetState.CLOSED, TargetState.CLOSED_FOR_QUERY_REMOVE):
        return STATUS_INVALID_DEVICE_STATE
    status = _check_params(params)
    if status != STATUS_SUCCESS:
        return status
    if params.Type == WDF_IO_TARGET_OPEN_TYPE.WdfIoTargetOpenReopen:
        return perform(target.reopen)
    if params.Type == WDF_IO_TARGET_OPEN_TYPE.WdfIoTargetOpenByName:
        return perform(partial(target.open, params.TargetDeviceName or "", **_options(params)))
    return perform(target.open_device, params.TargetDeviceObject, params.TargetFileObject)


def _check_params(params: WDF_IO_TARGET_OPEN_PARAMS) -> Status:
    if params.Size != WDF_IO_TARGET_OPEN_PARAMS.SIZEOF:
        return STATUS_INFO_LENGTH_MISMATCH
    callbacks = (
        params.EvtIoTargetQueryRemove,
        params.EvtIoTargetRemoveCanceled,
        params.EvtIoTargetRemoveComplete,
    )
    kinds = WDF_IO_TARGET_OPEN_TYPE
    complete = {
        kinds.WdfIoTargetOpenUseExistingDevice: params.TargetDeviceObject is not None
        and (params.TargetFileObject is not None or not any(callbacks)),
        kinds.WdfIoTargetOpenByName: bool(params.TargetDeviceName),
        kinds.WdfIoTargetOpenReopen: True,
    }
    return STATUS_SUCCESS if complete.get(params.Type) else STATUS_INVALID_PARAMETER  # type: ignore[call-overload]


def _options(params: WDF_IO_TARGET_OPEN_PARAMS) -> dict[str, Any]:
    """What the name of a file is opened with."""
    name, wanted = params.TargetDeviceName or "", params.DesiredAccess
    if "file:" not in name or not wanted & (_READS | _WRITES):
        return {}
    reads, writes = bool(wanted & _READS), bool(wanted & _WRITES)
    access = "read-write" if reads and writes else "read" if reads else "write"
    return {"access": access, "create": params.CreateDisposition != FILE_OPEN and writes}


def WdfIoTargetClose(IoTarget: WDFIOTARGET | None) -> None:
    """Close a remote target for good: what waits or is on its way ends first.

    Raises:
        BugCheck: not a live handle of a remote target.

    >>> import membuf, membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     device = membuf.Device()
    ...     status, target = WdfIoTargetCreate(device, None)
    ...     WdfIoTargetClose(target)
    """
    enter()
    handle(IoTarget, RemoteTarget, "IoTarget").close()


def WdfIoTargetCloseForQueryRemove(IoTarget: WDFIOTARGET | None) -> None:
    """Close a remote target, and keep the name that it can be reopened by.

    Raises:
        BugCheck: not a live handle of a remote target.

    >>> import membuf, membuf.wdf
    >>> with membuf.wdf.driver("Sample"):
    ...     device = membuf.Device()
    ...     status, target = WdfIoTargetCreate(device, None)
    ...     WdfIoTargetCloseForQueryRemove(target)
    ...     WdfIoTargetGetState(target).value
    3
    """
    enter()
    handle(IoTarget, RemoteTarget, "IoTarget").close_for_query_remove()


def WdfIoTargetStart(IoTarget: WDFIOTARGET | None) -> Status:
    """Start a target: what waits in it is sent, in its order.

    Returns:
        INVALID_DEVICE_STATE where it is closed.

    Raises:
        BugCheck: not a live handle of a target.

    >>> import membuf, membuf.wdf
    >>> with membuf.open_target("file:/dev/zero", access="read") as target:
    ...     WdfIoTargetStart(target)
    STATUS_SUCCESS (0x00000000)
    """
    enter()
    return perform(handle(IoTarget, WDFIOTARGET, "IoTarget").start)


def WdfIoTargetStop(IoTarget: WDFIOTARGET | None, Action: int) -> None:
    """Stop a target: what is sent to it from now on waits in it.

    Args:
        IoTarget: which; one that is closed stays so.
        Action: a WDF_IO_TARGET_SENT_IO_ACTION; an undefined one does nothing.

    Raises:
        BugCheck: not a live handle of a target.

    >>> import membuf, membuf.wdf
    >>> with membuf.open_target("file:/dev/zero", access="read") as target:
    ...     WdfIoTargetStop(target, membuf.wdf.WdfIoTargetCancelSentIo)
    ...     WdfIoTargetGetState(target).value
    2
    """
    enter()
    target = handle(IoTarget, WDFIOTARGET, "IoTarget")
    if Action in set(StopAction):
        ignoring("WdfIoTargetStop", target.stop, StopAction(Action))


def WdfIoTargetPurge(IoTarget: WDFIOTARGET | None, Action: int) -> None:
    """Purge a target: what waits in it ends as not sent, and it takes nothing.

    Args:
        IoTarget: which; one that is closed stays so.
        Action: a WDF_IO_TARGET_PURGE_IO_ACTION; an undefined one does nothing.

    Raises:
        BugCheck: not a live handle of a target.

    >>> import membuf, membuf.wdf
    >>> with membuf.open_target("file:/dev/zero", access="read") as target:
    ...     WdfIoTargetPurge(target, membuf.wdf.WdfIoTargetPurgeIoAndWait)
    ...     WdfIoTargetGetState(target).value
    6
    """
    enter()
    target = handle(IoTarget, WDFIOTARGET, "IoTarget")
    waits = {
        WDF_IO_TARGET_PURGE_IO_ACTION.WdfIoTargetPurgeIoAndWait.value: True,
        WDF_IO_TARGET_PURGE_IO_ACTION.WdfIoTargetPurgeIo.value: False,
    }.get(int(Action))
    if waits is not None:
        ignoring("WdfIoTargetPurge", partial(target.purge, wait=waits))


def WdfIoTargetGetState(IoTarget: WDFIOTARGET | None) -> WDF_IO_TARGET_STATE:
    """What a target does at the moment.

    Raises:
        BugCheck: not a live handle of a target.

    >>> import membuf, membuf.wdf
    >>> with membuf.open_target("file:/dev/zero", access="read") as target:
    ...     WdfIoTargetGetState(target).name
    'WdfIoTargetStarted'
    """
    enter()
    return WDF_IO_TARGET_STATE(handle(IoTarget, WDFIOTARGET, "IoTarget").state.value)
