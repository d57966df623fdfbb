from collections.abc import Callable
from typing import Any, Literal

from membuf.base.status import Status
from membuf.request.completion import RequestType

class Irp:
    __slots__ = (
        "arguments",
        "cancelled",
        "code",
        "completed",
        "file",
        "information",
        "input_length",
        "length",
        "location",
        "major",
        "mdl",
        "mode",
        "offset",
        "output_length",
        "stack_count",
        "status",
        "system_buffer",
        "thread",
        "type3_input",
        "user_buffer",
        "write_through",
    )
    major: RequestType
    offset: int
    length: int
    code: int
    input_length: int
    output_length: int
    arguments: tuple[Any, Any, Any] | None
    system_buffer: Any
    mdl: Any
    user_buffer: Any
    type3_input: Any
    mode: Literal["user", "kernel"]
    thread: int
    file: Any
    status: Status
    information: int
    write_through: bool
    cancelled: bool
    completed: bool
    stack_count: int
    location: int

    def __init__(
        self,
        major: RequestType,
        *,
        offset: int = 0,
        length: int = 0,
        code: int = 0,
        input_length: int = 0,
        output_length: int = 0,
        arguments: tuple[Any, Any, Any] | None = None,
        mode: Literal["user", "kernel"] = "kernel",
        file: Any = None,
        stack_count: int = 1,
        write_through: bool = False,
    ) -> None: ...
    def push(self, routine: Callable[[Irp], object]) -> None: ...
    def complete(self, status: int = 0, information: int = 0) -> None: ...
    def cancel(self) -> bool: ...
    def set_cancel_routine(self, routine: Callable[[Irp], object] | None) -> bool: ...
    @property
    def described(self) -> str: ...
