"""What wdfiotarget.h has to format requests, and to send them and wait; `wdfiotarget` shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, SupportsIndex

from membuf.base.errors import MembufError
from membuf.base.status import STATUS_SUCCESS, Status
from membuf.request import Request
from membuf.wdf._arguments import handle, ulong
from membuf.wdf._bugcheck import perform, status_of
from membuf.wdf._descriptors import describe, describe_part
from membuf.wdf._driver import enter
from membuf.wdf._request_handle import request_handle
from membuf.wdf._request_options import check_options, send_keywords
from membuf.wdf.wdfmemory import WDF_MEMORY_DESCRIPTOR, WDFMEMORY_OFFSET
from membuf.wdf.wdftypes import WDFIOTARGET, WDFMEMORY, WDFREQUEST

if TYPE_CHECKING:
    from membuf.wdf._request_options import WDF_REQUEST_SEND_OPTIONS

_Part = tuple[WDFMEMORY | None, WDFMEMORY_OFFSET | None]
_Descriptor = WDF_MEMORY_DESCRIPTOR | None


# ---- formatting ----------------------------------------------------------------------------------


def _format(
    target: WDFIOTARGET | None,
    request: WDFREQUEST | None,
    parts: tuple[_Part, ...],
    form: Callable[[Request, list[tuple[Any, int, int]]], None],
) -> Status:
    """Check the handles, then the parts, then the target; then take the memories."""
    enter()
    found, sent = handle(target, WDFIOTARGET, "IoTarget"), request_handle(request)
    named: list[tuple[Any, int, int]] = []
    for memory, offsets in parts:
        if memory is None:
            named.append((None, 0, 0))
            continue
        status, part = describe_part(handle(memory, WDFMEMORY, "Memory"), offsets)
        if part is None:
            return status
        named.append((memory, part.offset, offsets.BufferLength if offsets else 0))

    def prepare_and_form() -> None:
        sent.change_target(found)
        form(sent, named)

    return perform(prepare_and_form)


def WdfIoTargetFormatRequestForRead(
    IoTarget: WDFIOTARGET | None,
    Request: WDFREQUEST | None,
    OutputBuffer: WDFMEMORY | None,
    OutputBufferOffsets: WDFMEMORY_OFFSET | None,
    DeviceOffset: int | None,
) -> Status:
    """Make a request a read, for a target; its memory is held from now on.

    Returns:
        INTEGER_OVERFLOW for a part outside the memory, before the earlier format is dropped;
        INVALID_DEVICE_STATE where the target is not open; REQUEST_NOT_ACCEPTED where the packet
        has too few stack locations.

    Raises:
        BugCheck: a handle that is not one.

    >>> import membuf, membuf.wdf
    >>> with membuf.open_target("file:/dev/zero") as target:
    ...     request = membuf.Request()
    ...     memory = membuf.Memory(16)
    ...     WdfIoTargetFormatRequestForRead(target, request, memory, None, None)
    STATUS_SUCCESS (0x00000000)
    """

    def form(request: WDFREQUEST, parts: list[tuple[Any, int, int]]) -> None:
        memory, offset, length = parts[0]
        request.format_read(memory, DeviceOffset or 0, memory_offset=offset, memory_length=length)

    return _format(IoTarget, Request, ((OutputBuffer, OutputBufferOffsets),), form)


def WdfIoTargetFormatRequestForWrite(
    IoTarget: WDFIOTARGET | None,
    Request: WDFREQUEST | None,
    InputBuffer: WDFMEMORY | None,
    InputBufferOffset: WDFMEMORY_OFFSET | None,
    DeviceOffset: int | None,
) -> Status:
    """Make a request a write, for a target; its memory is held from now on.

    Returns:
        INTEGER_OVERFLOW for a part outside the memory, before the earlier format is dropped;
        INVALID_DEVICE_STATE where the target is not open; REQUEST_NOT_ACCEPTED where the packet
        has too few stack locations.

    Raises:
        BugCheck: a handle that is not one.

    >>> import membuf, membuf.wdf
    >>> with membuf.open_target("file:/dev/zero") as target:
    ...     request = membuf.Request()
    ...     memory = membuf.Memory(16)
    ...     WdfIoTargetFormatRequestForWrite(target, request, memory, None, None)
    STATUS_SUCCESS (0x00000000)
    """

    def form(request: WDFREQUEST, parts: list[tuple[Any, int, int]]) -> None:
        memory, offset, length = parts[0]
        request.format_write(memory, DeviceOffset or 0, memory_offset=offset, memory_length=length)

    return _format(IoTarget, Request, ((InputBuffer, InputBufferOffset),), form)


def WdfIoTargetFormatRequestForIoctl(
    IoTarget: WDFIOTARGET | None,
    Request: WDFREQUEST | None,
    IoctlCode: SupportsIndex,
    InputBuffer: WDFMEMORY | None,
    InputBufferOffset: WDFMEMORY_OFFSET | None,
    OutputBuffer: WDFMEMORY | None,
    OutputBufferOffset: WDFMEMORY_OFFSET | None,
) -> Status:
    """Make a request a control request, for a target; see `WdfIoTargetFormatRequestForRead`.

    >>> import membuf, membuf.wdf
    >>> target = membuf.bus.DeviceTarget(membuf.Device())
    >>> request = membuf.Request()
    >>> WdfIoTargetFormatRequestForIoctl(
    ...     target, request, 0x222000, membuf.Memory(8), None, None, None
    ... )
    STATUS_SUCCESS (0x00000000)
    """
    code = ulong(IoctlCode, "IoctlCode")

    def form(request: WDFREQUEST, parts: list[tuple[Any, int, int]]) -> None:
        (source, source_offset, source_length), (output, offset, length) = parts
        request.format_ioctl(
            code,
            source,
            output,
            input_offset=source_offset,
            input_length=source_length,
            output_offset=offset,
            output_length=length,
        )

    parts = ((InputBuffer, InputBufferOffset), (OutputBuffer, OutputBufferOffset))
    return _format(IoTarget, Request, parts, form)


def WdfIoTargetFormatRequestForInternalIoctl(
    IoTarget: WDFIOTARGET | None,
    Request: WDFREQUEST | None,
    IoctlCode: SupportsIndex,
    InputBuffer: WDFMEMORY | None,
    InputBufferOffset: WDFMEMORY_OFFSET | None,
    OutputBuffer: WDFMEMORY | None,
    OutputBufferOffset: WDFMEMORY_OFFSET | None,
) -> Status:
    """Make a request an internal control request; see `WdfIoTargetFormatRequestForRead`.

    >>> import membuf, membuf.wdf
    >>> target = membuf.bus.DeviceTarget(membuf.Device())
    >>> request = membuf.Request()
    >>> WdfIoTargetFormatRequestForInternalIoctl(
    ...     target, request, 0x222000, membuf.Memory(8), None, None, None
    ... )
    STATUS_SUCCESS (0x00000000)
    """
    code = ulong(IoctlCode, "IoctlCode")

    def form(request: WDFREQUEST, parts: list[tuple[Any, int, int]]) -> None:
        (source, source_offset, source_length), (output, offset, length) = parts
        request.format_internal_ioctl(
            code,
            source,
            output,
            input_offset=source_offset,
            input_length=source_length,
            output_offset=offset,
            output_length=length,
        )

    parts = ((InputBuffer, InputBufferOffset), (OutputBuffer, OutputBufferOffset))
    return _format(IoTarget, Request, parts, form)


def WdfIoTargetFormatRequestForInternalIoctlOthers(
    IoTarget: WDFIOTARGET | None,
    Request: WDFREQUEST | None,
    IoctlCode: SupportsIndex,
    OtherArg1: WDFMEMORY | None,
    OtherArg1Offset: WDFMEMORY_OFFSET | None,
    OtherArg2: WDFMEMORY | None,
    OtherArg2Offset: WDFMEMORY_OFFSET | None,
    OtherArg4: WDFMEMORY | None,
    OtherArg4Offset: WDFMEMORY_OFFSET | None,
) -> Status:
    """Make a request an internal control request that passes up to three memories as pointers.

    See `WdfIoTargetFormatRequestForRead`.

    >>> import membuf, membuf.wdf
    >>> target = membuf.bus.DeviceTarget(membuf.Device())
    >>> request = membuf.Request()
    >>> WdfIoTargetFormatRequestForInternalIoctlOthers(
    ...     target, request, 7, membuf.Memory(8), None, None, None, None, None
    ... )
    STATUS_SUCCESS (0x00000000)
    """
    code = ulong(IoctlCode, "IoctlCode")

    def form(request: WDFREQUEST, parts: list[tuple[Any, int, int]]) -> None:
        first, second, fourth = parts
        offsets = (first[1], second[1], fourth[1])
        request.format_internal_ioctl_others(code, first[0], second[0], fourth[0], offsets=offsets)

    parts = (
        (OtherArg1, OtherArg1Offset),
        (OtherArg2, OtherArg2Offset),
        (OtherArg4, OtherArg4Offset),
    )
    return _format(IoTarget, Request, parts, form)


# ---- sending and waiting -------------------------------------------------------------------------


def _send(
    target: WDFIOTARGET | None,
    request: WDFREQUEST | None,
    descriptors: tuple[_Descriptor, ...],
    options: WDF_REQUEST_SEND_OPTIONS | None,
    form: Callable[[Request, list[Any]], None],
) -> tuple[Status, int]:
    """Check all, format, send and wait, and let the memories go."""
    enter()
    found = handle(target, WDFIOTARGET, "IoTarget")
    sent = Request() if request is None else request_handle(request)
    status = check_options(options)
    if status != STATUS_SUCCESS:
        return status, 0
    described: list[Any] = []
    for descriptor in descriptors:
        status, part = describe(descriptor)
        if status != STATUS_SUCCESS:
            return status, 0
        described.append(part)
    try:
        sent.change_target(found)
        form(sent, described)
        keywords = send_keywords(options)
        keywords["synchronous"] = True
        sent.send(**keywords)
    except MembufError as error:
        return status_of(error, sent), 0
    finally:
        if not sent.in_flight:
            sent.release()
    return sent.status, sent.information


def WdfIoTargetSendReadSynchronously(
    IoTarget: WDFIOTARGET | None,
    Request: WDFREQUEST | None,
    OutputBuffer: WDF_MEMORY_DESCRIPTOR | None,
    DeviceOffset: int | None,
    RequestOptions: WDF_REQUEST_SEND_OPTIONS | None,
) -> tuple[Status, int]:
    """Read from a target and wait for the end; no memory is held after it.

    Args:
        IoTarget: which.
        Request: the request to do it with; NULL for one of the framework's.
        OutputBuffer: the memory; NULL for none.
        DeviceOffset: where, in bytes; NULL for 0.
        RequestOptions: a timeout, and whether the target's state is ignored; NULL for neither.

    Returns:
        The status and the count of bytes.

    Raises:
        BugCheck: a handle that is not one.

    >>> import membuf, membuf.wdf
    >>> descriptor = membuf.wdf.WDF_MEMORY_DESCRIPTOR()
    >>> membuf.wdf.WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(descriptor, bytearray(8), 8)
    >>> name = "file:/dev/zero"
    >>> with membuf.open_target(name) as target:
    ...     WdfIoTargetSendReadSynchronously(target, None, descriptor, None, None)
    (STATUS_SUCCESS (0x00000000), 8)
    """

    def form(request: WDFREQUEST, parts: list[Any]) -> None:
        request.format_read(parts[0], DeviceOffset or 0)

    return _send(IoTarget, Request, (OutputBuffer,), RequestOptions, form)


def WdfIoTargetSendWriteSynchronously(
    IoTarget: WDFIOTARGET | None,
    Request: WDFREQUEST | None,
    InputBuffer: WDF_MEMORY_DESCRIPTOR | None,
    DeviceOffset: int | None,
    RequestOptions: WDF_REQUEST_SEND_OPTIONS | None,
) -> tuple[Status, int]:
    """Write to a target and wait for the end; no memory is held after it.

    Args:
        IoTarget: which.
        Request: the request to do it with; NULL for one of the framework's.
        InputBuffer: the memory; NULL for none.
        DeviceOffset: where, in bytes; NULL for 0.
        RequestOptions: a timeout, and whether the target's state is ignored; NULL for neither.

    Returns:
        The status and the count of bytes.

    Raises:
        BugCheck: a handle that is not one.

    >>> import membuf, membuf.wdf
    >>> descriptor = membuf.wdf.WDF_MEMORY_DESCRIPTOR()
    >>> membuf.wdf.WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(descriptor, bytearray(8), 8)
    >>> name = "file:/dev/null"
    >>> with membuf.open_target(name) as target:
    ...     WdfIoTargetSendWriteSynchronously(target, None, descriptor, None, None)
    (STATUS_SUCCESS (0x00000000), 8)
    """

    def form(request: WDFREQUEST, parts: list[Any]) -> None:
        request.format_write(parts[0], DeviceOffset or 0)

    return _send(IoTarget, Request, (InputBuffer,), RequestOptions, form)


def WdfIoTargetSendIoctlSynchronously(
    IoTarget: WDFIOTARGET | None,
    Request: WDFREQUEST | None,
    IoctlCode: SupportsIndex,
    InputBuffer: WDF_MEMORY_DESCRIPTOR | None,
    OutputBuffer: WDF_MEMORY_DESCRIPTOR | None,
    RequestOptions: WDF_REQUEST_SEND_OPTIONS | None,
) -> tuple[Status, int]:
    """Send a control request and wait; see `WdfIoTargetSendReadSynchronously`.

    >>> import membuf, membuf.wdf
    >>> device = membuf.Device()
    >>> target = membuf.bus.DeviceTarget(device)
    >>> WdfIoTargetSendIoctlSynchronously(target, None, 0x222000, None, None, None)
    (STATUS_INVALID_DEVICE_REQUEST (0xC0000010), 0)
    """
    code = ulong(IoctlCode, "IoctlCode")

    def form(request: WDFREQUEST, parts: list[Any]) -> None:
        request.format_ioctl(code, *parts)

    return _send(IoTarget, Request, (InputBuffer, OutputBuffer), RequestOptions, form)


def WdfIoTargetSendInternalIoctlSynchronously(
    IoTarget: WDFIOTARGET | None,
    Request: WDFREQUEST | None,
    IoctlCode: SupportsIndex,
    InputBuffer: WDF_MEMORY_DESCRIPTOR | None,
    OutputBuffer: WDF_MEMORY_DESCRIPTOR | None,
    RequestOptions: WDF_REQUEST_SEND_OPTIONS | None,
) -> tuple[Status, int]:
    """Send an internal control request; see `WdfIoTargetSendReadSynchronously`.

    >>> import membuf, membuf.wdf
    >>> device = membuf.Device()
    >>> target = membuf.bus.DeviceTarget(device)
    >>> WdfIoTargetSendInternalIoctlSynchronously(target, None, 0x222000, None, None, None)
    (STATUS_INVALID_DEVICE_REQUEST (0xC0000010), 0)
    """
    code = ulong(IoctlCode, "IoctlCode")

    def form(request: WDFREQUEST, parts: list[Any]) -> None:
        request.format_internal_ioctl(code, *parts)

    return _send(IoTarget, Request, (InputBuffer, OutputBuffer), RequestOptions, form)


def WdfIoTargetSendInternalIoctlOthersSynchronously(
    IoTarget: WDFIOTARGET | None,
    Request: WDFREQUEST | None,
    IoctlCode: SupportsIndex,
    OtherArg1: WDF_MEMORY_DESCRIPTOR | None,
    OtherArg2: WDF_MEMORY_DESCRIPTOR | None,
    OtherArg4: WDF_MEMORY_DESCRIPTOR | None,
    RequestOptions: WDF_REQUEST_SEND_OPTIONS | None,
) -> tuple[Status, int]:
    """Send an internal control request with three pointers and wait.

    See `WdfIoTargetSendReadSynchronously`.

    >>> import membuf, membuf.wdf
    >>> device = membuf.Device()
    >>> target = membuf.bus.DeviceTarget(device)
    >>> WdfIoTargetSendInternalIoctlOthersSynchronously(target, None, 7, None, None, None, None)
    (STATUS_INVALID_DEVICE_REQUEST (0xC0000010), 0)
    """
    code = ulong(IoctlCode, "IoctlCode")

    def form(request: WDFREQUEST, parts: list[Any]) -> None:
        request.format_internal_ioctl_others(code, *parts)

    return _send(IoTarget, Request, (OtherArg1, OtherArg2, OtherArg4), RequestOptions, form)
