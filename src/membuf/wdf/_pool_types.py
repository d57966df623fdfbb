"""What the numbers of POOL_TYPE mean here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from membuf.pool import PoolType

CACHE_LINE: Final = 64

COLD: Final = 256
RAISE: Final = 16
FAIL_INSTEAD_OF_RAISE: Final = 8
_SESSION: Final = 32
_MODIFIERS: Final = COLD | RAISE | FAIL_INSTEAD_OF_RAISE
_PAGED: Final = frozenset({1, 5})
_CACHE_ALIGNED: Final = frozenset({4, 5, 516})
_EXECUTABLE: Final = frozenset({0, 4})
_KNOWN: Final = frozenset({0, 1, 4, 5, 512, 516})
MUST_SUCCEED: Final = frozenset({2, 6})


@dataclass(frozen=True, slots=True)
class Kind:
    """A pool type taken apart.

    Attributes:
        base: the type without its modifiers.
        raises: failure raises instead of answering NULL.
        fails_quietly: a quota call answers NULL instead of raising.
    """

    base: int
    raises: bool
    fails_quietly: bool

    @property
    def executable(self) -> bool:
        """Whether Windows would let code run in it."""
        return self.base in _EXECUTABLE

    @property
    def known(self) -> bool:
        """Whether membuf has such a pool: no session pool, no number without a name."""
        return self.base in _KNOWN


def kind_of(pool_type: int) -> Kind:
    """Take a pool type apart.

    >>> kind_of(1 | RAISE)
    Kind(base=1, raises=True, fails_quietly=False)
    """
    return Kind(
        pool_type & ~_MODIFIERS,
        raises=bool(pool_type & RAISE),
        fails_quietly=bool(pool_type & FAIL_INSTEAD_OF_RAISE),
    )


def placement(pool_type: int) -> tuple[PoolType, int | None]:
    """Where the framework puts memory of a pool type: it refuses none.

    Returns:
        The pool, and the alignment that the type asks for beyond the natural one.

    >>> placement(5)
    (<PoolType.PAGED: 1>, 64)
    >>> placement(0)
    (<PoolType.NONPAGED: 512>, None)
    """
    base = pool_type & ~COLD
    pool = PoolType.PAGED if base in _PAGED else PoolType.NONPAGED
    return pool, CACHE_LINE if base in _CACHE_ALIGNED else None
