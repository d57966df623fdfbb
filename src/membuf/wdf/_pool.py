"""What the Ex allocation calls share: refusals, quota, priority, and who is told of a failure."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from membuf import _native
from membuf.base.errors import InsufficientResourcesError
from membuf.pool import PoolType
from membuf.wdf._blocks import charged_to, hand_out
from membuf.wdf._bugcheck import (
    BAD_POOL_CALLER,
    DRIVER_VERIFIER_DETECTED_VIOLATION,
    bug_check,
    log,
    status_of,
)
from membuf.wdf._driver import enter
from membuf.wdf._pool_types import CACHE_LINE, MUST_SUCCEED, Kind, kind_of, placement

if TYPE_CHECKING:
    from membuf._native import Block
    from membuf.wdf._driver import Driver

UNINITIALIZED_PATTERN: Final = 0xF1
"""What uninitialized pool is filled with under the verifier, so that reading it shows."""

UNTAGGED: Final = int.from_bytes(b"None", "little")

_MUST_SUCCEED: Final = 0x9A
_ZERO_TAG: Final = 0x9B
_BIG_TAG: Final = 0x9C
_TAG_WITHOUT_LETTERS: Final = 0x9D
_BIG: Final = (b"BIG", b"BIG ")

_USE_QUOTA: Final = 0x1
_UNINITIALIZED: Final = 0x2
_CACHE_ALIGNED: Final = 0x8
_RAISE_ON_FAILURE: Final = 0x20
_NON_PAGED: Final = 0x40
_NON_PAGED_EXECUTE: Final = 0x80
_PAGED: Final = 0x100
_POOLS: Final = _NON_PAGED | _NON_PAGED_EXECUTE | _PAGED
_SUPPORTED: Final = _USE_QUOTA | _UNINITIALIZED | _CACHE_ALIGNED | _RAISE_ON_FAILURE | _POOLS
_REQUIRED_HALF: Final = 2**32 - 1

_NORMAL_PRIORITY: Final = 16
_HIGH_PRIORITY: Final = 32
_LOW_SHARE: Final = 0.80
_NORMAL_SHARE: Final = 0.95

_quota_lock = threading.Lock()


class Refused(Exception):
    """Why an allocation cannot be."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An allocation, taken apart and not yet checked.

    Attributes:
        size: bytes.
        tag: its number.
        pool: where; None for a pool that membuf does not have.
        alignment: beyond the natural one, or None.
        executable: whether Windows would let code run in it.
        zero: whether it is cleared.
        quota: whether the driver's quota is charged.
        priority: an EX_POOL_PRIORITY; the highest never fails early.
    """

    size: int
    tag: int
    pool: PoolType | None
    alignment: int | None
    executable: bool
    zero: bool
    quota: bool
    priority: int


def by_type(
    pool_type: int,
    size: int,
    tag: int,
    *,
    zero: bool = False,
    quota: bool = False,
    priority: int = _HIGH_PRIORITY,
) -> Block | None:
    """Allocate for one of the older calls, which take a POOL_TYPE and stop for a bad tag.

    Raises:
        BugCheck: BAD_POOL_CALLER for a bad tag or must-succeed pool; under the verifier
            DRIVER_VERIFIER_DETECTED_VIOLATION for size 0.
        InsufficientResourcesError: it failed, and the type or a quota call asks to raise.
    """
    driver = enter()
    kind = kind_of(pool_type)
    _check_caller(driver, pool_type, kind, size, tag)
    pool, alignment = placement(kind.base)
    wanted = Wanted(
        size=max(size, 1),  # size 0 is waste, not an error: the smallest block
        tag=tag,
        pool=pool if kind.known else None,
        alignment=alignment,
        executable=kind.executable,
        zero=zero,
        quota=quota,
        priority=priority,
    )
    try:
        return _allocate(driver, wanted)
    except Refused as refusal:
        _fail(refusal, raises=kind.raises or (quota and not kind.fails_quietly))
        return None


def by_flags(flags: int, size: int, tag: int, priority: int = _HIGH_PRIORITY) -> Block | None:
    """Allocate for ExAllocatePool2 and 3, which take POOL_FLAGS and stop for nothing.

    Raises:
        InsufficientResourcesError: it failed, and POOL_FLAG_RAISE_ON_FAILURE asks to raise.
    """
    driver = enter()
    try:
        _check_flags(flags, size, tag)
        wanted = Wanted(
            size=size,
            tag=tag,
            pool=PoolType.PAGED if flags & _PAGED else PoolType.NONPAGED,
            alignment=CACHE_LINE if flags & _CACHE_ALIGNED else None,
            executable=bool(flags & _NON_PAGED_EXECUTE),
            zero=not flags & _UNINITIALIZED,
            quota=bool(flags & _USE_QUOTA),
            priority=priority,
        )
        return _allocate(driver, wanted)
    except Refused as refusal:
        refuse(refusal, flags)
        return None


def refuse(refusal: Refused, flags: int) -> None:
    """Fail as the flags of ExAllocatePool2 and 3 ask.

    Raises:
        InsufficientResourcesError: POOL_FLAG_RAISE_ON_FAILURE asks to raise.
    """
    _fail(refusal, raises=bool(flags & _RAISE_ON_FAILURE))


def tag_fault(tag: int) -> int | None:
    """The sub-code of BAD_POOL_CALLER that a tag deserves, or None for a good one.

    >>> tag_fault(0) == 0x9B, tag_fault(int.from_bytes(b"Good", "little")) is None
    (True, True)
    """
    characters = tag.to_bytes(4, "little")
    if tag == 0:
        return _ZERO_TAG
    if characters.rstrip(b"\0") in _BIG:
        return _BIG_TAG
    if not any(chr(c).isalnum() and c < 0x80 for c in characters):
        return _TAG_WITHOUT_LETTERS
    return None


def _check_caller(driver: Driver | None, pool_type: int, kind: Kind, size: int, tag: int) -> None:
    fault = tag_fault(tag)
    if fault == _TAG_WITHOUT_LETTERS:
        reason = f"the tag {tag:#x} has no letter or digit"
        bug_check(BAD_POOL_CALLER, fault, tag, pool_type, reason=reason)
    if fault is not None:
        reason = "the tag is 0" if fault == _ZERO_TAG else "the tag 'BIG' is the system's"
        bug_check(BAD_POOL_CALLER, fault, pool_type, size, reason=reason)
    if kind.base in MUST_SUCCEED:
        reason = "must-succeed pool is gone"
        bug_check(BAD_POOL_CALLER, _MUST_SUCCEED, pool_type, size, tag, reason=reason)
    if size == 0 and driver is not None and driver.verifier:
        reason = "0 bytes asked for"
        bug_check(DRIVER_VERIFIER_DETECTED_VIOLATION, 0, 0, pool_type, size, reason=reason)


def _check_flags(flags: int, size: int, tag: int) -> None:
    required = flags & _REQUIRED_HALF
    if required & ~_SUPPORTED:
        raise Refused(f"the required flags {required & ~_SUPPORTED:#x} are not supported")
    if (required & _POOLS).bit_count() != 1:
        raise Refused("exactly one of NON_PAGED, NON_PAGED_EXECUTE and PAGED is needed")
    if size == 0:
        raise Refused("0 bytes asked for")
    if tag_fault(tag) is not None:
        raise Refused(f"the tag {tag:#x} is no tag")


def _allocate(driver: Driver | None, wanted: Wanted) -> Block:
    if wanted.pool is None:
        raise Refused("there is no pool of this type")
    if wanted.executable and not (driver is not None and driver.nx_optin):
        raise Refused("executable pool is not supported: use NonPagedPoolNx, or nx_optin=True")
    _check_priority(wanted)
    if driver is None or driver.quota is None or not wanted.quota:
        return _take(driver, wanted, 0)
    with _quota_lock:
        charged = charged_to(driver)
        if charged + wanted.size > driver.quota:
            raise Refused(
                f"{wanted.size} bytes asked for, {charged} of the quota of {driver.quota} in use"
            )
        return _take(driver, wanted, wanted.size)


def _take(driver: Driver | None, wanted: Wanted, charge: int) -> Block:
    try:
        block = _native.allocate(
            wanted.size,
            tag=wanted.tag,
            pool=wanted.pool or PoolType.NONPAGED,
            alignment=wanted.alignment,
            zero=wanted.zero,
        )
    except InsufficientResourcesError as error:
        status_of(error)
        raise Refused(str(error)) from error
    if driver is not None and driver.verifier and not wanted.zero:
        block[:] = bytes((UNINITIALIZED_PATTERN,)) * wanted.size
    return hand_out(block, driver, charge)


def _check_priority(wanted: Wanted) -> None:
    if wanted.priority >= _HIGH_PRIORITY:
        return
    share = _NORMAL_SHARE if wanted.priority >= _NORMAL_PRIORITY else _LOW_SHARE
    figures = _native.current_domain()._figures()  # noqa: SLF001 - the record costs a walk over all tags
    if figures["limit"] and figures["charged_bytes"] + wanted.size > share * figures["limit"]:
        raise Refused(f"of this priority no more than {share:.0%} of the limit can be taken")


def _fail(refusal: Refused, *, raises: bool) -> None:
    log.info("pool allocation refused: %s", refusal)
    if raises:
        raise InsufficientResourcesError(str(refusal)) from refusal.__cause__
