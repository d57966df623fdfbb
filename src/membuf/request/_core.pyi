from collections.abc import Callable
from typing import Any, final

from typing_extensions import disjoint_base

from membuf._native import Object
from membuf.base.errors import MembufError
from membuf.base.status import Status
from membuf.request.completion import RequestType
from membuf.request.io_type import IoType
from membuf.request.protocol import Control, RequestTarget

@final
class Lock:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...

@disjoint_base
class RequestCore(Object):
    _cancelled: bool
    _control: Control | None
    _failure: MembufError | None
    _formatted: bool
    _information: int
    _memory: Any
    _memory_offset: int
    _packet: Any
    _routine: Callable[[Any, Any, Any, Any], object] | None
    _routine_context: Any
    _status: Status
    _target: RequestTarget | None
    _type: RequestType
    @property
    def _flying(self) -> bool: ...
    def _take_off(self) -> bool: ...
    def _land(self) -> None: ...

@disjoint_base
class AnyQueue(Object): ...

@disjoint_base
class AnyDevice(Object):
    io_type: IoType
    target: Any
    @property
    def _lock(self) -> Lock: ...
