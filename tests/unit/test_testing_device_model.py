"""The kit that models hardware in Python."""

from __future__ import annotations

import threading

import pytest

import membuf
import membuf.dma as dma
from membuf.testing.device_model import DeviceModel, DeviceModelError, Register


class Device(DeviceModel):
    """One register of each kind, and a doorbell."""

    plain = Register(0x00, width=8, reset=7)
    fixed = Register(0x08, reset=0xAB, access="read")
    blind = Register(0x0C, access="write")
    events = Register(0x10, width=2, reset=0b111, access="write 1 to clear")
    bell = Register(0x14)
    counter = Register(0x18, width=1)

    def __init__(self) -> None:
        super().__init__()
        self.rung: list[int] = []

    @bell.on_write
    def ring(self, value: int) -> None:
        self.later(self.rung.append, value)

    @counter.on_read
    def count(self, value: int) -> None:
        self.counter = value + 1


def test_registers_answer_by_their_kind() -> None:
    device = Device()
    for offset in (0x00, 0x08, 0x0C):
        device.write(offset, 5)
    assert [device.read(offset) for offset in (0x00, 0x08, 0x0C)] == [5, 0xAB, 0]
    assert (device.plain, device.fixed, device.blind) == (5, 0xAB, 5)
    device.write(0x10, 0b101)
    assert device.read(0x10, 2) == 0b010
    device.events = 0x1FFFF
    assert device.events == 0xFFFF
    device.reset()
    assert (device.plain, device.events) == (7, 0b111)


def test_a_read_may_have_an_effect_and_its_value_stays() -> None:
    device = Device()
    assert [device.read(0x18) for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(
    "access",
    [
        lambda d: d.read(0x04),
        lambda d: d.read(0x00, 4),
        lambda d: d.write(0x10, 0, 4),
        lambda d: d.write(0x10, 1 << 16),
        lambda d: d.write(0x08, -1),
        lambda d: d.read_memory(0, 1),
    ],
)
def test_accesses_that_the_device_does_not_answer(access: object) -> None:
    with pytest.raises(DeviceModelError):
        access(Device())  # type: ignore[operator]


@pytest.mark.parametrize(("offset", "width"), [(0, 3), (2, 4), (0, 16)])
def test_registers_are_aligned(offset: int, width: int) -> None:
    with pytest.raises(ValueError, match="multiple"):
        Register(offset, width)


def test_a_register_does_not_hide_what_models_have() -> None:
    with pytest.raises(TypeError, match="'run'"):
        type("Bad", (DeviceModel,), {"run": Register(0)})


def test_a_model_derives_from_another() -> None:
    class Newer(Device):
        extra = Register(0x20, reset=1)
        fixed = Register(0x08, reset=0xCD, access="read")

    assert (Newer().read(0x20), Newer().read(0x08), Device().read(0x08)) == (1, 0xCD, 0xAB)


def test_work_waits_for_run() -> None:
    device = Device()
    device.write(0x14, 1)
    device.write(0x14, 2)
    assert device.rung == []
    assert device.run() == 2
    assert device.rung == [1, 2]


def test_a_thread_does_the_work_and_keeps_what_it_raises() -> None:
    told = threading.Event()

    class Failing(Device):
        def faulted(self, fault: Exception) -> None:
            told.set()

    device = Failing()
    device.attach(dma.Enabler(membuf.Object(name="device")))
    with device:
        device.start()
        device.later(device.read_memory, 0x1234, 8)
        assert told.wait(10)
        device.write(0x14, 3)
    assert device.rung == [3]
    assert [type(fault) for fault in device.faults] == [dma.TranslationFaultError]


def test_an_interrupt_has_two_steps() -> None:
    device, log = Device(), []
    assert device.interrupt.request() is False
    device.interrupt.connect(
        lambda: bool(log.append("isr") or device.plain), lambda: log.append("dpc")
    )
    assert device.interrupt.request() is True
    device.plain = 0
    assert device.interrupt.request() is False
    assert log == ["isr", "dpc", "isr"]
    assert (device.interrupt.requests, device.interrupt.claimed) == (3, 1)


def test_memory_is_what_the_enabler_maps() -> None:
    device, enabler = Device(), dma.Enabler(membuf.Object(name="device"))
    device.attach(enabler)
    common = enabler.common_buffer(100)
    device.write_memory(common.logical_address + 10, b"abc")
    assert device.read_memory(common.logical_address + 9, 5) == b"\0abc\0"
    with pytest.raises(dma.TranslationFaultError):
        device.write_memory(common.logical_address + 98, b"abc")
