from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Literal

from typing_extensions import disjoint_base

from membuf.request._core import AnyDevice, AnyQueue
from membuf.request._received import ReceivedCore
from membuf.request.completion import RequestType
from membuf.request.device import Device
from membuf.request.handlers import Handler
from membuf.request.irp import Irp
from membuf.request.queue import Dispatch, Queue
from membuf.request.received import ReceivedRequest

def presenting() -> int: ...
def receive_as(received: type[ReceivedCore]) -> None: ...

@disjoint_base
class QueueCore(AnyQueue):
    _waiting: OrderedDict[ReceivedRequest, None]
    _marked: set[ReceivedRequest]
    _jobs: deque[tuple[Callable[[Any], object], Any]]
    _handlers: dict[RequestType, Handler]
    _on_idle: Callable[[Any], object] | None
    _on_empty: Callable[[Any], object] | None
    _on_ready: Handler | None
    _accepts: bool
    _dispatches: bool
    _held: bool
    _cancels_owned: bool
    _ready_due: bool
    _owned: int
    _ending: int
    _presented: int
    _completed: int
    _cancelled: int
    @property
    def device(self) -> Device: ...
    @property
    def dispatch(self) -> Dispatch: ...
    @property
    def maximum(self) -> int: ...
    @property
    def allow_zero_length(self) -> bool: ...
    def _configure(
        self, device: Device, dispatch: str, maximum: int, allow_zero_length: bool
    ) -> None: ...
    def _dispatch(self) -> None: ...
    def _give(self, request: ReceivedRequest) -> None: ...
    def _left(self, owned: bool) -> None: ...

@disjoint_base
class DeviceCore(AnyDevice):
    filter: bool
    _power: Literal["new", "started", "stopped"]
    _arrival: Handler | None
    _in_caller: Handler | None
    _handlers: dict[RequestType, Handler]
    _routes: dict[RequestType, Queue]
    _default: Queue | None
    def submit(self, irp: Irp) -> None: ...
    def _call(self, handler: Handler, request: ReceivedRequest) -> None: ...
    def _received(self, irp: Irp) -> ReceivedRequest: ...
