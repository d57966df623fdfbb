from collections.abc import Callable
from typing import Any, Protocol, Self

from typing_extensions import disjoint_base

from membuf._native import Memory
from membuf.bus.nbd._command import Buffers, Command, Counters
from membuf.bus.nbd._replies import Replies
from membuf.request.irp import Irp

class _Owner(Protocol):
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def watch_writing(self, yes: bool) -> None: ...
    def soon(self, function: Callable[[], object]) -> None: ...
    def soon_from_elsewhere(self, function: Callable[[], object]) -> None: ...
    def perform(self, command: Command) -> None: ...
    def report(self, error: BaseException) -> None: ...
    def over(self, reason: str) -> None: ...
    def ended(self) -> None: ...

@disjoint_base
class Channel(Replies):
    def __new__(
        cls,
        owner: _Owner,
        fd: int,
        thread: int,
        submit: Callable[[Irp], None],
        buffers: Buffers,
        counters: Counters,
        *,
        attach: Callable[[Irp, Memory], Callable[[Irp], None]] | None,
        tls: Any,
        size: int,
        smallest: int,
        largest: int,
        readonly: bool,
        structured: bool,
        status: bool,
        write_through: bool,
        clear: bool,
        file: Any,
        depth: int,
        most_commands: int,
        most_bytes: int,
    ) -> Self: ...
    @property
    def paused(self) -> bool: ...
    @property
    def draining(self) -> bool: ...
    @property
    def waits(self) -> bool: ...
    def readable(self) -> None: ...
    def hear(self) -> None: ...
    def go_on(self) -> None: ...
    def drain(self) -> None: ...
