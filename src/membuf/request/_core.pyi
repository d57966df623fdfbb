from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any, Literal, final

from typing_extensions import disjoint_base

from membuf._native import Memory, Object
from membuf.base.errors import MembufError
from membuf.base.status import Status
from membuf.mdl import Mdl
from membuf.request.completion import RequestType
from membuf.request.device import Device
from membuf.request.handlers import Handler
from membuf.request.io_type import IoType
from membuf.request.irp import Irp
from membuf.request.protocol import Control, RequestTarget
from membuf.request.queue import Dispatch, Queue
from membuf.request.received import ReceivedRequest

def presenting() -> int: ...
def receive_as(received: type[ReceivedCore]) -> None: ...

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

@final
class Retrieved:
    input: Memory | None
    output: Memory | None
    input_mdl: Mdl | None
    output_mdl: Mdl | None
    mapped: Memory | None
    locked: list[Memory] | None
    def __iter__(self) -> Iterator[Memory]: ...
    def free_mdls(self) -> None: ...

@disjoint_base
class ReceivedCore(RequestCore):
    _owner: int
    _mark: int
    _presented: bool
    _in_caller: bool
    _has_callbacks: bool
    _on_cancel: Callable[[ReceivedRequest], object] | None
    _retrieved: Retrieved | None
    _queue: Queue | None
    def __init__(self, device: Device, irp: Irp) -> None: ...
    @property
    def device(self) -> Device: ...
    @property
    def type(self) -> RequestType: ...
    @property
    def _irp(self) -> Irp: ...
    @property
    def irp(self) -> Irp: ...
    @property
    def length(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def code(self) -> int: ...
    @property
    def input_length(self) -> int: ...
    @property
    def output_length(self) -> int: ...
    @property
    def mode(self) -> Literal["user", "kernel"]: ...
    @property
    def file(self) -> Any: ...
    @property
    def write_through(self) -> bool: ...
    @property
    def queue(self) -> Queue | None: ...
    @property
    def completed(self) -> bool: ...
    @property
    def owned(self) -> bool: ...
    def complete(self, status: int = 0, information: int | None = None) -> None: ...
    def input_memory(self) -> Memory: ...
    def output_memory(self) -> Memory: ...
    def _claim(self, what: str) -> None: ...
    def _end(self, status: Status, information: int, owned: bool = True) -> None: ...
    def _end_objects(self) -> MembufError | None: ...

@disjoint_base
class QueueCore(Object):
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
class DeviceCore(Object):
    io_type: IoType
    target: Any
    filter: bool
    _power: Literal["new", "started", "stopped"]
    _arrival: Handler | None
    _in_caller: Handler | None
    _handlers: dict[RequestType, Handler]
    _routes: dict[RequestType, Queue]
    _default: Queue | None
    @property
    def _lock(self) -> Lock: ...
    def submit(self, irp: Irp) -> None: ...
    def _call(self, handler: Handler, request: ReceivedRequest) -> None: ...
    def _received(self, irp: Irp) -> ReceivedRequest: ...
