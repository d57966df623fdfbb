"""Cases of DMA that the framework's names are held against; the core's own tests hold the rest."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import membuf
import membuf.dma as dma
from membuf import wdf
from membuf.request.device import Device
from tests.conformance.cases import case
from tests.conformance.dma_world import (
    INVALID,
    OK,
    PACKET,
    READ,
    SG,
    WRITE,
    World,
    locked,
    stopped,
    world,
)
from tests.dma import mdl_of

# ---- creation ------------------------------------------------------------------------------------


@case("P52")
def test_the_size_of_a_configuration_is_checked_before_its_contents() -> None:
    with world() as w:
        assert w.create(SG, 0, Size=4) == wdf.STATUS_INFO_LENGTH_MISMATCH
        with stopped(0x10D, 4):
            wdf.WdfDmaEnablerCreate(w.device, None, None)
        with stopped(0x10D, 5):
            wdf.WdfDmaEnablerCreate(w.driver, w.config(), None)


@case("P53")
def test_profiles_and_lengths_that_are_refused() -> None:
    with world() as w:
        assert [w.create(profile) for profile in (0, 7, 8, 9)] == [INVALID] * 4
        assert w.create(SG, 0) == INVALID
        assert w.create(SG, 1 << 32) == INVALID
        assert [w.create(profile) for profile in range(1, 7)] == [OK] * 6


@case("R3.2-width")
def test_address_widths() -> None:
    with world() as w:
        assert w.create(SG, AddressWidthOverride=64) == INVALID
        assert w.create(SG, AddressWidthOverride=23) == wdf.STATUS_UNSUCCESSFUL
        assert w.create(wdf.WdfDmaProfilePacket, AddressWidthOverride=33) == INVALID
        assert w.create(SG, AddressWidthOverride=40, WdmDmaVersionOverride=2) == INVALID
        flag = wdf.WDF_DMA_ENABLER_CONFIG_REQUIRE_SINGLE_TRANSFER
        assert w.create(SG, WdmDmaVersionOverride=2, Flags=flag) == INVALID
        assert w.create(SG, AddressWidthOverride=40, Flags=flag) == OK


@case("P55")
def test_the_parent_is_below_the_device() -> None:
    with world() as w:
        other = Device("other", parent=w.driver)
        attributes = wdf.WDF_OBJECT_ATTRIBUTES()
        wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
        attributes.ParentObject = other
        assert w.create(attributes=attributes, Size=4) == wdf.STATUS_WDF_OBJECT_ATTRIBUTES_INVALID
        attributes.ParentObject = membuf.Object(parent=w.device)
        assert w.create(attributes=attributes) == OK
        assert w.enabler.parent is attributes.ParentObject


@case("P56")
def test_the_derived_numbers() -> None:
    with world() as w:
        w.equip(maximum_length=65536, map_registers=16)
        assert wdf.WdfDmaEnablerGetFragmentLength(w.enabler, READ) == 61440
        assert wdf.WdfDmaEnablerGetMaximumLength(w.enabler) == 65536
        assert wdf.WdfDmaEnablerGetFragmentLength(w.enabler, 7) == 0


@case("P58")
def test_the_parent_of_a_transaction_or_common_buffer_is_the_enabler() -> None:
    with world() as w:
        w.create()
        attributes = wdf.WDF_OBJECT_ATTRIBUTES()
        wdf.WDF_OBJECT_ATTRIBUTES_INIT(attributes)
        attributes.ParentObject = w.device
        refused = wdf.STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED
        assert wdf.WdfDmaTransactionCreate(w.enabler, attributes) == (refused, None)
        assert wdf.WdfCommonBufferCreate(w.enabler, 100, attributes) == (refused, None)


# ---- initialisation ------------------------------------------------------------------------------


@case("P59")
def test_what_an_initialisation_refuses() -> None:
    with world() as w:
        w.create()
        mdl = mdl_of((0x10, 5000))
        assert w.initialize(mdl, 0) == INVALID
        beyond = mdl.address + 5000
        initialize = wdf.WdfDmaTransactionInitialize
        assert initialize(w.t, w.program, WRITE, mdl, beyond, 1) == INVALID
        assert w.initialize(mdl, direction=2) == INVALID
        assert w.t.state == dma.TransactionState.CREATED
        for program, given in ((None, mdl), (w.program, None)):
            with stopped(0x10D, 4):
                initialize(w.t, program, WRITE, given, mdl.address, 1)


@case("P61")
def test_a_chain_for_a_packet_device() -> None:
    with world() as w:
        for version, status in ((2, INVALID), (3, OK)):
            w.create(PACKET, WdmDmaVersionOverride=version)
            assert w.initialize(mdl_of((0, 100), (0, 100))) == status


# ---- execution -----------------------------------------------------------------------------------


@case("P64")
def test_a_transaction_in_four_transfers() -> None:
    with world() as w:
        w.equip(map_registers=64)
        assert w.start(mdl_of((0, 200000))) == OK
        more = (False, wdf.STATUS_MORE_PROCESSING_REQUIRED)
        answers = [wdf.WdfDmaTransactionDmaCompleted(w.t) for _ in range(4)]
        assert answers == [more, more, more, (True, OK)]
        assert wdf.WdfDmaTransactionGetBytesTransferred(w.t) == 200000
        assert wdf.WdfDmaTransactionGetCurrentDmaTransferLength(w.t) == 0
        assert w.lengths == [65536, 65536, 65536, 3392]


@case("P65")
def test_a_length_beyond_the_transfer() -> None:
    with world() as w:
        w.create()
        w.start(mdl_of((0, 65536)))
        assert wdf.WdfDmaTransactionDmaCompletedWithLength(w.t, 65537) == (True, INVALID)
        assert w.t.state == dma.TransactionState.TRANSFER_FAILED
        assert wdf.WdfDmaTransactionGetBytesTransferred(w.t) == 0


@case("R3.8-final")
def test_a_final_length_beyond_the_transfer() -> None:
    with world() as w:
        w.create()
        w.start(mdl_of((0, 65536)))
        assert wdf.WdfDmaTransactionDmaCompletedFinal(w.t, 65537) == (True, INVALID)
        assert w.t.state == dma.TransactionState.TRANSFER_FAILED


@case("P67")
def test_a_length_of_0_repeats_the_transfer() -> None:
    with world() as w:
        w.create()
        w.start(mdl_of((0, 65536)))
        answer = wdf.WdfDmaTransactionDmaCompletedWithLength(w.t, 0)
        assert answer == (False, wdf.STATUS_MORE_PROCESSING_REQUIRED)
        assert w.transfers[0] == w.transfers[1]


@case("P68")
def test_what_stops_in_a_transaction_that_is_only_created() -> None:
    with world() as w:
        w.create()
        for call in (
            lambda t: wdf.WdfDmaTransactionExecute(t, None),
            wdf.WdfDmaTransactionDmaCompleted,
            wdf.WdfDmaTransactionGetTransferInfo,
            wdf.WdfDmaTransactionCancel,
        ):
            with stopped(0x10D, 8, id(w.t), 1):
                call(w.t)


@case("P70")
def test_release_and_delete_during_a_transfer() -> None:
    for verifier in (True, False):
        for call in (wdf.WdfDmaTransactionRelease, wdf.WdfObjectDelete):
            mdl = locked((0, 65536))
            with world(verifier=verifier) as w:
                w.create()
                w.start(mdl)
                if verifier:
                    with stopped(0x10D, 8, id(w.t), 4):
                        call(w.t)
                    wdf.WdfDmaTransactionDmaCompleted(w.t)
                assert call(w.t) in (OK, None)
            mdl.unlock()


@case("P71")
def test_a_refused_initialisation_can_be_followed_by_another() -> None:
    with world() as w:
        w.create()
        wdf.WdfDmaEnablerSetMaximumScatterGatherElements(w.enabler, 4)
        assert w.initialize(mdl_of((0, 65536))) == wdf.STATUS_WDF_TOO_FRAGMENTED
        assert w.t.state == dma.TransactionState.RELEASED
        assert w.initialize(mdl_of((0, 16384))) == OK


@case("P73")
def test_10000_transfers_in_constant_stack() -> None:
    depths: set[int] = set()
    with world() as w:
        w.create(SG, 4096)

        def program(t: Any, device: Any, context: Any, direction: Any, sg_list: Any) -> None:
            frame, depth = sys._getframe(), 0
            while frame.f_back is not None:
                frame, depth = frame.f_back, depth + 1
            depths.add(depth)
            context.append(sg_list.Elements[0].Length)
            wdf.WdfDmaTransactionDmaCompleted(t)

        mdl, log = mdl_of((0, 10_000 * 4096)), []
        wdf.WdfDmaTransactionInitialize(w.t, program, WRITE, mdl, mdl.address, len(mdl))
        assert wdf.WdfDmaTransactionExecute(w.t, log) == OK
        assert w.t.state == dma.TransactionState.TRANSFER_COMPLETED
    assert log == [4096] * 10_000
    assert len(depths) == 1


@case("P74")
def test_a_callback_may_complete_and_delete() -> None:
    with world() as w:
        w.create()

        def program(t: Any, *_: Any) -> None:
            wdf.WdfDmaTransactionDmaCompleted(t)
            wdf.WdfObjectDelete(t)

        mdl = mdl_of((0, 100))
        wdf.WdfDmaTransactionInitialize(w.t, program, WRITE, mdl, mdl.address, 100)
        assert wdf.WdfDmaTransactionExecute(w.t, None) == OK
        assert w.t.deleted


@case("P77")
def test_a_maximum_length_of_one_run() -> None:
    with world() as w:
        w.create()
        for maximum, first in ((10000, 10000), (100000, 65536)):
            w.initialize(mdl_of((0, 131072)))
            wdf.WdfDmaTransactionSetMaximumLength(w.t, maximum)
            wdf.WdfDmaTransactionExecute(w.t, None)
            assert w.lengths[-1] == first
            assert wdf.WdfDmaTransactionDmaCompletedFinal(w.t, 0) == (True, OK)
            assert wdf.WdfDmaTransactionRelease(w.t) == OK
        w.start(mdl_of((0, 131072)))
        assert w.lengths[-1] == 65536


# ---- single transfers ----------------------------------------------------------------------------


@case("P79")
def test_a_single_transfer_counts_real_elements() -> None:
    with world() as w:
        w.equip(single_transfer=True, maximum_elements=4)
        scattered = mdl_of((0, 65536))
        assert w.initialize(scattered) == wdf.STATUS_WDF_TOO_FRAGMENTED
        w.equip(single_transfer=True, maximum_elements=4, backend=dma.Sim(scatter=False))
        assert w.start(scattered) == OK
        assert [len(elements) for elements in w.transfers] == [1]


@case("P80")
def test_a_single_transfer_that_falls_short() -> None:
    for call in (
        wdf.WdfDmaTransactionDmaCompletedWithLength,
        wdf.WdfDmaTransactionDmaCompletedFinal,
    ):
        with world() as w:
            w.create(Flags=wdf.WDF_DMA_ENABLER_CONFIG_REQUIRE_SINGLE_TRANSFER)
            w.start(mdl_of((0, 65536)))
            assert call(w.t, 60000) == (True, wdf.STATUS_WDF_TOO_MANY_TRANSFERS)
            assert w.t.state == dma.TransactionState.TRANSFER_FAILED


# ---- map registers -------------------------------------------------------------------------------


@contextmanager
def exhausted(profile: int = SG) -> Iterator[World]:
    """A transaction that finds no map registers, since another one holds them."""
    with world() as w:
        w.create(profile, 65536)
        w.start(mdl_of((1, 65536)))
        w.t = wdf.WdfDmaTransactionCreate(w.enabler, None)[1]
        w.initialize(mdl_of((1, 65536)))
        yield w


@case("P82")
def test_immediate_execution_without_map_registers() -> None:
    for profile in (SG, PACKET):
        with exhausted(profile) as w:
            wdf.WdfDmaTransactionSetImmediateExecution(w.t, True)
            status = wdf.WdfDmaTransactionExecute(w.t, None)
            assert status == wdf.STATUS_INSUFFICIENT_RESOURCES
            assert len(w.transfers) == 1
            assert w.t.state == dma.TransactionState.TRANSFER_FAILED


@case("P83")
def test_a_wait_for_map_registers_is_cancelled() -> None:
    for profile in (SG, PACKET):
        with exhausted(profile) as w:
            assert wdf.WdfDmaTransactionExecute(w.t, None) == OK
            assert wdf.WdfDmaTransactionCancel(w.t) is True
            assert w.t.state == dma.TransactionState.TRANSFER_FAILED
            first = w.enabler.children[0]
            wdf.WdfDmaTransactionDmaCompleted(first)
            assert len(w.transfers) == 1


@case("P85")
def test_reservations_that_are_refused() -> None:
    def reserve(w: World) -> Any:
        return wdf.WdfDmaTransactionAllocateResources(w.t, WRITE, 4, lambda *_: None, None)

    with world() as w:
        w.create(SG)
        assert reserve(w) == wdf.STATUS_INVALID_DEVICE_REQUEST
        w.create(PACKET)
        assert reserve(w) == OK
        with stopped(0x10D, 8, id(w.t), 2):
            reserve(w)


@case("P86")
def test_reserved_map_registers_outlive_a_release() -> None:
    with world() as w:
        w.equip(profile=PACKET, map_registers=17)
        granted: list[Any] = []
        reserve = wdf.WdfDmaTransactionAllocateResources
        reserve(w.t, WRITE, 4, lambda *given: granted.append(given), "context")
        assert granted == [(w.t, "context")]
        w.start(mdl_of((0x123, 50000)))
        while not wdf.WdfDmaTransactionDmaCompleted(w.t)[0]:
            pass
        assert w.lengths == [16093, 16384, 16384, 1139]
        adapter = wdf.WdfDmaEnablerWdmGetDmaAdapter(w.enabler, WRITE)
        assert (wdf.WdfDmaTransactionRelease(w.t), adapter.free) == (OK, 13)
        wdf.WdfDmaTransactionFreeResources(w.t)
        assert adapter.free == 17


# ---- addresses -----------------------------------------------------------------------------------


@case("P88")
def test_a_device_that_leaves_what_it_was_given() -> None:
    with world() as w:
        w.create()
        w.start(mdl_of((0x800, 5000)))
        name = f"transaction {id(w.t):#x}"
        (first, length), _ = w.transfers[0]
        for address, count, access in ((first, length + 1, "read"), (first, 1, "write")):
            with pytest.raises(dma.TranslationFaultError, match=name) as raised:
                w.enabler.translate(address, count, access)
            assert f"{address:#x}" in str(raised.value)
        wdf.WdfDmaTransactionDmaCompleted(w.t)
        with pytest.raises(dma.TranslationFaultError, match=f"{name} has ended"):
            w.enabler.translate(first, 1, "read")


@case("P89")
def test_memory_above_what_the_device_reaches() -> None:
    with world() as w:
        w.create(wdf.WdfDmaProfileScatterGather)
        mdl = mdl_of((0x10, 8192), fill=0x41)
        w.start(mdl)
        seen = b"".join(bytes(w.enabler.translate(a, n, "read")) for a, n in w.transfers[0])
        assert seen == b"\x41" * 8192
        wdf.WdfDmaTransactionDmaCompleted(w.t)
        wdf.WdfDmaTransactionRelease(w.t)
        w.start(mdl, READ)
        for address, count in w.transfers[1]:
            assert address.HighPart == 0
            w.enabler.translate(address, count, "write")[:] = b"\x42" * count
        assert set(mdl.buffer) == {0x41}
        wdf.WdfDmaTransactionDmaCompleted(w.t)
        assert set(mdl.buffer) == {0x42}


@case("P91")
def test_the_alignment_of_a_common_buffer() -> None:
    with world() as w:
        w.create()
        config = wdf.WDF_COMMON_BUFFER_CONFIG()
        wdf.WDF_COMMON_BUFFER_CONFIG_INIT(config, 0xFFFF)
        make = wdf.WdfCommonBufferCreateWithConfig
        status, common = make(w.enabler, 100000, config, None)
        assert status == OK
        logical = wdf.WdfCommonBufferGetAlignedLogicalAddress(common)
        virtual = wdf.WdfCommonBufferGetAlignedVirtualAddress(common)
        assert (logical % 65536, wdf.WdfCommonBufferGetLength(common)) == (0, 100000)
        for offset in (0, 1, 99999):
            virtual[offset] = offset % 251
            assert w.enabler.translate(logical + offset)[0] == offset % 251
            w.enabler.translate(logical + offset, 1, "write")[0] = 0xEE
            assert virtual[offset] == 0xEE


@case("P92")
def test_common_buffers_that_are_refused() -> None:
    with world() as w:
        w.create()
        make, config = wdf.WdfCommonBufferCreateWithConfig, wdf.WDF_COMMON_BUFFER_CONFIG()
        assert make(w.enabler, 0, config, None) == (wdf.STATUS_INFO_LENGTH_MISMATCH, None)
        wdf.WDF_COMMON_BUFFER_CONFIG_INIT(config, 15)
        assert make(w.enabler, 0, config, None) == (INVALID, None)
        with stopped(0x10D, 4):
            make(w.enabler, 100, None, None)
        too_long = wdf.STATUS_INSUFFICIENT_RESOURCES
        assert wdf.WdfCommonBufferCreate(w.enabler, 1 << 32, None) == (too_long, None)


@case("P94")
def test_an_enabler_that_is_deleted_too_early() -> None:
    with world(verifier=True) as w:
        w.create()
        common = wdf.WdfCommonBufferCreate(w.enabler, 100, None)[1]
        with stopped(0xE6, 0x07):
            wdf.WdfObjectDelete(w.enabler)
        wdf.WdfObjectDelete(common)
        wdf.WdfObjectDelete(w.enabler)
        for profile, kind in ((SG, 0x0A), (PACKET, 0x09)):
            mdl = locked((0, 100))
            w.create(profile)
            w.start(mdl)
            with stopped(0xE6, kind):
                wdf.WdfObjectDelete(w.enabler)
            wdf.WdfDmaTransactionDmaCompleted(w.t)
            wdf.WdfObjectDelete(w.enabler)
            mdl.unlock()


@case("P95")
def test_a_fill_that_fails() -> None:
    log: list[str] = []

    def event(name: str, status: int) -> Any:
        def run(enabler: Any) -> int:
            log.append(name)
            return status

        return run

    names = ("Fill", "Flush", "Disable", "Enable", "SelfManagedIoStart", "SelfManagedIoStop")
    failed = wdf.STATUS_UNSUCCESSFUL
    events = {
        f"EvtDmaEnabler{name}": event(name, failed if name == "Fill" else OK) for name in names
    }
    with world() as w:
        w.create(**events)
        with pytest.raises(membuf.MembufError) as raised:
            w.enabler.power_up()
        assert raised.value.status == failed
        w.enabler.power_down()
    assert log == ["Fill", "SelfManagedIoStop"]


@case("P98")
def test_a_backend_that_is_missing() -> None:
    with world() as w:
        for name in ("cuda", "vfio"):
            with pytest.raises(membuf.MembufError, match="backend not available"):
                w.equip(backend=name)


# ---- where page and source disagree (3.16) -------------------------------------------------------


@case("R3.16-1", "R3.16-11")
def test_a_transaction_that_is_not_initialised_stops() -> None:
    with world() as w:
        w.create()
        w.initialize(mdl_of((0, 100)))
        assert wdf.WdfDmaTransactionCancel(w.t) is False
        wdf.WdfDmaTransactionRelease(w.t)
        for call in (lambda t: wdf.WdfDmaTransactionExecute(t, None), wdf.WdfDmaTransactionCancel):
            with stopped(0x10D, 8, id(w.t), 7):
                call(w.t)


@case("R3.16-2")
def test_a_second_release_succeeds() -> None:
    with world() as w:
        w.create()
        assert [wdf.WdfDmaTransactionRelease(w.t) for _ in range(2)] == [OK, OK]


@case("R3.16-6")
def test_an_offset_must_fall_into_the_first_mdl() -> None:
    with world() as w:
        w.create()
        mdl = mdl_of((0, 100), (0, 100))
        initialize = wdf.WdfDmaTransactionInitializeUsingOffset
        assert initialize(w.t, w.program, WRITE, mdl, 100, 50) == INVALID
        assert initialize(w.t, w.program, WRITE, mdl, 99, 50) == OK


@case("R3.16-7")
def test_only_list_profiles_follow_the_device_alignment() -> None:
    with world() as w:
        w.equip(profile=SG, alignment_mask=0xFFFF)
        common = wdf.WdfCommonBufferCreate(w.enabler, 100, None)[1]
        assert wdf.WdfCommonBufferGetAlignedLogicalAddress(common) % 65536 == 0
        w.equip(profile=PACKET, alignment_mask=0xFFFF)
        common = wdf.WdfCommonBufferCreate(w.enabler, 100, None)[1]
        assert wdf.WdfCommonBufferGetAlignedLogicalAddress(common) % 4096 == 0
        assert w.enabler.alignment_mask == 0


@case("R3.3-system")
def test_the_calls_of_system_dma_do_nothing() -> None:
    with world() as w:
        w.create()
        wdf.WdfDmaTransactionSetDeviceAddressOffset(w.t, 4)
        wdf.WdfDmaTransactionSetChannelConfigurationCallback(w.t, print, None)
        wdf.WdfDmaTransactionSetTransferCompleteCallback(w.t, print, None)
        wdf.WdfDmaTransactionStopSystemTransfer(w.t)
        config = wdf.WDF_DMA_SYSTEM_PROFILE_CONFIG()
        wdf.WDF_DMA_SYSTEM_PROFILE_CONFIG_INIT(config, 0, 0, None)
        status = wdf.WdfDmaEnablerConfigureSystemProfile(w.enabler, config, READ)
        assert status == wdf.STATUS_INVALID_DEVICE_REQUEST


@case("R3.5-always")
def test_what_can_be_asked_in_every_state() -> None:
    with world() as w:
        w.create()
        asked = (
            wdf.WdfDmaTransactionGetBytesTransferred,
            wdf.WdfDmaTransactionGetCurrentDmaTransferLength,
            wdf.WdfDmaTransactionGetRequest,
            wdf.WdfDmaTransactionGetDevice,
            wdf.WdfDmaTransactionWdmGetTransferContext,
        )
        assert [call(w.t) for call in asked] == [0, 0, None, w.device, None]
        w.initialize(mdl_of((0, 100)))
        assert wdf.WdfDmaTransactionGetTransferInfo(w.t) == (1, 1)
        assert [call(w.t) for call in asked][:4] == [0, 0, None, w.device]
        assert wdf.WdfDmaTransactionWdmGetTransferContext(w.t) is not None
        wdf.WdfDmaTransactionSetSingleTransferRequirement(w.t, True)
        wdf.WdfDmaTransactionExecute(w.t, None)
        assert [call(w.t) for call in asked][:2] == [0, 100]
        assert wdf.WdfDmaTransactionDmaCompleted(w.t) == (True, OK)
        assert [call(w.t) for call in asked][:2] == [100, 0]
        wdf.WdfDmaTransactionRelease(w.t)
        assert [call(w.t) for call in asked] == [0, 0, None, w.device, None]
        assert wdf.WdfDmaEnablerGetMaximumScatterGatherElements(w.enabler) == 0xFFFFFFFF


@case("R3.8-bug-check")
def test_a_bug_check_in_a_callback_is_kept_on_the_driver() -> None:
    with world() as w:
        w.create()

        def program(t: Any, *_: Any) -> None:
            wdf.WdfDmaTransactionExecute(t, None)

        mdl = membuf.Mdl(mmap.mmap(-1, 4096))
        wdf.WdfDmaTransactionInitialize(w.t, program, WRITE, mdl, mdl.address, 100)
        assert wdf.WdfDmaTransactionExecute(w.t, None) == wdf.STATUS_UNSUCCESSFUL
        with stopped(0x10D, 8, id(w.t), 4):
            wdf.WdfDmaTransactionRelease(w.t)
        assert wdf.WdfDmaTransactionRelease(w.t) == OK
