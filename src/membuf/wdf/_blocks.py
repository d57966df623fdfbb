"""The blocks that the Ex calls have handed out: found by their address, as in C."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from membuf._native import Block, Pointer
from membuf.base.errors import MembufError
from membuf.base.integers import exact_index
from membuf.base.tag import Tag
from membuf.wdf._bugcheck import BAD_POOL_CALLER, bug_check, status_of

if TYPE_CHECKING:
    from membuf.wdf._driver import Driver

FREED_BEFORE: Final = 0x07
WRONG_TAG: Final = 0x0A
NOT_A_BLOCK: Final = 0x46

_REMEMBERED_FREES: Final = 4096


@dataclass(frozen=True, slots=True)
class Allocation:
    """A block that is out.

    Attributes:
        block: the block.
        driver: whose it is, or None.
        quota: bytes charged to the driver's quota.
    """

    block: Block
    driver: Driver | None
    quota: int


_lock = threading.Lock()
_out: dict[int, Allocation] = {}
_freed: dict[int, None] = {}


def hand_out(block: Block, driver: Driver | None, quota: int) -> Block:
    """Remember a block: in C a pointer is enough to free it, and dropping one frees nothing."""
    with _lock:
        _freed.pop(block.address, None)
        _out[block.address] = Allocation(block, driver, quota)
    return block


def charged_to(driver: Driver) -> int:
    """Bytes that the driver's quota is charged with."""
    with _lock:
        return sum(entry.quota for entry in _out.values() if entry.driver is driver)


def give_back(pointer: object, tag: int) -> None:
    """Free what a pointer points to.

    Args:
        pointer: a block, any view of its first byte, or an address.
        tag: the tag it must have, 0 for any.

    Raises:
        BugCheck: BAD_POOL_CALLER; the block, if there is one, stays as it is.
    """
    block = _find(pointer)
    own = int(Tag(block.tag.encode("latin-1")))
    if tag not in (0, own):
        reason = f"the block at {block.address:#x} has tag {Tag(own)!r}, not {Tag(tag)!r}"
        bug_check(BAD_POOL_CALLER, WRONG_TAG, block.address, own, tag, reason=reason)
    _forget(block)
    _free(block)


def free_leaked(driver: Driver) -> None:
    """Free what a driver that has ended left behind, once its leaks are reported."""
    with _lock:
        left = [entry.block for entry in _out.values() if entry.driver is driver]
    for block in left:
        _forget(block)
        if not block.freed:
            block.free()


def _forget(block: Block) -> None:
    """Strike a block out before it is freed: its address may be somebody else's at once."""
    with _lock:
        entry = _out.get(block.address)
        if entry is None or entry.block is not block:
            return
        del _out[block.address]
        _freed[block.address] = None
        if len(_freed) > _REMEMBERED_FREES:
            del _freed[next(iter(_freed))]


def _free(block: Block) -> None:
    try:
        block.free()
    except MembufError as error:  # another thread was faster
        status_of(error)
        raise


def address_of(pointer: object) -> int:
    """The address a pointer stands for: an integer itself, a buffer's first byte, 0 for NULL."""
    if pointer is None:
        return 0
    if isinstance(pointer, Block):
        return pointer.address
    try:
        return Pointer(pointer).address  # type: ignore[arg-type]
    except TypeError:
        return exact_index(pointer, "P")  # type: ignore[arg-type]


def _find(pointer: object) -> Block:
    found, freed = _look(pointer)
    if found is None or freed:
        _no_block(address_of(pointer), freed=freed)
    return found


def _look(pointer: object) -> tuple[Block | None, bool]:
    """The block that a pointer points to, and whether it, or one there, was freed."""
    if isinstance(pointer, Block):
        return pointer, pointer.freed
    address = address_of(pointer)
    with _lock:
        entry = _out.get(address)
        if entry is None:
            return None, address in _freed
    return entry.block, entry.block.freed


def _no_block(address: int, *, freed: bool) -> NoReturn:
    if freed:
        reason = f"the block at {address:#x} was freed before"
        bug_check(BAD_POOL_CALLER, FREED_BEFORE, 0, 0, address, reason=reason)
    reason = f"no block of pool begins at {address:#x}"
    bug_check(BAD_POOL_CALLER, NOT_A_BLOCK, address, reason=reason)
