"""Transactions: order of checks, completions, waits for map registers, cancels, bounce buffers."""

from __future__ import annotations

import mmap
import sys
from typing import Any

import pytest

import membuf
import membuf.dma as dma
from tests.dma import PAGE, Driver, driver, mdl_of

READ, WRITE = dma.READ_FROM_DEVICE, dma.WRITE_TO_DEVICE


def status_of(call: Any, *arguments: Any) -> str:
    """The status a call ends with."""
    with pytest.raises(membuf.MembufError) as raised:
        call(*arguments)
    return str(raised.value.status.name).removeprefix("STATUS_")


# ---- initialisation ------------------------------------------------------------------------------


def test_what_an_initialisation_refuses_changes_nothing() -> None:
    t, mdl = driver().t, mdl_of((0x10, 5000))
    run = print
    assert status_of(t.initialize, run, WRITE, mdl, mdl.address, 0) == "INVALID_PARAMETER"
    assert status_of(t.initialize, run, 2, mdl) == "INVALID_PARAMETER"
    assert status_of(t.initialize, run, WRITE, mdl, mdl.address + 5000, 1) == "INVALID_PARAMETER"
    assert status_of(t.initialize, run, WRITE, mdl, mdl.address - 1, 1) == "INVALID_PARAMETER"
    assert status_of(t.initialize_using_offset, run, WRITE, mdl, 5000, 1) == "INVALID_PARAMETER"
    assert t.state.name == "CREATED"


@pytest.mark.parametrize("arguments", [(None, mdl_of((0, 10))), (print, None)])
def test_a_callback_or_mdl_that_is_missing_stops(arguments: tuple[Any, Any]) -> None:
    program, mdl = arguments
    with pytest.raises(membuf.InvalidParameterError) as raised:
        driver().t.initialize(program, WRITE, mdl)
    assert raised.value.bugcheck == (0x10D, 4, 0, 0, 0)


def test_parameters_are_checked_before_the_state() -> None:
    made = driver()
    t = made.start(mdl_of((0, 100)))
    assert status_of(t.initialize, print, 2, mdl_of((0, 100))) == "INVALID_PARAMETER"


def test_a_chain_that_is_too_short_is_refused() -> None:
    t, mdl = driver().t, mdl_of((0, 100), (0, 50))
    assert status_of(t.initialize, print, WRITE, mdl, mdl.address, 151) == "BUFFER_TOO_SMALL"
    assert t.state.name == "RELEASED"
    t.initialize(print, WRITE, mdl, mdl.address, 150)


def test_a_packet_device_takes_chains_with_version_3_only() -> None:
    old = driver(profile=dma.PACKET_64, dma_version=2).t
    new = driver(profile=dma.PACKET_64).t
    assert status_of(old.initialize, print, WRITE, mdl_of((0, 10), (0, 10))) == "INVALID_PARAMETER"
    old.initialize(print, WRITE, mdl_of((0, 10), (0, 10)), length=10)
    new.initialize(print, WRITE, mdl_of((0, 10), (0, 10)))


def test_a_device_does_not_write_into_read_only_memory() -> None:
    t = driver().t
    assert status_of(t.initialize, print, READ, membuf.Mdl(b"abc")) == "ACCESS_VIOLATION"
    t.initialize(print, WRITE, membuf.Mdl(b"abc"))


def test_the_verifier_wants_locked_pages() -> None:
    t, mdl = driver(verifier=True).t, mdl_of((0, 100))
    with pytest.raises(membuf.InvalidDeviceStateError) as raised:
        t.initialize(print, WRITE, mdl)
    assert raised.value.bugcheck is not None
    assert raised.value.bugcheck[:2] == (0xE6, 0x0E)
    mdl.lock()
    t.initialize(print, WRITE, mdl)
    t.release()
    mdl.unlock()


@pytest.mark.parametrize(("version", "info"), [(3, (4, 4)), (2, (4, 4))])
def test_transfer_info_counts_pages(version: int, info: tuple[int, int]) -> None:
    t = driver(dma_version=version).t
    t.initialize(print, WRITE, mdl_of((0xF00, 100), (0x10, 5000), (0, 4096)))
    assert t.transfer_info() == info


def test_transfer_info_of_version_3_counts_neighbours_as_one() -> None:
    t = driver(backend="self").t
    t.initialize(print, WRITE, mdl_of((0xF00, 100), (0x10, 5000), (0, 4096)))
    assert t.transfer_info() == (4, 3)


# ---- completion ----------------------------------------------------------------------------------


def test_a_length_beyond_the_transfer_fails_and_counts_nothing() -> None:
    made = driver()
    t = made.start(mdl_of((0, 131072)))
    assert t.completed_with_length(60000) is False
    assert status_of(t.completed_with_length, 65537) == "INVALID_PARAMETER"
    assert (t.state.name, t.bytes_transferred, t.current_length) == ("TRANSFER_FAILED", 60000, 0)


def test_a_final_completion_ends_it_early() -> None:
    made = driver()
    t = made.start(mdl_of((0, 131072)))
    assert t.completed_final(100) is True
    assert (t.state.name, t.bytes_transferred) == ("TRANSFER_COMPLETED", 100)
    assert made.lengths == [65536]


def test_a_driver_that_gives_up_completes_nothing() -> None:
    made = driver()
    t = made.start(mdl_of((0, 100)))
    assert t.completed_final(0) is True
    assert t.bytes_transferred == 0


def test_10000_transfers_completed_at_once_take_no_stack() -> None:
    depths: set[int] = set()
    made = driver(maximum_length=PAGE)

    def depth() -> int:
        frame, count = sys._getframe(), 0
        while frame.f_back is not None:
            frame, count = frame.f_back, count + 1
        return count

    def program(t: dma.Transaction, *_: Any) -> None:
        depths.add(depth())
        made.log.append(t.current_length)
        t.completed()

    made.t.initialize(program, WRITE, mdl_of((0, 10_000 * PAGE)))
    made.t.execute()
    assert made.t.state.name == "TRANSFER_COMPLETED"
    assert made.log == [PAGE] * 10_000
    assert len(depths) == 1


def test_transactions_that_wait_for_each_other_take_no_stack() -> None:
    made = driver(maximum_length=PAGE)
    depths: set[int] = set()

    def program(t: dma.Transaction, *_: Any) -> None:
        frame, count = sys._getframe(), 0
        while frame.f_back is not None:
            frame, count = frame.f_back, count + 1
        depths.add(count)
        t.completed()

    first = made.start(mdl_of((0, PAGE)))
    waiting = [made.enabler.transaction() for _ in range(2000)]
    for t in waiting:
        t.initialize(program, WRITE, mdl_of((1, PAGE)))
        t.execute()
    assert made.enabler.statistics().waiting == 2000
    first.completed()
    assert {t.state.name for t in waiting} == {"TRANSFER_COMPLETED"}
    assert len(depths) == 1


def test_a_callback_may_complete_and_delete() -> None:
    made = driver()

    def program(t: dma.Transaction, *_: Any) -> None:
        assert t.completed()
        t.delete()

    made.t.initialize(program, WRITE, mdl_of((0, 100)))
    made.t.execute()
    assert made.t.deleted


def test_a_callback_may_complete_and_start_it_anew() -> None:
    made, again = driver(), mdl_of((0, 100))

    def program(t: dma.Transaction, device: Any, context: int, *_: Any) -> None:
        made.log.append(context)
        t.completed()
        t.release()
        if context:
            t.initialize(program, WRITE, again)
            t.execute(context - 1)

    made.t.initialize(program, WRITE, again)
    made.t.execute(3000)
    assert made.log == list(range(3000, -1, -1))


def test_a_callback_that_raises_fails_the_transaction() -> None:
    made = driver()

    def program(*_: Any) -> None:
        raise KeyError("broken")

    made.t.initialize(program, WRITE, mdl_of((0, 100)))
    with pytest.raises(KeyError):
        made.t.execute()
    assert made.t.state.name == "TRANSFER_FAILED"
    assert made.enabler.statistics().free_map_registers == 17


def test_a_late_callback_that_raises_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    made = driver(profile=dma.PACKET_64)

    def program(*_: Any) -> None:
        raise KeyError("broken")

    first = made.start(mdl_of((1, 65536)))
    second, third = made.enabler.transaction(), made.enabler.transaction()
    second.initialize(program, WRITE, mdl_of((0, 100)))
    second.execute()
    third.allocate_resources(WRITE, 2, program)
    assert first.completed()
    assert second.state.name == "TRANSFER_FAILED"
    assert [type(one.exc_value) for one in reported] == [KeyError, KeyError]
    third.free_resources()
    assert made.enabler.statistics().free_map_registers == 17


def test_a_second_completion_of_one_transfer_stops() -> None:
    made = driver(maximum_length=PAGE)
    seen: list[Any] = []

    def program(t: dma.Transaction, *_: Any) -> None:
        if not seen:
            seen.append(t.completed())
            with pytest.raises(membuf.InvalidDeviceStateError) as raised:
                t.completed()
            seen.append(raised.value.bugcheck)

    made.t.initialize(program, WRITE, mdl_of((0, 2 * PAGE)))
    made.t.execute()
    assert seen == [False, (0x10D, 8, id(made.t), 4, 0)]
    made.t.completed()


# ---- maximum lengths and single transfers --------------------------------------------------------


@pytest.mark.parametrize(("maximum", "first"), [(10000, 10000), (100000, 65536), (0, 65536)])
def test_a_maximum_length_holds_until_the_release(maximum: int, first: int) -> None:
    made, mdl = driver(), mdl_of((0, 131072))
    made.t.initialize(made.program, WRITE, mdl)
    made.t.set_maximum_length(maximum)
    made.t.execute()
    made.t.completed_final(0)
    made.t.release()
    made.start(mdl)
    assert made.lengths == [first, 65536]


def test_a_single_transfer_counts_the_real_elements() -> None:
    scattered = driver(single_transfer=True, maximum_elements=4)
    together = driver(single_transfer=True, maximum_elements=4, backend=dma.Sim(scatter=False))
    mdl = mdl_of((0, 65536))
    assert status_of(scattered.t.initialize, print, WRITE, mdl) == "WDF_TOO_FRAGMENTED"
    together.start(mdl)
    assert together.counts == [1]


def test_a_single_transfer_ignores_the_fragment_length() -> None:
    made = driver(single_transfer=True, map_registers=16)
    made.start(mdl_of((0, 65536)))
    assert made.lengths == [65536]
    assert status_of(driver(single_transfer=True).t.initialize, print, WRITE,
                     mdl_of((0, 65537))) == "WDF_TOO_MANY_TRANSFERS"  # fmt: skip
    few = driver(single_transfer=True, map_registers=15)
    assert status_of(few.t.initialize, print, WRITE, mdl_of((0, 65536))) == (
        "WDF_NOT_ENOUGH_MAP_REGISTERS"
    )


@pytest.mark.parametrize("final", [False, True])
def test_a_single_transfer_that_falls_short_fails(final: bool) -> None:
    made = driver(single_transfer=True)
    t = made.start(mdl_of((0, 65536)))
    call = t.completed_final if final else t.completed_with_length
    assert status_of(call, 60000) == "WDF_TOO_MANY_TRANSFERS"
    assert (t.state.name, t.bytes_transferred) == ("TRANSFER_FAILED", 60000)


def test_the_requirement_can_be_made_for_one_transaction() -> None:
    made = driver(maximum_length=PAGE)
    made.t.set_single_transfer(True)
    assert status_of(made.t.initialize, print, WRITE, mdl_of((0, 8192))) == "WDF_TOO_MANY_TRANSFERS"
    made.t.initialize(print, WRITE, mdl_of((0, 8192)))


def test_a_single_transfer_over_memory_that_is_known_to_be_contiguous() -> None:
    class Huge(membuf.Mdl):
        """As over one reserved huge page."""

        @property
        def guarantees(self) -> frozenset[str]:
            return frozenset({"resident", "contiguous"})

    made = driver(single_transfer=True, maximum_elements=4)
    made.start(Huge(mmap.mmap(-1, 65536)))
    assert made.counts == [1]


# ---- map registers -------------------------------------------------------------------------------


def two(**options: Any) -> tuple[Driver, dma.Transaction, dma.Transaction]:
    """A transaction that holds all map registers, and another one that is initialised."""
    made = driver(**options)
    first = made.start(mdl_of((1, 65536)))
    second = made.enabler.transaction()
    second.initialize(made.program, WRITE, mdl_of((1, 65536)))
    return made, first, second


@pytest.mark.parametrize("profile", [dma.SCATTER_GATHER_64, dma.PACKET_64, dma.SCATTER_GATHER])
def test_who_finds_no_map_registers_waits(profile: int) -> None:
    made, first, second = two(profile=profile)
    second.execute()
    assert (second.state.name, len(made.transfers)) == ("TRANSFER", 1)
    first.completed()
    assert len(made.transfers) == 2
    assert second.completed()
    assert made.enabler.statistics().free_map_registers == 17


def test_immediate_execution_does_not_wait() -> None:
    made, first, second = two()
    second.set_immediate_execution(True)
    assert status_of(second.execute) == "INSUFFICIENT_RESOURCES"
    assert (second.state.name, len(made.transfers)) == ("TRANSFER_FAILED", 1)
    first.completed()
    assert len(made.transfers) == 1


def test_a_wait_can_be_cancelled() -> None:
    made, first, second = two()
    second.execute()
    assert second.cancel() is True
    assert second.state.name == "TRANSFER_FAILED"
    assert first.cancel() is False
    first.completed()
    assert len(made.transfers) == 1
    assert made.enabler.statistics().free_map_registers == 17


def test_turns_come_in_the_order_of_waiting() -> None:
    made, first, second = two()
    third = made.enabler.transaction()
    third.initialize(made.program, WRITE, mdl_of((0, 100)))
    second.execute("second")
    third.execute("third")
    assert made.enabler.statistics().waiting == 2
    first.completed()
    assert made.lengths == [65536, 65536]
    second.completed()
    assert made.lengths == [65536, 65536, 100]


def test_the_directions_of_a_duplex_device_do_not_wait_for_each_other() -> None:
    made, _, second = two(profile=dma.SCATTER_GATHER_64_DUPLEX)
    second.release()
    second.initialize(made.program, READ, mdl_of((1, 65536)))
    second.execute()
    assert len(made.transfers) == 2


def test_a_reservation_is_used_and_kept_over_a_release() -> None:
    made = driver(profile=dma.PACKET_64)
    t, adapter = made.t, made.enabler.adapter(WRITE)
    t.allocate_resources(WRITE, 4, lambda t, context: made.log.append(context), "reserved")
    assert (made.log, adapter.free) == (["reserved"], 13)
    made.start(mdl_of((0x123, 50000)))
    made.finish()
    t.release()
    assert adapter.free == 13
    t.free_resources()
    assert adapter.free == 17


def test_a_reservation_may_wait_and_be_cancelled() -> None:
    made, first, second = two(profile=dma.PACKET_64)
    second.allocate_resources(WRITE, 4, lambda *_: made.log.append("reserved"))
    assert (second.state.name, made.log) == ("RESERVED", [])
    assert second.cancel() is True
    assert second.state.name == "TRANSFER_FAILED"
    second.release()
    second.allocate_resources(WRITE, 4, lambda *_: made.log.append("reserved"))
    first.completed()
    assert made.log == ["reserved"]
    assert second.cancel() is False


def test_reservations_that_are_refused() -> None:
    listed, packet = driver().t, driver(profile=dma.PACKET_64).t
    assert status_of(listed.allocate_resources, WRITE, 1, print) == "INVALID_DEVICE_REQUEST"
    assert status_of(packet.allocate_resources, WRITE, 18, print) == "INSUFFICIENT_RESOURCES"
    assert packet.state.name == "TRANSFER_FAILED"


def test_a_packet_device_of_version_2_has_one_transaction_at_a_time() -> None:
    made = driver(profile=dma.PACKET_64, dma_version=2)
    made.start(mdl_of((0, 100)))
    other = made.enabler.transaction()
    other.initialize(print, WRITE, mdl_of((0, 100)))
    assert status_of(other.execute) == "WDF_BUSY"
    assert other.state.name == "TRANSFER_FAILED"
    made.finish()
    other.release()
    other.initialize(made.program, WRITE, mdl_of((0, 100)))
    other.execute()
    assert len(made.transfers) == 2


# ---- bounce buffers ------------------------------------------------------------------------------


def device_write(made: Driver, data: bytes) -> None:
    """Let the device fill the elements of the last transfer."""
    for address, length in made.transfers[-1]:
        made.enabler.translate(address, length, "write")[:] = data[:length]
        data = data[length:]


def device_read(made: Driver) -> bytes:
    """What the device sees in the elements of the last transfer."""
    return b"".join(
        bytes(made.enabler.translate(address, length, "read"))
        for address, length in made.transfers[-1]
    )


BOUNCING = [
    {"profile": dma.SCATTER_GATHER},
    {"profile": dma.PACKET},
    {"profile": dma.PACKET_64},
    {"profile": dma.SCATTER_GATHER_64, "address_width": 30},
    {"profile": dma.SCATTER_GATHER, "backend": "self"},
    {"profile": dma.PACKET, "backend": "self"},
]


@pytest.mark.parametrize("options", BOUNCING, ids=str)
def test_a_device_that_reaches_only_low_memory(options: dict[str, Any]) -> None:
    made, mdl = driver(**options), mdl_of((0x10, 5000), (0, 3192), fill=0x41)
    limit = 1 << options.get("address_width", 32 if options["profile"] != dma.PACKET_64 else 64)
    made.start(mdl)
    assert device_read(made) == b"\x41" * 8192
    assert max(address + length for address, length in made.transfers[-1]) <= limit
    made.finish()
    made.t.release()
    made.start(mdl, READ)
    device_write(made, bytes(i % 251 for i in range(8192)))
    assert set(mdl.buffer) == {0x41}
    made.finish()
    assert b"".join(mdl.iovecs()) == bytes(i % 251 for i in range(8192))
    assert made.enabler.statistics().bounced_bytes == 16384


def test_a_list_is_flushed_whole_and_a_packet_by_what_was_completed() -> None:
    for profile, kept in ((dma.SCATTER_GATHER, 0), (dma.PACKET, 8092)):
        made, mdl = driver(profile=profile), mdl_of((0, 8192), fill=0x41)
        made.start(mdl, READ)
        device_write(made, b"\x42" * 8192)
        made.t.completed_final(100)
        assert mdl.buffer.tolist().count(0x41) == kept


def test_what_the_device_leaves_alone_comes_back_as_it_was() -> None:
    made, mdl = driver(profile=dma.SCATTER_GATHER), mdl_of((0, 8192), fill=0x41)
    made.start(mdl, READ)
    made.finish()
    assert set(mdl.buffer) == {0x41}


def test_a_repeated_transfer_bounces_at_the_same_address() -> None:
    made = driver(profile=dma.SCATTER_GATHER, maximum_length=PAGE)
    t = made.start(mdl_of((0, 8192)))
    assert t.completed_with_length(0) is False
    assert made.transfers[0] == made.transfers[1]


def test_what_breaks_the_alignment_of_the_device_bounces() -> None:
    made = driver(alignment_mask=15)
    made.start(mdl_of((8, 100), (16, 100)))
    assert [address % 16 for address, _ in made.transfers[0]] == [0, 0]
    assert made.enabler.statistics().bounced_bytes == 100


def test_memory_that_cannot_be_mapped_bounces() -> None:
    class Own(dma.Sim):
        def attach(self, memory: memoryview, address: int, **options: Any) -> dma.Window:
            if options.get("below") is None:
                raise dma.CannotMapError("only my own memory")
            return super().attach(memory, address, **options)

    made = driver(backend=Own())
    made.start(mdl_of((0x20, 5000), fill=7))
    assert device_read(made) == b"\x07" * 5000
    made.finish()
    assert made.enabler.statistics().bounced_bytes == 5000
