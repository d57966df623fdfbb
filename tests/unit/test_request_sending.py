"""What a send checks, in which order, and what control requests carry; seen by a plain target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.request import CompletionParams, Request, RequestType
from membuf.request.irp import Irp
from membuf.request.protocol import Control


class Parcel:
    """A packet that its test ends."""

    def __init__(self, holds: list[membuf.Memory], control: Control | None = None) -> None:
        self.callback: Callable[[Any], object] | None = None
        self.holds, self.control = holds, control
        self.information = 0
        self.status: Any = None
        self.error: membuf.MembufError | None = None
        for memory in holds:
            memory.reference("parcel")

    def failure(self) -> membuf.MembufError | None:
        return self.error

    def release(self) -> None:
        holds, self.holds = self.holds, []
        for memory in holds:
            memory.dereference("parcel")

    def end(self, information: int = 0, error: membuf.MembufError | None = None) -> None:
        self.information, self.error = information, error
        callback, self.callback = self.callback, None
        assert callback is not None
        callback(self)


class PlainTarget:
    """A target that keeps what it is sent."""

    stack_depth = 1

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.forwarded: list[Any] = []
        self.refuses: int | None = None
        self.inherited: list[Any] = []

    def make_packet(self, kind: int, memory: Any, *_: Any) -> Parcel:
        return Parcel([memory] if memory is not None else [])

    def make_control_packet(self, control: Control) -> Parcel:
        parts = [control.input, control.output, *control.arguments]
        return Parcel([part.memory for part in parts if part.memory is not None], control)

    def make_irp_packet(self, irp: Any) -> Parcel:
        return Parcel([])

    def inherit(self, packet: Any, irp: Any) -> None:
        self.inherited.append(irp)

    def forward(self, irp: Any) -> None:
        self.forwarded.append(irp)

    def check_open(self) -> None:
        """It always is."""

    def check_accepts(self, *, ignore_state: bool) -> None:
        if self.refuses is not None and not ignore_state:
            raise membuf.InvalidDeviceStateError("planted", status=self.refuses)

    def check_forwards(self) -> None:
        """It always does."""

    def send_packet(self, packet: Parcel, *options: Any) -> None:
        self.check_accepts(ignore_state=options[2])
        self.sent.append((packet, options))

    def cancel_packet(self, packet: Parcel) -> bool:
        return False


class Received(Request):
    """As much of a received request as the sending half looks at."""

    own = False

    def __init__(self, locations: int, target: Any = None) -> None:
        self.packet = Irp(RequestType.READ)
        self.packet.location = locations
        self.forgotten = 0
        super().__init__(target)

    @property
    def irp(self) -> Any:
        return self.packet

    def _forget(self) -> Any:
        self.forgotten += 1
        return self.packet


def status_of(call: Callable[[], object]) -> st.Status:
    """The status that a call is refused with."""
    with pytest.raises(membuf.MembufError) as caught:
        call()
    return caught.value.status


# ---- control requests ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "kind"),
    [
        ("format_ioctl", RequestType.DEVICE_CONTROL),
        ("format_internal_ioctl", RequestType.INTERNAL_DEVICE_CONTROL),
    ],
)
def test_a_control_request_names_its_parts_when_it_has_ended(verb: str, kind: RequestType) -> None:
    target, first, second = PlainTarget(), membuf.Memory(100), membuf.Memory(50)
    request = Request(target)
    getattr(request, verb)(
        0x222003, first, second, input_offset=40, output_offset=10, output_length=5
    )
    control = request._packet.control
    assert (control.input.offset, control.input.length) == (40, 60)
    assert (control.output.offset, control.output.length) == (10, 5)
    request.send()
    target.sent[0][0].end(information=3)
    assert request.completion == CompletionParams(
        kind, st.STATUS_SUCCESS, 3, first, 40, 0x222003, second, 10
    )


def test_the_same_memory_as_input_and_output_is_held_twice() -> None:
    memory = membuf.Memory(16)
    request = Request(PlainTarget())
    request.format_ioctl(0, memory, memory)
    assert memory.reference_count == 3
    request.reuse()
    assert memory.reference_count == 1


def test_others_pass_three_pointers() -> None:
    memories = [membuf.Memory(16) for _ in range(3)]
    target = PlainTarget()
    request = Request(target)
    request.format_internal_ioctl_others(7, *memories, offsets=(0, 4, 16))
    request.send()
    target.sent[0][0].end()
    params = request.completion
    assert (params.type, params.code) == (RequestType.OTHER, 7)
    assert params.arguments == tuple(memories)


def test_a_bad_part_leaves_the_earlier_format() -> None:
    kept, other = membuf.Memory(16), membuf.Memory(16)
    request = Request(PlainTarget())
    request.format_ioctl(1, kept)
    for call in (
        lambda: request.format_ioctl(1, other, input_offset=17),
        lambda: request.format_ioctl(1, None, other, output_offset=8, output_length=9),
        lambda: request.format_internal_ioctl(1, other, input_length=17),
        lambda: request.format_internal_ioctl_others(1, other, offsets=(17, 0, 0)),
    ):
        assert status_of(call) == st.STATUS_INTEGER_OVERFLOW
    assert (kept.reference_count, other.reference_count) == (2, 1)
    assert request.completion.type is RequestType.DEVICE_CONTROL


@pytest.mark.parametrize("code", [-1, 2**32])
def test_a_code_has_32_bits(code: int) -> None:
    with pytest.raises(membuf.InvalidParameterError, match="32 bits"):
        Request(PlainTarget()).format_ioctl(code)


def test_a_file_takes_no_control_requests() -> None:
    with membuf.open_target("file:/dev/null", access="write") as target:
        call = Request(target).format_ioctl
        assert status_of(lambda: call(0x222000)) == st.STATUS_INVALID_DEVICE_REQUEST


# ---- the order of a send's checks ---------------------------------------------------------------


def test_a_refusing_target_comes_before_an_earlier_cancel() -> None:
    target, memory = PlainTarget(), membuf.Memory(4)
    request = Request(target)
    request.format_read(memory)
    request.cancel()
    target.refuses = st.STATUS_INVALID_DEVICE_STATE
    assert status_of(request.send) == st.STATUS_INVALID_DEVICE_STATE == request.status
    assert status_of(lambda: request.send(ignore_target_state=True)) == st.STATUS_CANCELLED
    assert not request.in_flight
    assert memory.reference_count == 2


def test_an_unformatted_request_comes_before_the_targets_state() -> None:
    target = PlainTarget()
    target.refuses = st.STATUS_INVALID_DEVICE_STATE
    assert status_of(Request(target).send) == st.STATUS_REQUEST_NOT_ACCEPTED


def test_a_request_goes_where_it_was_formatted_for() -> None:
    request = Request(PlainTarget())
    request.format_read(membuf.Memory(4))
    other = PlainTarget()
    assert status_of(lambda: request.send(target=other)) == st.STATUS_REQUEST_NOT_ACCEPTED
    assert other.sent == []


def test_a_routine_that_is_set_survives_refused_sends() -> None:
    target, told = PlainTarget(), []
    request = Request(target)
    request.set_completion_routine(lambda *seen: told.append(seen[3]), "mine")
    assert status_of(request.send) == st.STATUS_REQUEST_NOT_ACCEPTED
    request.format_read(membuf.Memory(4))
    request.send()
    target.sent[0][0].end()
    request.format_read(membuf.Memory(4))
    request.send()
    target.sent[1][0].end()
    assert told == ["mine"]


# ---- received requests --------------------------------------------------------------------------


def test_a_received_request_needs_a_routine_to_be_sent_asynchronously() -> None:
    target = PlainTarget()
    request = Received(2, target)
    request.format_read(membuf.Memory(4))
    assert status_of(request.send) == st.STATUS_INVALID_DEVICE_REQUEST == request.status
    request.send(synchronous=True)
    target.sent[0][0].end()
    assert target.inherited == [request.packet]


def test_a_packet_without_a_location_for_each_driver_is_refused() -> None:
    target, memory = PlainTarget(), membuf.Memory(4)
    target.stack_depth = 3
    request = Received(3)
    for call in (
        lambda: request.change_target(target),
        lambda: Received(3, target),
    ):
        assert status_of(call) == st.STATUS_REQUEST_NOT_ACCEPTED
    roomy = Received(4, target)
    roomy.format_write(memory)
    target.stack_depth = 4
    assert status_of(lambda: roomy.format_write(memory)) == st.STATUS_REQUEST_NOT_ACCEPTED
    assert memory.reference_count == 1
    own = Request(target)
    own.format_write(memory)
    assert memory.reference_count == 2


def test_the_current_type_goes_to_whatever_target_is_named() -> None:
    target = PlainTarget()
    request = Received(2)
    request.format_current_type()
    request.send(lambda *_: None, target=target)
    target.sent[0][0].end(information=5)
    assert request.completion == CompletionParams(RequestType.NO_FORMAT, st.STATUS_SUCCESS, 5)


@pytest.mark.parametrize(("made", "sub"), [(Request, 2), (lambda: Received(1), 1)])
def test_what_has_no_current_type_stops_the_framework(made: Any, sub: int) -> None:
    with pytest.raises(membuf.MembufError) as caught:
        made().format_current_type()
    assert caught.value.bugcheck == (0x10D, 6, sub, 0, 0)


# ---- send and forget ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other", [{"timeout": 1.0}, {"synchronous": True}, {"ignore_target_state": True}]
)
def test_forgetting_goes_with_nothing_else(other: dict[str, Any]) -> None:
    request = Received(2, PlainTarget())
    call = lambda: request.send(send_and_forget=True, **other)  # noqa: E731
    assert status_of(call) == st.STATUS_INVALID_PARAMETER == request.status


def test_an_own_request_cannot_be_forgotten() -> None:
    request = Request(PlainTarget())
    call = lambda: request.send(send_and_forget=True)  # noqa: E731
    assert status_of(call) == st.STATUS_INVALID_DEVICE_STATE


def test_a_formatted_request_is_forgotten_only_after_a_reuse() -> None:
    target, memory = PlainTarget(), membuf.Memory(4)
    request = Received(2, target)
    request.format_read(memory)
    call = lambda: request.send(send_and_forget=True)  # noqa: E731
    assert status_of(call) == st.STATUS_INVALID_DEVICE_REQUEST
    assert (request.forgotten, memory.reference_count) == (0, 2)
    request.reuse()
    call()
    assert target.forwarded == [request.packet]
    assert request.forgotten == 1


def test_a_forgotten_request_needs_a_target_that_takes_it() -> None:
    target = PlainTarget()
    target.stack_depth = 3
    request = Received(2)
    call = lambda: request.send(send_and_forget=True)  # noqa: E731
    assert status_of(call) == st.STATUS_INVALID_DEVICE_STATE
    deep = lambda: request.send(send_and_forget=True, target=target)  # noqa: E731
    assert status_of(deep) == st.STATUS_REQUEST_NOT_ACCEPTED
    assert request.forgotten == 0
