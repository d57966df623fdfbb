import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any, Self, SupportsIndex, final

from membuf.target._port import Packet, Port

def current_loop() -> asyncio.AbstractEventLoop | None: ...

@final
class Future(Packet):
    def __init__(
        self,
        port: Port,
        kind: int,
        memory: Any,
        offset: SupportsIndex | None,
        memory_offset: SupportsIndex = 0,
        memory_length: SupportsIndex | None = None,
        *,
        loop: asyncio.AbstractEventLoop,
        ignores_state: bool = False,
    ) -> None: ...
    def __await__(self) -> Generator[Any, None, int]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    def get_loop(self) -> asyncio.AbstractEventLoop: ...
    def done(self) -> bool: ...
    def cancelled(self) -> bool: ...
    def cancel(self, msg: Any = None) -> bool: ...
    def exception(self) -> BaseException | None: ...
    def add_done_callback(
        self, callback: Callable[[Future], object], *, context: Context | None = None
    ) -> None: ...
    def remove_done_callback(self, callback: Callable[[Future], object]) -> int: ...

@final
class Notice(Packet):
    def __init__(
        self,
        port: Port,
        kind: int,
        memory: Any,
        offset: SupportsIndex | None,
        memory_offset: SupportsIndex = 0,
        memory_length: SupportsIndex | None = None,
        *,
        callback: Callable[[Any, int, Any], object],
    ) -> None: ...
