r"""Hardware in Python: registers, doorbells, interrupts, and memory by device addresses alone.

A device of one's own derives from `DeviceModel`; its driver writes registers, which makes the model
do something later, which touches memory through the driver's DMA enabler, which ends in an
interrupt. A translation fault stops the model as it stops hardware behind an IOMMU.

>>> import membuf, membuf.dma
>>> class Inverter(DeviceModel):
...     address = Register(0x00, width=8)
...     length = Register(0x08)
...     command = Register(0x0C, access="write")
...     done = Register(0x10, access="write 1 to clear")
...
...     @command.on_write
...     def started(self, value):
...         self.later(self.invert)
...
...     def invert(self):
...         data = self.read_memory(self.address, self.length)
...         self.write_memory(self.address, bytes(255 - byte for byte in data))
...         self.done = 1
...         self.interrupt.request()
>>> model, enabler = Inverter(), membuf.dma.Enabler(membuf.Object(name="inverter"))
>>> model.attach(enabler)
>>> common = enabler.common_buffer(16)
>>> common.buffer[:3] = bytes([0, 1, 2])
>>> model.interrupt.connect(lambda: model.read(0x10) == 1, lambda: print("done"))
>>> model.write(0x00, common.logical_address); model.write(0x08, 3); model.write(0x0C, 1)
>>> model.run()
done
1
>>> bytes(common.buffer[:3]), model.read(0x10)
(b'\xff\xfe\xfd', 1)
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal, Protocol, Self, TypeVar, overload

RegisterAccess = Literal["read-write", "read", "write", "write 1 to clear"]
Handler = TypeVar("Handler", bound=Callable[..., object])

_WIDTHS: Final = (1, 2, 4, 8)


class DeviceModelError(Exception):
    """A driver's access that the device does not answer: no such register, or another width."""


class Translator(Protocol):
    """What a model needs of a DMA enabler."""

    def translate(
        self, address: int, length: int = 1, access: Literal["read", "write"] | None = None
    ) -> memoryview:
        """The bytes behind a device address."""
        ...


class Register:
    """A register of a device.

    In the model its value is an attribute. A driver reads and writes it by its offset, which calls
    the handlers.

    Args:
        offset: in bytes.
        width: 1, 2, 4 or 8 bytes.
        reset: the value after power on.
        access: what a driver may do; "write 1 to clear" clears the bits that are written as 1.

    >>> class Clock(DeviceModel):
    ...     ticks = Register(0x00, access="read")
    ...     @ticks.on_read
    ...     def tick(self, value):
    ...         self.ticks = value + 1
    ...         return value + 1
    >>> clock = Clock()
    >>> clock.read(0x00), clock.read(0x00), clock.ticks
    (1, 2, 2)
    """

    def __init__(
        self, offset: int, width: int = 4, reset: int = 0, access: RegisterAccess = "read-write"
    ) -> None:
        if width not in _WIDTHS or offset % width:
            raise ValueError(
                f"a register has 1, 2, 4 or 8 bytes at a multiple of them; got {width} at {offset}"
            )
        self.offset, self.width, self.reset = offset, width, reset
        self.access = access
        self.name = f"register at {offset:#x}"
        self.read_handler: Callable[[Any, int], int | None] | None = None
        self.write_handler: Callable[[Any, int], object] | None = None

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, model: None, owner: type) -> Self: ...
    @overload
    def __get__(self, model: DeviceModel, owner: type) -> int: ...
    def __get__(self, model: DeviceModel | None, owner: type) -> Self | int:
        return self if model is None else model.values[self.offset]

    def __set__(self, model: DeviceModel, value: int) -> None:
        model.values[self.offset] = value & self.mask

    @property
    def mask(self) -> int:
        """All its bits."""
        return (1 << 8 * self.width) - 1

    def on_read(self, handler: Handler) -> Handler:
        """Call a method before a driver's read: it gets the value, and answers another or None."""
        self.read_handler = handler  # type: ignore[assignment]
        return handler

    def on_write(self, handler: Handler) -> Handler:
        """Call a method after a driver's write: it gets what was written. A doorbell is this."""
        self.write_handler = handler
        return handler


class Interrupt:
    """The line from a device to its driver, in two steps as drivers take it.

    >>> interrupt = Interrupt()
    >>> interrupt.connect(lambda: True, lambda: print("deferred"))
    >>> interrupt.request()
    deferred
    True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._isr: Callable[[], bool] | None = None
        self._dpc: Callable[[], object] | None = None
        self.requests = 0
        self.claimed = 0

    def connect(self, isr: Callable[[], bool], dpc: Callable[[], object] | None = None) -> None:
        """Connect the driver.

        Args:
            isr: asked at each interrupt whether it is this driver's; one at a time.
            dpc: called after each that was claimed, without the interrupt's lock.
        """
        self._isr, self._dpc = isr, dpc

    def request(self) -> bool:
        """Interrupt the driver; whether it claimed it."""
        with self._lock:
            self.requests += 1
            claimed = self._isr is not None and bool(self._isr())
            self.claimed += claimed
        if claimed and self._dpc is not None:
            self._dpc()
        return claimed


class DeviceModel:
    """A device in Python: registers as class attributes, work that it does later, an interrupt.

    Work waits for `run`, so that a test says when the device does something; between `start` and
    `stop` (or in a `with`) a thread of the model does it at once.

    >>> class Idle(DeviceModel):
    ...     identity = Register(0x00, reset=0x1AB4, access="read")
    >>> hex(Idle().read(0x00))
    '0x1ab4'
    """

    registers: dict[int, Register]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        found = [item for kind in reversed(cls.__mro__) for item in vars(kind).values()]
        registers = [item for item in found if isinstance(item, Register)]
        cls.registers = {register.offset: register for register in registers}
        hidden = [register.name for register in registers if hasattr(DeviceModel, register.name)]
        if hidden:
            raise TypeError(f"a register must not be called {hidden[0]!r}: that is a model's own")

    def __init__(self) -> None:
        self.interrupt = Interrupt()
        self.values: dict[int, int] = {}
        self.faults: list[Exception] = []
        self._memory: Translator | None = None
        self._due: deque[Callable[[], object]] = deque()
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None
        self._stopping = False
        self.reset()

    # ---- as the driver sees it ------------------------------------------------------------------

    def read(self, offset: int, width: int | None = None) -> int:
        """Read a register, as a driver does.

        Raises:
            DeviceModelError: there is none, or of another width.
        """
        register = self._register(offset, width)
        value = self.values[offset]
        if register.read_handler is not None:
            answer = register.read_handler(self, value)
            value = value if answer is None else answer
        return 0 if register.access == "write" else value & register.mask

    def write(self, offset: int, value: int, width: int | None = None) -> None:
        """Write a register, as a driver does; a read-only one stays as it is.

        Raises:
            DeviceModelError: there is none, of another width, or the value does not fit.
        """
        register = self._register(offset, width)
        if not 0 <= value <= register.mask:
            raise DeviceModelError(
                f"{value:#x} does not fit {register.name}, {register.width} bytes"
            )
        if register.access == "write 1 to clear":
            self.values[offset] &= ~value
        elif register.access != "read":
            self.values[offset] = value
        if register.write_handler is not None:
            register.write_handler(self, value)

    def reset(self) -> None:
        """Power on: all registers have their reset values, and no work is due."""
        self._due.clear()
        self.values.update({at: register.reset for at, register in self.registers.items()})

    # ---- as the device sees it ------------------------------------------------------------------

    def attach(self, enabler: Translator) -> None:
        """Give the device the memory that an enabler maps for it; no other memory exists for it."""
        self._memory = enabler

    def read_memory(self, address: int, length: int) -> bytes:
        """Read memory by its device address.

        Raises:
            TranslationFaultError: it is not this device's to read.
        """
        return bytes(self._attached().translate(address, length, "read"))

    def write_memory(self, address: int, data: bytes) -> None:
        """Write memory by its device address.

        Raises:
            TranslationFaultError: it is not this device's to write.
        """
        self._attached().translate(address, len(data), "write")[:] = data

    def later(self, work: Callable[..., object], *arguments: Any) -> None:
        """Do something by itself, after what the driver does at the moment."""
        with self._changed:
            self._due.append(partial(work, *arguments))
            self._changed.notify_all()

    def run(self) -> int:
        """Do all the work that is due, and what comes of it; how many pieces it was.

        Raises:
            TranslationFaultError: and whatever else the work raised; the rest of it stays due.
        """
        done = 0
        while self._due:
            self._due.popleft()()
            done += 1
        return done

    def start(self) -> None:
        """Have a thread do the work as it comes; what it raises is kept in `faults`."""
        if self._worker is None:
            self._stopping = False
            self._worker = threading.Thread(target=self._work, name=type(self).__name__)
            self._worker.start()

    def stop(self) -> None:
        """Let the thread finish the work that is due, and end."""
        worker, self._worker = self._worker, None
        if worker is not None:
            with self._changed:
                self._stopping = True
                self._changed.notify_all()
            worker.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._due and not self._stopping:
                    self._changed.wait()
                if not self._due:
                    return
            try:
                self.run()
            except Exception as fault:  # noqa: BLE001 - a device does not raise: it stops
                self.faults.append(fault)
                self.faulted(fault)

    def faulted(self, fault: Exception) -> None:
        """What the device does when its work has raised on its thread; nothing by default."""

    def _register(self, offset: int, width: int | None) -> Register:
        register = self.registers.get(offset)
        if register is None:
            raise DeviceModelError(f"{type(self).__name__} has no register at {offset:#x}")
        if width not in (None, register.width):
            raise DeviceModelError(
                f"{register.name} at {offset:#x} has {register.width} bytes; asked for {width}"
            )
        return register

    def _attached(self) -> Translator:
        if self._memory is None:
            raise DeviceModelError(f"{type(self).__name__} has no memory: attach an enabler first")
        return self._memory
