"""Calls on queues, requests and transactions that no numbered case makes, by what the rules say."""

from __future__ import annotations

import logging

import pytest

from membuf import wdf
from tests.conformance.cases import case
from tests.conformance.dma_world import OK, READ, World
from tests.dma import mdl_of
from tests.wdf_receiving import lab

PREDICATES = {
    "idle": wdf.WDF_IO_QUEUE_IDLE,
    "ready": wdf.WDF_IO_QUEUE_READY,
    "stopped": wdf.WDF_IO_QUEUE_STOPPED,
    "drained": wdf.WDF_IO_QUEUE_DRAINED,
    "purged": wdf.WDF_IO_QUEUE_PURGED,
}


def said(queue: wdf.WDFQUEUE) -> set[str]:
    """Which predicates a queue's state answers with TRUE."""
    state, _, _ = wdf.WdfIoQueueGetState(queue)
    return {name for name, predicate in PREDICATES.items() if predicate(state)}


@case("R3.7-predicates")
def test_what_the_predicates_say_of_a_queue() -> None:
    with lab() as own:
        queue = own.queue
        assert said(queue) == {"idle", "ready"}
        wdf.WdfIoQueueStopSynchronously(queue)
        assert said(queue) == {"idle", "stopped"}
        wdf.WdfIoQueueStart(queue)
        wdf.WdfIoQueueDrainSynchronously(queue)
        assert said(queue) == {"idle", "drained", "purged"}
        wdf.WdfIoQueueStart(queue)
        request, _, _ = own.read(8)
        assert said(queue) == {"ready"}
        wdf.WdfRequestComplete(request, OK)
        assert said(queue) == {"idle", "ready"}


@case("R3.5-macros")
def test_what_the_configurations_begin_with() -> None:
    config = wdf.WDF_IO_QUEUE_CONFIG()
    wdf.WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(config, wdf.WdfIoQueueDispatchParallel)
    assert (bool(config.DefaultQueue), config.PowerManaged) == (True, wdf.WdfUseDefault)
    assert config.Settings.Parallel.NumberOfPresentedRequests == 0xFFFFFFFF
    wdf.WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(config, wdf.WdfIoQueueDispatchSequential)
    assert config.Settings.Parallel.NumberOfPresentedRequests == 0
    types = wdf.WDF_IO_TYPE_CONFIG()
    wdf.WDF_IO_TYPE_CONFIG_INIT(types)
    assert types.ReadWriteIoType == types.DeviceControlIoType == wdf.WdfDeviceIoBuffered


@case("R3.1-not-here")
def test_what_a_request_never_is_here(caplog: pytest.LogCaptureFixture) -> None:
    with lab() as own, caplog.at_level(logging.WARNING, "membuf.wdf"):
        request, pending, _ = own.read(8)
        assert wdf.WdfIoQueueGetDevice(own.queue) is own.device
        assert wdf.WdfRequestIsFrom32BitProcess(request) is False
        assert wdf.WdfRequestIsReserved(request) is False
        wdf.WdfRequestStopAcknowledge(request, True)
        assert not pending.done  # logged, and still the driver's
        assert len(caplog.records) == 1
        wdf.WdfRequestComplete(request, OK)
        policy = wdf.WdfIoQueueAssignForwardProgressPolicy(own.queue, object())
        assert policy == wdf.STATUS_NOT_SUPPORTED


@case("R3.5-getters")
def test_what_a_transaction_tells_in_every_state() -> None:
    with wdf.driver("Sample") as driver:
        world = World(driver)
        world.create()
        assert wdf.WdfDmaEnablerGetMaximumScatterGatherElements(world.enabler) == 0xFFFFFFFF
        assert wdf.WdfDmaTransactionGetDevice(world.t) is world.device
        assert wdf.WdfDmaTransactionGetRequest(world.t) is None
        assert wdf.WdfDmaTransactionWdmGetTransferContext(world.t) is None
        assert world.initialize(mdl_of((0, 100))) == OK
        assert wdf.WdfDmaTransactionWdmGetTransferContext(world.t) is not None
        wdf.WdfDmaTransactionRelease(world.t)
        assert wdf.WdfDmaTransactionWdmGetTransferContext(world.t) is None
        assert wdf.WdfDmaTransactionGetDevice(world.t) is world.device


@case("R3.9-requirement")
def test_a_single_transfer_is_required_of_the_next_initialisation() -> None:
    with wdf.driver("Sample") as driver:
        world = World(driver)
        world.create(maximum=4096)
        wdf.WdfDmaTransactionSetSingleTransferRequirement(world.t, True)
        long = mdl_of((0, 8192))
        assert world.initialize(long, direction=READ) == wdf.STATUS_WDF_TOO_MANY_TRANSFERS
        wdf.WdfDmaTransactionSetSingleTransferRequirement(world.t, False)
        assert world.initialize(long, direction=READ) == OK
        wdf.WdfDmaTransactionRelease(world.t)
