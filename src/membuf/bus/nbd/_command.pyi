from typing import Self, final

from typing_extensions import disjoint_base

from membuf.request.irp import Irp

@disjoint_base
class Buffers:
    def __new__(cls, tag: str) -> Self: ...
    def delete(self) -> None: ...

@disjoint_base
class Counters:
    def __new__(cls) -> Self: ...
    bytes_read: int
    bytes_written: int
    errors: int
    in_flight: int
    peak_in_flight: int
    def of_command(self, kind: int) -> int: ...

@disjoint_base
class Home: ...

@final
class Command:
    @property
    def cookie(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def kind(self) -> int: ...
    @property
    def flags(self) -> int: ...
    def __call__(self, irp: Irp) -> None: ...
