"""What a received request's memory is, by type and access method.

Every retrieval checks in the order of requests 1.3: the direction of a read or write, completion,
an empty control buffer, buffers that only their originator's process can see, an empty read or
write, missing pages, and last the minimum that was asked for.

Sources: WdfRequestRetrieveInputMemory and its relatives; requests 1.2 to 1.5 of the specification.
"""

# pyright: reportPrivateUsage=false
# A request, its queue and its device are one machine.
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from membuf._native import Memory, request_memory, set_undeletable
from membuf.base import status as st
from membuf.base.errors import MembufError, from_status
from membuf.mdl import Mdl
from membuf.request._received import Retrieved
from membuf.request.completion import RequestType
from membuf.request.io_type import IoType
from membuf.request.ioctl import BUFFERED_METHOD, IN_DIRECT, NEITHER_METHOD

if TYPE_CHECKING:
    from membuf.request.irp import Irp
    from membuf.request.received import ReceivedRequest

_READ, _WRITE = RequestType.READ, RequestType.WRITE
_IOCTL, _INTERNAL = RequestType.DEVICE_CONTROL, RequestType.INTERNAL_DEVICE_CONTROL
_CONTROL: Final = (_IOCTL, _INTERNAL)


class Pages:
    """The context of memory that was probed and locked: the MDL it stands over."""

    __slots__ = ("mdl",)

    def __init__(self) -> None:
        self.mdl: Mdl | None = None


def mdl_of(memory: Memory) -> Mdl | None:
    """The MDL that a request's memory stands over: of direct and of probed and locked memory."""
    if memory.source != "request":
        return None
    request: Any = memory.parent
    kept: Retrieved | None = getattr(request, "_retrieved", None)
    if kept is not None and kept.mapped is memory:
        mdl: Mdl | None = request._irp.mdl
        return mdl
    pages = memory.get_context(Pages)
    return None if pages is None else pages.mdl


# ---- memory --------------------------------------------------------------------------------------


def input_memory(request: ReceivedRequest) -> Memory:
    """See `ReceivedRequest.input_memory`."""
    kind = request.type
    if kind is not _WRITE and kind not in _CONTROL:
        raise _has_none(request, "input")
    kept = _kept(request)
    if kept.input is None:
        with request.device._lock:  # another thread may retrieve it, too
            if kept.input is None:
                make = _write_memory if kind is _WRITE else _control_input
                kept.input = make(request)
    return kept.input


def output_memory(request: ReceivedRequest) -> Memory:
    """See `ReceivedRequest.output_memory`."""
    kind = request.type
    if kind is not _READ and kind not in _CONTROL:
        raise _has_none(request, "output")
    kept = _kept(request)
    if kept.output is None:
        with request.device._lock:
            if kept.output is None:
                make = _read_memory if kind is _READ else _control_output
                kept.output = make(request)
    return kept.output


def buffer_of(memory: Memory, minimum: int) -> memoryview:
    """The bytes of a retrieved memory, `minimum` of them at least."""
    check_minimum(memory.size, minimum)
    return memory.buffer


def check_minimum(size: int, minimum: int) -> None:
    """Refuse fewer bytes than are needed."""
    if size < minimum:
        raise from_status(
            st.STATUS_BUFFER_TOO_SMALL,
            f"{minimum} bytes are needed: the request brought {size}",
            {"needed": minimum, "available": size},
        )


def _read_memory(request: ReceivedRequest) -> Memory:
    return _transfer_memory(request, readonly=False)


def _write_memory(request: ReceivedRequest) -> Memory:
    return _transfer_memory(request, readonly=True)


def _transfer_memory(request: ReceivedRequest, *, readonly: bool) -> Memory:
    irp, io_type = request._irp, request.device.io_type
    if not irp.length:
        raise _empty(request)
    if io_type is IoType.BUFFERED:
        return _embedded(request, irp.system_buffer, irp.length, readonly)
    if io_type is IoType.DIRECT:
        return _mapped(request, irp.length, readonly)
    if irp.mode == "user":
        raise _is_the_users(request)
    return _embedded(request, irp.user_buffer, irp.length, readonly)


def _control_input(request: ReceivedRequest) -> Memory:
    irp = request._irp
    if not irp.input_length:
        raise _empty(request)
    method = irp.code & 3
    if method != NEITHER_METHOD:
        readonly = method != BUFFERED_METHOD
        return _embedded(request, irp.system_buffer, irp.input_length, readonly)
    if irp.mode == "user" and irp.major is _IOCTL:
        raise _is_the_users(request)
    return _embedded(request, irp.type3_input, irp.input_length, False)


def _control_output(request: ReceivedRequest) -> Memory:
    irp = request._irp
    if not irp.output_length:
        raise _empty(request)
    method = irp.code & 3
    if method == BUFFERED_METHOD:
        return _embedded(request, irp.system_buffer, irp.output_length, False)
    if method != NEITHER_METHOD:
        return _mapped(request, irp.output_length, method == IN_DIRECT)
    if irp.mode == "user" and irp.major is _IOCTL:
        raise _is_the_users(request)
    return _embedded(request, irp.user_buffer, irp.output_length, False)


def _embedded(request: ReceivedRequest, buffer: Any, size: int, readonly: bool) -> Memory:
    if buffer is None:
        raise _empty(request)
    memory = request_memory(buffer, size, readonly, request)
    set_undeletable(memory)
    return memory


def _mapped(request: ReceivedRequest, size: int, readonly: bool) -> Memory:
    mdl = request._irp.mdl
    if mdl is None:
        raise _empty(request)
    memory = _embedded(request, mdl.buffer, size, readonly)
    if request._retrieved is not None:
        request._retrieved.mapped = memory
    return memory


# ---- MDLs ----------------------------------------------------------------------------------------


def input_mdl(request: ReceivedRequest, one_slot: bool) -> Mdl:
    """See `ReceivedRequest.input_mdl`."""
    kind, irp = request.type, request._irp
    if kind is _READ:
        raise _has_none(request, "input")
    kept = _kept(request)
    if kind is _WRITE:
        return _transfer_mdl(request, kept)
    if kind not in _CONTROL:
        raise _no_mdl(request)
    _check_method(request)
    kept.input_mdl = _built(request, irp.input_length, kept.input_mdl or _slot(kept, one_slot))
    return kept.input_mdl


def output_mdl(request: ReceivedRequest, one_slot: bool) -> Mdl:
    """See `ReceivedRequest.output_mdl`."""
    kind, irp = request.type, request._irp
    if kind is _WRITE:
        raise _has_none(request, "output")
    kept = _kept(request)
    if kind is _READ:
        return _transfer_mdl(request, kept)
    if kind not in _CONTROL:
        raise _no_mdl(request)
    _check_method(request)
    if irp.code & 3 != BUFFERED_METHOD:
        return _the_mdl(request, irp.output_length)
    kept.output_mdl = _built(request, irp.output_length, kept.output_mdl or _slot(kept, one_slot))
    return kept.output_mdl


def _transfer_mdl(request: ReceivedRequest, kept: Retrieved) -> Mdl:
    irp, io_type = request._irp, request.device.io_type
    if io_type is IoType.NEITHER:
        raise _is_the_users(request)
    if io_type is IoType.DIRECT:
        return _the_mdl(request, irp.length)
    kept.input_mdl = _built(request, irp.length, kept.input_mdl)
    return kept.input_mdl


def _slot(kept: Retrieved, one_slot: bool) -> Mdl | None:
    return kept.input_mdl or kept.output_mdl if one_slot else None


def _the_mdl(request: ReceivedRequest, length: int) -> Mdl:
    mdl: Mdl | None = request._irp.mdl
    if not length or mdl is None:
        raise _empty(request)
    return mdl


def _built(request: ReceivedRequest, length: int, cached: Mdl | None) -> Mdl:
    """The MDL over the system buffer; the framework's to free."""
    irp: Irp = request._irp
    if not length or irp.system_buffer is None:
        raise _empty(request)
    if cached is not None:
        return cached
    mdl = Mdl(irp.system_buffer, 0, length)
    mdl.build_nonpaged()
    mdl._framework_owner = request.device
    return mdl


def _check_method(request: ReceivedRequest) -> None:
    if request._irp.code & 3 == NEITHER_METHOD:
        raise _is_the_users(request)


def _no_mdl(request: ReceivedRequest) -> MembufError:
    """What types answer that bring no data."""
    status = {
        IoType.BUFFERED: st.STATUS_INVALID_PARAMETER,
        IoType.DIRECT: st.STATUS_BUFFER_TOO_SMALL,
        IoType.NEITHER: st.STATUS_INVALID_DEVICE_REQUEST,
    }[request.device.io_type]
    return from_status(status, f"{request!r} of type {request.type.name} brings no data")


# ---- what is said --------------------------------------------------------------------------------


def _kept(request: ReceivedRequest) -> Retrieved:
    if request.completed:
        raise from_status(
            st.STATUS_INTERNAL_ERROR, f"{request!r} is complete: its memory is gone with it"
        )
    kept = request._retrieved
    if kept is None:
        with request.device._lock:
            kept = request._retrieved
            if kept is None:
                kept = request._retrieved = Retrieved()
    return kept


def _empty(request: ReceivedRequest) -> MembufError:
    return from_status(
        st.STATUS_BUFFER_TOO_SMALL,
        f"{request!r} has no bytes there",
        {"needed": 1, "available": 0},
    )


def _is_the_users(request: ReceivedRequest) -> MembufError:
    return from_status(
        st.STATUS_INVALID_DEVICE_REQUEST,
        f"{request!r} brings its originator's own pointers (neither I/O): use the unsafe buffers "
        "in on_in_caller_context, and probe and lock them there",
    )


def _has_none(request: ReceivedRequest, which: str) -> MembufError:
    return from_status(
        st.STATUS_INVALID_DEVICE_REQUEST,
        f"{request!r} has no {which} buffer: a request of type {request.type.name} brings none",
    )
