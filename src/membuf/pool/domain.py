"""Domains: memory with its own limit, default tag and counters, and a report at its end."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
import weakref
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from membuf import _native
from membuf.base.errors import InvalidParameterError, MembufError
from membuf.pool.statistics import PoolStatistics, pool_statistics

if TYPE_CHECKING:
    from types import TracebackType


@dataclass(frozen=True, slots=True)
class LiveBlock:
    """A block somebody holds: what a leak report shows.

    Attributes:
        tag: in display order.
        size: bytes asked for.
        address: where they are.
        pool: the pool type's number.
        kind: "Memory" or "Block".
        owner: the path of owners down to the holder, e.g. "capture/frame"; "" without a parent.
        site: where it was allocated, or None where sites are off.
        deleted: the object is gone, an open view still holds the bytes.

    >>> import membuf
    >>> with membuf.Domain() as domain:
    ...     memory = membuf.Memory(100, tag="Capt", parent=domain)
    ...     block, = domain.live_blocks()
    >>> block.tag, block.size, block.kind
    ('Capt', 100, 'Memory')
    """

    tag: str
    size: int
    address: int
    pool: int
    kind: str
    owner: str
    site: str | None
    deleted: bool

    def __str__(self) -> str:
        what = "held by a view only" if self.deleted else f"owner {self.owner or 'none'}"
        return f"{self.kind} {self.size} bytes tag {self.tag!r}, {what}, from {self.site or '?'}"


class LeakError(MembufError):
    """A domain ended while blocks of it were out.

    Attributes:
        leaks: one `LiveBlock` for each.
    """

    def __init__(self, message: str, leaks: tuple[LiveBlock, ...] = ()) -> None:
        super().__init__(message)
        self.leaks = leaks

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.leaks)


OnLeak = Literal["warn", "raise"]

# What to reset at exit belongs to the context, not to the domain: threads may share a domain.
_entered: ContextVar[tuple[Token[_native.Domain], ...]] = ContextVar("membuf.entered", default=())
_entry_lock = threading.Lock()
_all_domains: weakref.WeakSet[Domain] = weakref.WeakSet()


class Domain(_native.Domain):
    """A pool of its own: default tag, hard limit, counters, options.

    In a `with` statement it is current: `Memory`, `LookasideList` and `membuf.pool` use it, in that
    context (thread, task) only. At exit it deletes the objects it owns (those with the domain as
    parent) and reports what is still out.

    Args:
        tag: of what is allocated without one; "Memb" if absent.
        limit: the most bytes that may be taken from the pool, idle blocks included; None: no limit.
        locked: "best-effort" counts non-paged bytes the system refused to lock, "required" fails.
        sites: record where each block was allocated.
        auto_rebalance: adapt the depth of lookaside lists by itself, at most once a second.
        zero_on_free: clear every block that comes back.
        on_leak: at exit, "warn" with a ResourceWarning or "raise" a LeakError.
        name: shown by repr() and in reports.

    Raises:
        InvalidParameterError: an option out of range.

    Source: the driver globals of the framework: default pool tag, counters, verifier settings.

    >>> import membuf
    >>> with membuf.Domain(tag="Drv1", limit=1 << 20) as domain:
    ...     m = membuf.Memory(4096, parent=domain)
    ...     m.tag, domain.statistics().bytes
    ('Drv1', 4096)
    """

    def __init__(
        self,
        *,
        tag: str | bytes | int | None = None,
        limit: int | None = None,
        locked: Literal["best-effort", "required"] = "best-effort",
        sites: bool = True,
        auto_rebalance: bool = True,
        zero_on_free: bool = False,
        on_leak: OnLeak = "warn",
        name: str | None = None,
    ) -> None:
        super().__init__(
            tag=tag,
            limit=limit,
            locked=locked,
            sites=sites,
            auto_rebalance=auto_rebalance,
            zero_on_free=zero_on_free,
            name=name,
        )
        if on_leak not in ("warn", "raise"):
            raise InvalidParameterError(f"on_leak must be 'warn' or 'raise', got {on_leak!r}")
        self._on_leak: OnLeak = on_leak
        self._entries = 0
        _all_domains.add(self)

    def statistics(self) -> PoolStatistics:
        """What the domain counted until now.

        >>> Domain().statistics().outstanding
        0
        """
        return pool_statistics(self._figures(), self._tags())

    def live_blocks(self) -> tuple[LiveBlock, ...]:
        """Every block that is out now, with its owner and allocation site.

        >>> Domain().live_blocks()
        ()
        """
        return tuple(_describe(holder) for holder in self._holders())

    def __enter__(self) -> Self:
        super().__enter__()
        with _entry_lock:
            self._entries += 1
        _entered.set((*_entered.get(), _native.domain_variable.set(self)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _leave()
        with _entry_lock:
            self._entries -= 1
            if self._entries:
                return  # entered more than once, here or in other threads: the last exit ends it
        super().__exit__(kind, value, traceback)
        leaks = self.live_blocks()
        if leaks:  # an exception on its way out must not be hidden by ours
            _report_leaks(self, leaks, self._on_leak if kind is None else "warn")


def _leave() -> None:
    """Make current what was before the innermost enter of this context."""
    entered = _entered.get()
    _entered.set(entered[:-1])
    for token in entered[-1:]:
        with contextlib.suppress(
            ValueError
        ):  # entered in the context that this one was copied from
            _native.domain_variable.reset(token)


def _report_leaks(domain: Domain, leaks: tuple[LiveBlock, ...], on_leak: OnLeak) -> None:
    lines = "".join(f"\n  {leak}" for leak in leaks[:20])
    more = f"\n  and {len(leaks) - 20} more" if len(leaks) > 20 else ""
    message = f"{len(leaks)} block(s) still out at the end of {domain!r}:{lines}{more}"
    if on_leak == "raise":
        raise LeakError(message, leaks)
    warnings.warn(message, ResourceWarning, stacklevel=3)


def _describe(holder: _native.Memory | _native.Block) -> LiveBlock:
    record = _native.describe_holder(holder)
    return LiveBlock(*record[:4], type(holder).__name__, owner_path(holder), *record[4:])


def owner_path(holder: _native.Memory | _native.Block) -> str:
    """The names of the objects that own a holder, the outermost first, joined by "/"."""
    names: list[str] = []
    try:
        parent = holder.parent if isinstance(holder, _native.Memory) else None
        while parent is not None:
            names.append(parent.name or type(parent).__name__)
            parent = parent.parent
    except MembufError:  # deleted meanwhile: the path ends there
        pass
    return "/".join(reversed(names))


def default_domain() -> Domain:
    """The domain used where no other is current; each process has its own, a forked one too.

    >>> default_domain() is default_domain()
    True
    """
    return _default


def current_domain() -> Domain:
    """The domain that new memory comes from here.

    >>> with Domain() as domain:
    ...     current_domain() is domain
    True
    """
    return cast("Domain", _native.current_domain())  # nothing else is ever made current


def _renew_default() -> None:
    global _default  # noqa: PLW0603 - a forked child starts with an empty one
    _default = Domain(name="default")
    _native.set_default_domain(_default)


_default: Domain
_renew_default()
os.register_at_fork(after_in_child=_renew_default)
