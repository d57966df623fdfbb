"""MDLs as the kernel's calls see them: found by address, kept until they are freed, as in C."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any, Final, TypeVar

from membuf._native import Block, Memory, Pointer, allocate, current_domain
from membuf.base.errors import AccessViolationError, InsufficientResourcesError, MembufError
from membuf.base.integers import exact_index
from membuf.mdl import Mdl
from membuf.mdl.live import live
from membuf.mdl.pages import size_of_mdl
from membuf.wdf import _current
from membuf.wdf._arguments import first_bytes
from membuf.wdf._blocks import NOT_A_BLOCK
from membuf.wdf._bugcheck import BAD_POOL_CALLER, bug_check, log, status_of, violation
from membuf.wdf.wdfbugcodes import WDF_INVALID_HANDLE, WDF_REQUIRED_PARAMETER_IS_NULL

if TYPE_CHECKING:
    from collections.abc import Callable

    from membuf.wdf._driver import Driver

Answer = TypeVar("Answer")

_TAG: Final = "Mdl "

_lock = threading.Lock()
_out: dict[int, tuple[Mdl, Driver | None, Block | None]] = {}
_user_mappings: dict[int, int] = {}


def mdl_at(value: object, what: str) -> Mdl:
    """The MDL that a pointer to one is.

    Raises:
        BugCheck: NULL, or no MDL.
    """
    if not isinstance(value, Mdl):
        code = WDF_REQUIRED_PARAMETER_IS_NULL if value is None else WDF_INVALID_HANDLE
        violation(code, value, reason=f"{what} must be an MDL; got {type(value).__name__}")
    return value


def called(function: Callable[..., Answer], *arguments: Any, **options: Any) -> Answer:
    """Call the core; what Windows stops for stops, what it raises is raised.

    Raises:
        BugCheck: the call is illegal.
        MembufError: what the kernel's call raises.
    """
    try:
        return function(*arguments, **options)
    except MembufError as error:
        if error.bugcheck is not None:
            status_of(error)
        raise


def range_at(address: Any, length: int) -> memoryview:
    """So many bytes at an address: of a buffer, of what a known MDL describes, or of pool.

    Raises:
        ValueError: the buffer, or what is known at the address, holds fewer.
        TypeError: neither a buffer nor an integer.
    """
    try:
        view = memoryview(address)
    except TypeError:
        number = exact_index(address, "VirtualAddress")
        known = live.at(number) or _holder_at(number)
        if known is None:
            raise ValueError(f"no buffer is known at the address {number:#x}") from None
        view = memoryview(known)[number - known.address :]
    return first_bytes(view.cast("B"), length, "Length")


def _holder_at(address: int) -> Memory | Block | None:
    """The memory or block of the current domain that an address lies in."""
    for holder in current_domain()._holders():  # noqa: SLF001 - records cost more, and hold nothing
        if 0 <= address - holder.address < holder.size:
            return holder
    return None


def header_of(mdl: Mdl) -> Block | None:
    """Non-paged pool for the structure that C keeps an MDL in, or None where there is none."""
    try:
        return allocate(size_of_mdl(mdl.address, mdl.byte_count), tag=_TAG)
    except InsufficientResourcesError as error:
        log.info("no pool for an MDL: %s", error)
        return None


def keep(mdl: Mdl, header: Block | None = None) -> Mdl:
    """Remember an MDL: in C a pointer is enough to free it, and dropping one frees nothing."""
    with _lock:
        _out[id(mdl)] = mdl, _current.driver(), header
    return mdl


def forget(mdl: Mdl) -> None:
    """An MDL was freed."""
    with _lock:
        _, _, header = _out.pop(id(mdl), (mdl, None, None))
        _user_mappings.pop(id(mdl), None)
    if header is not None:
        header.free()


def free_header(mdl: Mdl) -> None:
    """What ExFreePool does to an MDL whose pages were freed.

    Raises:
        BugCheck: BAD_POOL_CALLER, they were not.
    """
    if not mdl.freed:
        reason = f"{mdl!r} is no block of pool while it has pages"
        bug_check(BAD_POOL_CALLER, NOT_A_BLOCK, id(mdl), reason=reason)
    forget(mdl)


def map_for_user(mdl: Mdl, address: int, *, writable: bool) -> Pointer:
    """The bytes at an address for user mode, of which there may be many.

    Raises:
        AccessViolationError: at another address than they have.
        BugCheck: the pages are not locked.
    """
    view = called(mdl.user_view, writable=writable)
    if address not in (0, mdl.address):
        raise AccessViolationError(f"{mdl!r} cannot be mapped at {address:#x}")
    with _lock:
        _user_mappings[id(mdl)] = _user_mappings.get(id(mdl), 0) + 1
    return Pointer(view)


def unmap_for_user(mdl: Mdl) -> bool:
    """Give an address for user mode back; False where none is out."""
    with _lock:
        count = _user_mappings.pop(id(mdl), 0)
        if count > 1:
            _user_mappings[id(mdl)] = count - 1
    return count > 0


def free_leaked(driver: Driver) -> None:
    """Report the MDLs that a driver that has ended left behind, then unlock and free them."""
    with _lock:
        left = [mdl for mdl, owner, _ in _out.values() if owner is driver]
    if not left:
        return
    lines = "".join(f"\n  {mdl.record()}" for mdl in left if not mdl.freed)
    for mdl in left:
        mdl.close()
        forget(mdl)
    warnings.warn(
        f"{len(left)} MDL(s) still out at the end of {driver!r}:{lines}",
        ResourceWarning,
        stacklevel=3,
    )
