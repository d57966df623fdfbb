"""The states of a transaction, and which call is legal in which."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class TransactionState(IntEnum):
    """Where a transaction stands; the numbers are the bug check's fourth figure.

        CREATED, RESERVED or RELEASED -- initialize --> INITIALIZED -- execute --> TRANSFER
        TRANSFER -- completed --> TRANSFER, TRANSFER_COMPLETED or TRANSFER_FAILED
        any but TRANSFER -- release --> RELEASED

    >>> TransactionState.TRANSFER.letter
    'T'
    """

    CREATED = 1
    RESERVED = 2
    INITIALIZED = 3
    TRANSFER = 4
    TRANSFER_COMPLETED = 5
    TRANSFER_FAILED = 6
    RELEASED = 7
    DELETED = 8

    @property
    def letter(self) -> str:
        """How the tables below write it."""
        return _LETTERS[self]


C, V, I, T, TC, TF, R, X = TransactionState  # noqa: E741 - as the specification's table has them
_NAMES = ("C", "V", "I", "T", "TC", "TF", "R", "X")
_LETTERS: Final = dict(zip(TransactionState, _NAMES, strict=True))


def _states(*states: TransactionState) -> frozenset[TransactionState]:
    return frozenset(states)


LEGAL: Final = {
    "initialize": _states(C, V, R),
    "allocate_resources": _states(C, I, R),
    "allocate_resources of what it needs": _states(I),
    "free_resources": _states(V, I, TC, TF, R),
    "transfer_info": _states(I),
    "execute": _states(I),
    "completed": _states(T),
    "cancel": _states(V, I, T, TC, TF),
}
"""In all other states the call stops with bug check (0x10D, 8, transaction, state)."""

HEEDED: Final = {
    "set_single_transfer": _states(C, V, R),
    "set_maximum_length": _states(I, T),
}
"""In all other states the call has no effect but a line in the log."""

EXPECTED: Final = {
    "set_immediate_execution": _states(C, I, R),
    "release": _states(C, V, I, TC, TF),
}
"""In all other states the call works, with a line in the log."""
