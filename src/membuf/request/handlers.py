"""The callbacks of a device or queue, by the type of request they take."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final, TypeVar

from membuf.request.completion import RequestType

Handler = Callable[[Any], object]
H = TypeVar("H", bound=Handler)

DEFAULT: Final = RequestType.OTHER
"""Under it a handler stands that takes every type without one of its own."""


class Handlers:
    """Decorators that register handlers; handlers are plain or coroutine functions."""

    __slots__ = ()

    _handlers: dict[RequestType, Handler]

    def on_read(self, handler: H) -> H:
        """Have `handler(request)` called for reads (EvtIoRead)."""
        return self._register(RequestType.READ, handler)

    def on_write(self, handler: H) -> H:
        """Have `handler(request)` called for writes (EvtIoWrite)."""
        return self._register(RequestType.WRITE, handler)

    def on_ioctl(self, handler: H) -> H:
        """Have `handler(request)` called for control requests (EvtIoDeviceControl)."""
        return self._register(RequestType.DEVICE_CONTROL, handler)

    def on_internal_ioctl(self, handler: H) -> H:
        """Have it called for internal control requests (EvtIoInternalDeviceControl)."""
        return self._register(RequestType.INTERNAL_DEVICE_CONTROL, handler)

    def on_default(self, handler: H) -> H:
        """Have it called for types without a handler of their own (EvtIoDefault)."""
        return self._register(DEFAULT, handler)

    def _register(self, type: RequestType, handler: H) -> H:
        if not callable(handler):
            raise TypeError(f"a handler is a function of one request; got {handler!r}")
        if inspect.iscoroutinefunction(handler):
            self._note_coroutine()
        self._handlers[type] = handler
        return handler

    def _note_coroutine(self) -> None:
        raise NotImplementedError


def plain(handler: Any, what: str) -> None:
    """Refuse a coroutine function where the caller waits for the end of the callback.

    Raises:
        TypeError: it is one.
    """
    if inspect.iscoroutinefunction(handler):
        raise TypeError(f"{what} must be a plain function: its caller waits for its end")
