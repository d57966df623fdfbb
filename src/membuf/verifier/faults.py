"""Allocation failures on demand: does a program survive having no memory, at every point?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import SupportsIndex

from membuf.base.errors import InsufficientResourcesError, InvalidParameterError
from membuf.base.integers import exact_index
from membuf.pool import Domain, current_domain


@contextmanager
def faults(*, after: SupportsIndex, domain: Domain | None = None) -> Iterator[None]:
    """Make the after-th allocation from the pool, and every later one, fail.

    An idle block that a lookaside list hands out again is no allocation.

    Args:
        after: 1 fails the first.
        domain: where; the current one if absent.

    Raises:
        InvalidParameterError: `after` below 1.

    Source: VerifierAllocateFailCount (there the count of allocations that still succeed).

    >>> import membuf
    >>> with membuf.Domain(), faults(after=1):
    ...     membuf.Memory(64)
    Traceback (most recent call last):
    ...
    membuf.InsufficientResourcesError: 64 bytes asked for, refused by an injected fault
    """
    count = exact_index(after, "after")
    if count < 1:
        raise InvalidParameterError(f"after must be 1 or more, got {count}")
    where = current_domain() if domain is None else domain
    where._set_faults(count)
    try:
        yield
    finally:
        where._set_faults(0)


@dataclass(frozen=True, slots=True)
class SweepResult:
    """One run of a sweep.

    Attributes:
        point: which allocation failed, counted from 1.
        error: what the function raised; None where it coped.

    >>> SweepResult(point=1, error=None).point
    1
    """

    point: int
    error: InsufficientResourcesError | None


def sweep(function: Callable[[], object], *, domain: Domain | None = None) -> list[SweepResult]:
    """Run a function once for each of its allocations from the pool, with that one failing.

    Args:
        function: called without arguments; it may raise InsufficientResourcesError or cope.
        domain: where allocations fail; the current one if absent.

    Returns:
        A result a run. Any other exception of the function comes through, with a note that says
        which allocation failed.

    >>> import membuf
    >>> with membuf.Domain():
    ...     [type(result.error).__name__ for result in sweep(lambda: membuf.Memory(64))]
    ['InsufficientResourcesError']
    """
    where = current_domain() if domain is None else domain
    before = where.statistics().allocation_points
    function()
    points = where.statistics().allocation_points - before
    return [_run(function, where, point) for point in range(1, points + 1)]


def _run(function: Callable[[], object], domain: Domain, point: int) -> SweepResult:
    with faults(after=point, domain=domain):
        try:
            function()
        except InsufficientResourcesError as error:
            return SweepResult(point, error)
        except BaseException as error:
            error.add_note(f"while allocation {point} from the pool failed")
            raise
    return SweepResult(point, None)
