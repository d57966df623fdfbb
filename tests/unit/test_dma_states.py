"""The table of transaction states and calls, every call in every state."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

import membuf
import membuf.dma as dma
from tests.dma import Driver, driver, mdl_of

STATES = ["CREATED", "RESERVED", "INITIALIZED", "TRANSFER", "TRANSFER_COMPLETED",
          "TRANSFER_FAILED", "RELEASED"]  # fmt: skip


def nothing(*_: Any) -> None:
    """A callback."""


def bring(to: str, **options: Any) -> Driver:
    """A transaction of a packet device in a state."""
    made = driver(profile=dma.PACKET_64, maximum_length=8192, **options)
    t = made.t
    if to == "RESERVED":
        t.allocate_resources(dma.WRITE_TO_DEVICE, 3, nothing)
    elif to != "CREATED":
        t.initialize(made.program, dma.WRITE_TO_DEVICE, mdl_of((0, 8192)))
    if to.startswith("TRANSFER"):
        t.execute()
    if to == "TRANSFER_COMPLETED":
        t.completed()
    if to == "TRANSFER_FAILED":
        with pytest.raises(membuf.InvalidParameterError):
            t.completed_with_length(8193)
    if to == "RELEASED":
        t.release()
    assert t.state.name == to
    return made


CALLS: dict[str, Callable[[dma.Transaction], object]] = {
    "initialize": lambda t: t.initialize(nothing, dma.WRITE_TO_DEVICE, mdl_of((0, 100))),
    "initialize_using_offset": lambda t: t.initialize_using_offset(nothing, 1, mdl_of((0, 9)), 1),
    "allocate": lambda t: t.allocate_resources(dma.WRITE_TO_DEVICE, 2, nothing),
    "allocate 0": lambda t: t.allocate_resources(dma.WRITE_TO_DEVICE, 0, nothing),
    "free_resources": lambda t: t.free_resources(),
    "transfer_info": lambda t: t.transfer_info(),
    "execute": lambda t: t.execute(),
    "completed": lambda t: t.completed(),
    "completed_with_length": lambda t: t.completed_with_length(8192),
    "completed_final": lambda t: t.completed_final(1),
    "cancel": lambda t: t.cancel(),
    "release": lambda t: t.release(),
}
# As the specification has it (3.5): B stops; = keeps the state; else the state afterwards.
TABLE = {
    #                           C  V  I  T  TC TF R
    "initialize":              "I  I  B  B  B  B  I",
    "initialize_using_offset": "I  I  B  B  B  B  I",
    "allocate":                "V  B  V  B  B  B  V",
    "allocate 0":              "B  B  V  B  B  B  B",
    "free_resources":          "B  R  R  B  R  R  R",
    "transfer_info":           "B  B  =  B  B  B  B",
    "execute":                 "B  B  T  B  B  B  B",
    "completed":               "B  B  B  TC B  B  B",
    "completed_with_length":   "B  B  B  TC B  B  B",
    "completed_final":         "B  B  B  TC B  B  B",
    "cancel":                  "B  =  =  =  =  =  B",
    "release":                 "R  R  R  R  R  R  =",
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("state", STATES)
def test_every_call_in_every_state(call: str, state: str) -> None:
    t = bring(state).t
    expected = TABLE[call].split()[STATES.index(state)]
    if expected == "B":
        with pytest.raises(membuf.InvalidDeviceStateError) as raised:
            CALLS[call](t)
        assert raised.value.bugcheck == (0x10D, 8, id(t), t.state, 0)
    else:
        CALLS[call](t)
    assert t.state.letter == (bring(state).t.state.letter if expected in "B=" else expected)


@pytest.mark.parametrize("state", STATES)
def test_what_can_always_be_asked(state: str) -> None:
    made = bring(state)
    t = made.t
    moved = 8192 if state == "TRANSFER_COMPLETED" else 0
    assert t.bytes_transferred == moved
    assert t.current_length == (8192 if state == "TRANSFER" else 0)
    assert t.request is None
    assert t.device is made.device
    assert (t.transfer_context is None) == (state in ("CREATED", "RELEASED"))


@pytest.mark.parametrize("state", ["INITIALIZED", "TRANSFER", "TRANSFER_COMPLETED",
                                   "TRANSFER_FAILED"])  # fmt: skip
def test_a_late_single_transfer_requirement_is_ignored(
    state: str, caplog: pytest.LogCaptureFixture
) -> None:
    t = bring(state).t
    with caplog.at_level(logging.WARNING, "membuf.dma"):
        t.set_single_transfer(True)
    assert "ignored" in caplog.text
    assert not t._single


@pytest.mark.parametrize("state", STATES)
def test_a_maximum_length_counts_only_while_initialised_or_under_way(state: str) -> None:
    t = bring(state).t
    t.set_maximum_length(100)
    assert (t._run is not None and t._run.limit == 100) == (state in ("INITIALIZED", "TRANSFER"))


def test_with_the_verifier_nothing_under_way_is_released_or_deleted() -> None:
    made = driver(verifier=True)
    mdl = mdl_of((0, 8192))
    mdl.lock()
    t = made.start(mdl)
    for call in (t.release, t.delete):
        with pytest.raises(membuf.InvalidDeviceStateError) as raised:
            call()
        assert raised.value.bugcheck == (0x10D, 8, id(t), 4, 0)
    assert t.completed()
    t.release()
    mdl.unlock()


def test_without_the_verifier_a_release_gives_the_transfer_up() -> None:
    made = driver()
    t = made.start(mdl_of((0, 8192)))
    t.release()
    assert t.state.name == "RELEASED"
    assert made.enabler.statistics().free_map_registers == 17
    with pytest.raises(dma.TranslationFaultError):
        made.enabler.translate(made.transfers[0][0].address)


@pytest.mark.parametrize("call", ["cancel", "set_immediate_execution", "set_single_transfer"])
def test_version_2_ignores_what_came_with_version_3(
    call: str, caplog: pytest.LogCaptureFixture
) -> None:
    t = driver(dma_version=2).t
    with caplog.at_level(logging.WARNING, "membuf.dma"):
        answer = t.cancel() if call == "cancel" else getattr(t, call)(True)
    assert not answer
    assert "version 3" in caplog.text
    assert t.transfer_context is None


def test_a_deleted_transaction_is_gone() -> None:
    made = driver()
    made.t.delete()
    with pytest.raises(membuf.ObjectDeletedError):
        made.t.execute()


def test_a_transaction_deleted_under_reference_stops() -> None:
    t = driver().t
    t.reference()
    t.delete()
    with pytest.raises(membuf.InvalidDeviceStateError) as raised:
        t.execute()
    assert raised.value.bugcheck == (0x10D, 8, id(t), 8, 0)
    t.dereference()


def test_release_clears_what_was_set() -> None:
    t = driver(dma_version=3).t
    t.set_single_transfer(True)
    t.set_immediate_execution(True)
    t.initialize(nothing, 1, mdl_of((0, 100)))
    t.release()
    assert (t._single, t._immediate, t.direction, t.bytes_transferred) == (False, False, None, 0)
