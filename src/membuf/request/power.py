"""Starting and stopping a device: its queues are held while it is stopped."""

# pyright: reportPrivateUsage=false
# A request, its queue and its device are one machine.
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from membuf.request._dispatch import DeviceCore
from membuf.request.handlers import Handlers

if TYPE_CHECKING:
    from membuf._native import Object
    from membuf.request.queue import Queue

Power = Literal["new", "started", "stopped"]


class Powered(DeviceCore, Handlers):
    """The half of a device that starts and stops."""

    __slots__ = ("_callbacks", "_has_coroutines", "_queues")

    def __init__(
        self,
        name: str | None,
        parent: Object | None,
        on_cleanup: Callable[[Any], object] | None,
        on_destroy: Callable[[Any], object] | None,
    ) -> None:
        super().__init__(name, parent=parent, on_cleanup=on_cleanup, on_destroy=on_destroy)
        self._queues: list[Queue] = []
        self._has_coroutines = False
        self._power: Power = "new"
        self._callbacks: list[tuple[Callable[[], object], Callable[[], object]]] = []

    @property
    def started(self) -> bool:
        """Whether it has started; a device that was stopped since has, too."""
        return self._power != "new"

    def start(self) -> None:
        """Start it: power callbacks, in the order they were added; then requests are presented.

        A device that is started stays as it is. Source: EvtDeviceD0Entry.
        """
        with self._lock:
            if self._power == "started":
                return
            self._power = "started"
        for up, _ in self._callbacks:
            up()
        self._hold(False)

    def stop(self) -> None:
        """Stop it: no request is presented any more; then power callbacks, in reverse order.

        Requests that come meanwhile wait. Source: EvtDeviceD0Exit.
        """
        with self._lock:
            if self._power != "started":
                return
            self._power = "stopped"
        self._hold(True)
        for _, down in reversed(self._callbacks):
            down()

    def add_power_callbacks(self, up: Callable[[], object], down: Callable[[], object]) -> None:
        """Have `up()` called at each start, and `down()` at each stop."""
        self._callbacks.append((up, down))

    def _note_coroutine(self) -> None:
        self._has_coroutines = True

    def _hold(self, held: bool) -> None:
        with self._lock:
            queues = list(self._queues)
            for queue in queues:
                queue._held = held
        if not held:
            for queue in queues:
                queue._dispatch()
