"""The callbacks that run as an enabler's device gains and loses power."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from membuf.dma.enabler import Enabler

PowerCallback = Callable[[Any], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCallbacks:
    """What to call as the device gains and loses power, each with the enabler; raising fails.

    >>> PowerCallbacks(fill=print).enable is None
    True
    """

    fill: PowerCallback | None = None
    enable: PowerCallback | None = None
    self_managed_io_start: PowerCallback | None = None
    self_managed_io_stop: PowerCallback | None = None
    disable: PowerCallback | None = None
    flush: PowerCallback | None = None


class PowerSequence:
    """The order of the callbacks, and what an earlier failure leaves out.

    Up: fill, enable, self_managed_io_start, until one fails. Down: self_managed_io_stop; disable,
    unless fill failed; flush, unless fill or enable failed. All of those run.

    Args:
        callbacks: what to call.

    Source: section 3.13 of the specification (fxdmaenabler.cpp).
    """

    __slots__ = ("_callbacks", "_failed")

    def __init__(self, callbacks: PowerCallbacks) -> None:
        self._callbacks = callbacks
        self._failed: str | None = None

    def up(self, enabler: Enabler) -> None:
        """The device has power.

        Raises:
            MembufError: what the first callback that failed raised, or anything else it did.
        """
        self._failed = None
        for name in ("fill", "enable", "self_managed_io_start"):
            try:
                self._call(name, enabler)
            except Exception:
                self._failed = name
                raise

    def down(self, enabler: Enabler) -> None:
        """The device is about to lose power.

        Raises:
            MembufError: what the first callback that failed raised, or anything else it did.
        """
        first: Exception | None = None
        for name, unless in _DOWN:
            if self._failed in unless:
                continue
            try:
                self._call(name, enabler)
            except Exception as error:  # noqa: BLE001 - raised below
                first = first or error
        if first is not None:
            raise first

    def _call(self, name: str, enabler: Enabler) -> None:
        callback: PowerCallback | None = getattr(self._callbacks, name)
        if callback is not None:
            callback(enabler)


_DOWN = (
    ("self_managed_io_stop", ()),
    ("disable", ("fill",)),
    ("flush", ("fill", "enable")),
)
