"""Enablers, common buffers, backends, power, verification."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import membuf
import membuf.dma as dma
from membuf.dma.common_buffer import distance, raw_length
from tests.dma import driver, mdl_of

READ, WRITE = dma.READ_FROM_DEVICE, dma.WRITE_TO_DEVICE


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"profile": 0}, "INVALID_PARAMETER"),
        ({"profile": 7}, "INVALID_PARAMETER"),
        ({"profile": 9}, "INVALID_PARAMETER"),
        ({"maximum_length": 0}, "INVALID_PARAMETER"),
        ({"maximum_length": 1 << 32}, "INVALID_PARAMETER"),
        ({"address_width": 64}, "INVALID_PARAMETER"),
        ({"address_width": 23}, "UNSUCCESSFUL"),
        ({"address_width": 33, "profile": dma.SCATTER_GATHER}, "INVALID_PARAMETER"),
        ({"address_width": 40, "dma_version": 2}, "INVALID_PARAMETER"),
        ({"dma_version": 1}, "INVALID_PARAMETER"),
        ({"dma_version": 4}, "INVALID_PARAMETER"),
        ({"single_transfer": True, "dma_version": 2}, "INVALID_PARAMETER"),
        ({"map_registers": 1}, "INVALID_PARAMETER"),
        ({"parent": membuf.Object(name="elsewhere")}, "WDF_OBJECT_ATTRIBUTES_INVALID"),
        ({"backend": "cuda"}, "UNSUCCESSFUL"),
        ({"backend": "vfio"}, "UNSUCCESSFUL"),
        ({"backend": "no such"}, "UNSUCCESSFUL"),
    ],
    ids=str,
)
def test_what_an_enabler_is_not_made_with(options: dict[str, Any], status: str) -> None:
    with pytest.raises(membuf.MembufError) as raised:
        driver(**options)
    assert raised.value.status.name == f"STATUS_{status}"


@pytest.mark.parametrize("name", ["cuda", "vfio", "iommufd", "vhost-user", "io_uring", "pagemap"])
def test_a_backend_that_is_missing_says_so(name: str) -> None:
    with pytest.raises(dma.BackendNotAvailableError, match="backend not available"):
        driver(backend=name)


def test_the_derived_numbers() -> None:
    enabler = driver(maximum_length=65536, map_registers=16).enabler
    assert enabler.fragment_length(READ) == enabler.fragment_length(WRITE) == 61440
    assert (enabler.fragment_length(7), enabler.maximum_length) == (0, 65536)
    assert driver(maximum_length=65536).enabler.map_registers == 17
    assert driver(maximum_length=1).enabler.map_registers == 2


def test_the_parent_may_be_a_descendant_of_the_device() -> None:
    device = membuf.Object(name="device")
    child = membuf.Object(name="child", parent=device)
    assert dma.Enabler(device, parent=child).parent is child


def test_no_elements_at_all_is_no_limit(caplog: pytest.LogCaptureFixture) -> None:
    enabler = driver(maximum_elements=7).enabler
    with caplog.at_level(logging.WARNING, "membuf.dma"):
        enabler.set_maximum_elements(0)
    assert (enabler.maximum_elements, "ignored" in caplog.text) == (7, True)
    enabler.set_maximum_elements(1 << 40)
    assert enabler.maximum_elements == dma.UNLIMITED


def test_deleting_an_enabler_deletes_what_is_below() -> None:
    made = driver()
    common = made.enabler.common_buffer(100)
    t = made.start(mdl_of((0, 100)))
    made.device.delete()
    assert common.deleted
    assert t.deleted
    with pytest.raises(membuf.ObjectDeletedError):
        common.logical_address  # noqa: B018


@pytest.mark.parametrize(
    ("options", "order"),
    [
        ({}, ["t", "enabler"]),
        ({"preallocate": False}, ["enabler", "t"]),
        ({"profile": dma.PACKET}, ["enabler", "t"]),
    ],
)
def test_an_enabler_outlives_the_lists_of_its_transactions(
    options: dict[str, Any], order: list[str]
) -> None:
    log: list[str] = []
    device = membuf.Object(name="device")
    enabler = dma.Enabler(device, on_destroy=lambda _: log.append("enabler"), **options)
    t = dma.Transaction(enabler, on_destroy=lambda _: log.append("t"))
    t.reference()
    enabler.delete()
    t.dereference()
    assert log == order


# ---- common buffers ------------------------------------------------------------------------------


def test_a_common_buffer_shows_both_sides_the_same_bytes() -> None:
    enabler = driver().enabler
    before = enabler.common_buffer(5000)
    common = enabler.common_buffer(100000, alignment=65536)
    assert (before.logical_address % 4096, before.address % 4096) == (0, 0)
    assert (common.logical_address % 65536, common.length) == (0, 100000)
    assert (common.address - common.logical_address) % 4096 == 0
    assert set(common.buffer) == {0}
    common.buffer[99999] = 7
    assert enabler.translate(common.logical_address + 99999)[0] == 7
    enabler.translate(common.logical_address, 3, "write")[:] = b"abc"
    assert bytes(common.buffer[:3]) == b"abc"


def test_the_vector_of_alignment() -> None:
    assert raw_length(100000, 0xFFFF) == 165535
    moved = distance(0x13000, 0xFFFF)
    assert (0x13000 + moved, 0x7F0000005000 + moved) == (0x20000, 0x7F0000012000)
    assert (raw_length(100000, 4095), distance(0x13000, 4095)) == (100000, 0)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((0,), "INVALID_PARAMETER"),
        ((100, 3), "INVALID_PARAMETER"),
        ((100, 0), "INVALID_PARAMETER"),
        ((1 << 32,), "INSUFFICIENT_RESOURCES"),
        ((0xFFFFFFFF - 4095,), "INSUFFICIENT_RESOURCES"),
        ((0xFFFFF000 - 65536, 65536 * 2), "INSUFFICIENT_RESOURCES"),
    ],
)
def test_common_buffers_that_are_refused(arguments: tuple[int, ...], status: str) -> None:
    with pytest.raises(membuf.MembufError) as raised:
        driver().enabler.common_buffer(*arguments)
    assert raised.value.status.name == f"STATUS_{status}"


def test_common_buffers_of_a_32_bit_device_lie_low() -> None:
    for backend in ("sim", "self"):
        common = driver(profile=dma.SCATTER_GATHER, backend=backend).enabler.common_buffer(9000)
        assert common.logical_address + 9000 <= 1 << 32


def test_only_list_profiles_follow_the_device_alignment() -> None:
    assert driver(alignment_mask=63).enabler.alignment_mask == 63
    assert driver(alignment_mask=63, profile=dma.PACKET).enabler.alignment_mask == 0


def test_a_view_outlives_its_common_buffer() -> None:
    common = driver().enabler.common_buffer(100)
    view = common.buffer
    view[:3] = b"abc"
    common.delete()
    assert bytes(view[:3]) == b"abc"


# ---- what the device may touch -------------------------------------------------------------------


def fault(made: Any, address: int, length: int = 1, access: Any = None) -> str:
    """The message of a translation fault."""
    with pytest.raises(dma.TranslationFaultError, match="translation fault") as raised:
        made.enabler.translate(address, length, access)
    assert raised.value.operands["address"] == address
    return str(raised.value)


def test_a_device_stays_inside_its_list() -> None:
    made = driver()
    t = made.start(mdl_of((0x800, 5000)))
    name = f"transaction {id(t):#x}"
    (first, length), (second, _) = made.transfers[0]
    assert bytes(made.enabler.translate(first, length, "read")) == bytes(length)
    assert made.enabler.translate(first, 1).readonly
    for address, count in (
        (first - 1, 1),
        (first, length + 1),
        (second - 1, 1),
        (second + 2952, 1),
    ):
        assert name in fault(made, address, count)
    assert "to read" in fault(made, first, 1, "write")
    t.completed()
    assert f"{name} has ended" in fault(made, first)
    assert "nothing is mapped" in fault(made, 0x5000)


def test_a_device_reads_nothing_where_it_is_to_write() -> None:
    made = driver()
    made.start(mdl_of((0, 100)), READ)
    address = made.transfers[0][0].address
    assert "to write" in fault(made, address, 1, "read")
    made.enabler.translate(address, 4, "write")[:] = b"abcd"


def test_between_transfers_only_the_present_one_is_open() -> None:
    made = driver(maximum_length=4096)
    t = made.start(mdl_of((0, 8192)))
    first = made.transfers[0][0].address
    t.completed()
    assert "outside the transfer" in fault(made, first)
    made.enabler.translate(made.transfers[1][0].address, 4096, "read")


def test_addresses_are_reproducible_and_used_again_late() -> None:
    def addresses() -> list[int]:
        made, found = driver(), []
        for _ in range(3):
            made.start(mdl_of((0, 4096)))
            made.finish()
            made.t.release()
            found.append(made.transfers[-1][0].address)
        return found

    assert addresses() == addresses()
    assert len(set(addresses())) == 3


def test_a_small_window_is_used_again_and_then_full() -> None:
    sim = dma.Sim((1 << 32, (1 << 32) + 8 * 4096))
    made = driver(backend=sim, map_registers=100)
    held = [made.enabler.transaction() for _ in range(8)]
    for t in held:
        t.initialize(print, WRITE, mdl_of((0, 4096)))
    with pytest.raises(membuf.InsufficientResourcesError):
        made.t.initialize(print, WRITE, mdl_of((0, 4096)))
    held[3].release()
    made.t.initialize(print, WRITE, mdl_of((0, 4096)))


@pytest.mark.parametrize("window", [(0, 4096), (1 << 32, 1 << 32), ((1 << 32) + 1, 1 << 40)])
def test_a_window_begins_at_a_page(window: tuple[int, int]) -> None:
    with pytest.raises(membuf.InvalidParameterError):
        dma.Sim(window)


def test_the_self_backend_has_virtual_addresses() -> None:
    made, mdl = driver(backend="self"), mdl_of((0x123, 9000), fill=5)
    made.start(mdl)
    assert made.transfers[0] == ((mdl.address, 9000),)
    assert bytes(made.enabler.translate(mdl.address, 9000, "read")) == b"\x05" * 9000
    assert "nothing is mapped" in fault(made, 0x1000)
    assert made.enabler.guarantees == frozenset()
    common = made.enabler.common_buffer(100)
    assert common.address == common.logical_address


def test_nothing_is_claimed_but_synthetic_addresses() -> None:
    assert driver().enabler.guarantees == {"synthetic"}


def test_a_backend_of_ones_own_fills_the_seam() -> None:
    class Counting(dma.Sim):
        name = "counting"
        guarantees = frozenset({"pinned"})
        attached = 0

        def attach(self, *arguments: Any, **options: Any) -> dma.Window:
            self.attached += 1
            return super().attach(*arguments, **options)

        def detach(self, window: dma.Window) -> None:
            self.attached -= 1
            super().detach(window)

    backend = Counting()
    made = driver(backend=backend)
    made.start(mdl_of((0, 100), (0, 100)))
    assert (backend.attached, made.enabler.guarantees) == (2, {"pinned"})
    made.finish()
    assert backend.attached == 0


# ---- power ---------------------------------------------------------------------------------------

STEPS = ("fill", "enable", "self_managed_io_start", "self_managed_io_stop", "disable", "flush")


def powered(*failing: str) -> tuple[dma.Enabler, list[str]]:
    """An enabler whose power callbacks log, and fail by name."""
    log: list[str] = []

    def step(name: str) -> Any:
        def run(_: Any) -> None:
            log.append(name)
            if name in failing:
                raise membuf.InvalidDeviceStateError(name)

        return run

    power = dma.PowerCallbacks(**{name: step(name) for name in STEPS})
    return driver(power=power).enabler, log


@pytest.mark.parametrize(
    ("failing", "up", "down"),
    [
        ((), STEPS[:3], STEPS[3:]),
        (("fill",), STEPS[:1], STEPS[3:4]),
        (("enable",), STEPS[:2], STEPS[3:5]),
        (("self_managed_io_start",), STEPS[:3], STEPS[3:]),
        (("disable", "flush"), STEPS[:3], STEPS[3:]),
    ],
)
def test_the_order_of_power_callbacks(
    failing: tuple[str, ...], up: tuple[str, ...], down: tuple[str, ...]
) -> None:
    enabler, log = powered(*failing)
    ends = []
    for call in (enabler.power_up, enabler.power_down):
        try:
            call()
            ends.append(None)
        except membuf.InvalidDeviceStateError as error:
            ends.append(str(error))
    assert tuple(log) == (*up, *down)
    assert ends == [
        next((name for name in failing if name in up), None),
        next((name for name in failing if name in down), None),
    ]


def test_a_device_that_starts_and_stops_calls_them() -> None:
    class Device(membuf.Object):
        def add_power_callbacks(self, up: Any, down: Any) -> None:
            self.start, self.stop = up, down

    device, log = Device(name="device"), []
    power = dma.PowerCallbacks(
        fill=lambda _: log.append("fill"), flush=lambda _: log.append("flush")
    )
    enabler = dma.Enabler(device, power=power)
    device.start()
    device.stop()
    enabler.delete()
    device.start()
    assert log == ["fill", "flush"]


# ---- verification --------------------------------------------------------------------------------


def kind_of_violation(made: Any) -> int:
    """The first parameter of bug check 0xE6 that deleting the enabler comes to."""
    with pytest.raises(membuf.InvalidDeviceStateError) as raised:
        made.enabler.delete()
    assert raised.value.bugcheck is not None
    assert raised.value.bugcheck[0] == 0xE6
    return raised.value.bugcheck[1]


def test_the_verifier_finds_memory_that_is_mapped_twice() -> None:
    made, mdl = driver(verifier=True), mdl_of((0, 8192))
    mdl.lock()
    made.start(mdl)
    other, part = made.enabler.transaction(), mdl.partial(4096)
    with pytest.raises(membuf.InvalidDeviceStateError) as raised:
        other.initialize(print, WRITE, part)
    assert raised.value.bugcheck is not None
    assert raised.value.bugcheck[:2] == (0xE6, 0x1D)
    assert other.state.name == "CREATED"
    made.finish()
    other.initialize(print, WRITE, part)
    other.release()
    mdl.unlock()


def test_the_verifier_finds_what_is_outstanding() -> None:
    mdl = mdl_of((0, 100))
    mdl.lock()
    buffers, lists, registers, reserved = (
        driver(verifier=True, profile=profile)
        for profile in (dma.SCATTER_GATHER_64, dma.SCATTER_GATHER_64, dma.PACKET_64, dma.PACKET_64)
    )
    common = buffers.enabler.common_buffer(100)
    lists.start(mdl)
    registers.start(mdl)
    reserved.t.allocate_resources(WRITE, 2, lambda *_: None)
    found = [kind_of_violation(made) for made in (buffers, lists, registers, reserved)]
    assert found == [0x07, 0x0A, 0x09, 0x09]
    common.delete()
    lists.finish()
    registers.finish()
    reserved.t.free_resources()
    for made in (buffers, lists, registers, reserved):
        made.enabler.delete()
    mdl.unlock()
