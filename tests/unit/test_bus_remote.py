"""Remote targets: opened, closed and opened again; and control requests of any target."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.bus import RemoteTarget, local_target
from membuf.request import Request
from membuf.target import TargetState
from membuf.testing import check_target
from tests.lower import Lower, ended

IOCTL = 0x222000


@pytest.fixture
def lower() -> Iterator[Lower]:
    yield from ended(Lower())


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(bytes(65536))
    return path


def status_of(call: Any) -> st.Status:
    with pytest.raises(membuf.MembufError) as caught:
        call()
    return caught.value.status


def test_an_open_remote_target_keeps_the_rules_of_targets(image: Path) -> None:
    def factory() -> RemoteTarget:
        target = RemoteTarget()
        target.open(f"file:{image}")
        return target

    check_target(factory)


def test_opening_and_closing_again(image: Path) -> None:
    target = RemoteTarget()
    assert status_of(target.reopen) == st.STATUS_INVALID_DEVICE_REQUEST
    for _ in range(3):
        target.open(f"file:{image}", access="read")
        assert status_of(lambda: target.open(f"file:{image}")) == st.STATUS_INVALID_DEVICE_STATE
        assert target.read(bytearray(8)) == 8
        target.close_for_query_remove()
        assert target.state is TargetState.CLOSED_FOR_QUERY_REMOVE
        assert status_of(lambda: target.read(bytearray(8))) == st.STATUS_INVALID_DEVICE_STATE
        assert status_of(target.start) == st.STATUS_INVALID_DEVICE_STATE
        target.reopen()
        assert target.state is TargetState.STARTED
        target.close()
    assert status_of(target.reopen) == st.STATUS_INVALID_DEVICE_REQUEST


def test_a_name_that_is_nobodys(image: Path) -> None:
    target = RemoteTarget()
    assert status_of(lambda: target.open("device:remote-nobody")) == st.STATUS_NO_SUCH_DEVICE
    assert target.state is TargetState.CLOSED
    with pytest.raises(FileNotFoundError):
        target.open(f"file:{image}.missing")
    target.open(f"file:{image}")
    target.close()


def test_its_own_cleanup_comes_before_the_ends(lower: Lower) -> None:
    events: list[str] = []
    target = RemoteTarget(on_cleanup=lambda _: events.append("cleanup"))
    target.open_device(lower.device)
    request = Request(target)
    request.format_write(b"x")
    request.send(lambda *_: events.append("ended"))
    lower.one().mark_cancelable(lambda r: r.complete(st.STATUS_CANCELLED))
    target.delete()
    assert events == ["cleanup", "ended"]


def test_a_dropped_one_goes_at_once(image: Path) -> None:
    gc.disable()
    try:
        target = RemoteTarget()
        target.open(f"file:{image}")
        target.read(bytearray(8))
        below, gone = target.lower, weakref.ref(target)
        del target
        assert gone() is None
        assert below is not None
        assert below.state is TargetState.CLOSED
    finally:
        gc.enable()


def test_nothing_is_forgotten_through_a_name(lower: Lower, image: Path) -> None:
    by_name, by_device = RemoteTarget(), RemoteTarget()
    by_name.open(f"file:{image}")
    by_device.open_device(lower.device)
    upper = Lower(lower=local_target(lower.device))
    with upper.device.open() as handle:
        pending = handle.start_write(b"onward")
        request = upper.one()
        call = lambda target: request.send(send_and_forget=True, target=target)  # noqa: E731
        assert status_of(lambda: call(by_name)) == st.STATUS_INVALID_DEVICE_STATE
        assert request.status == st.STATUS_INVALID_DEVICE_STATE
        call(by_device)
        lower.one().complete(information=6)
        assert pending.wait() == (st.STATUS_SUCCESS, 6)
    by_name.close()
    by_device.close()
    upper.device.delete()


# ---- control requests ---------------------------------------------------------------------------


@pytest.fixture
def answering(lower: Lower) -> Lower:
    def answer(request: Any) -> None:
        request.output_buffer()[:4] = bytes(request.input_buffer()[:4])[::-1]
        request.complete(information=4)

    lower.device.on_ioctl(answer)
    lower.device.on_internal_ioctl(lambda request: request.complete(information=9))
    return lower


@pytest.mark.parametrize("over", ["", "log", "remote"])
def test_a_control_request_in_every_way(answering: Lower, over: str) -> None:
    target: Any = local_target(answering.device)
    if over == "log":
        from membuf.target.filters import Log

        target = Log(target)
    elif over == "remote":
        target = RemoteTarget()
        target.open_device(answering.device)
    output = membuf.Memory(8, zero=True)
    assert target.ioctl(IOCTL, b"abcd", output) == 4
    assert bytes(output) == b"dcba\0\0\0\0"
    assert target.ioctl(IOCTL, internal=True) == 9
    assert asyncio.run(awaited(target, output)) == 4
    assert bytes(output)[:4] == b"hgfe"
    assert output.reference_count == 1
    assert target.statistics().controls == 3
    target.close()


async def awaited(target: Any, output: Any) -> int:
    return int(await target.ioctl_async(IOCTL, b"efgh", output))


def test_a_control_request_that_fails_says_how_far_it_came(lower: Lower) -> None:
    lower.device.on_ioctl(lambda request: request.complete(st.STATUS_BUFFER_OVERFLOW, 6))
    with local_target(lower.device) as target:
        with pytest.raises(membuf.MembufError) as caught:
            target.ioctl(IOCTL, b"x", bytearray(8))
        assert caught.value.status == st.STATUS_BUFFER_OVERFLOW
        assert caught.value.operands["information"] == 6


def test_a_control_request_is_cancelled_with_its_task(lower: Lower) -> None:
    async def give_up(target: Any) -> None:
        task = asyncio.ensure_future(awaited(target, bytearray(8)))
        await asyncio.sleep(0)
        request = await asyncio.to_thread(lower.one)
        request.mark_cancelable(lambda r: r.complete(st.STATUS_CANCELLED))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with local_target(lower.device) as target:
        asyncio.run(give_up(target))
        assert target.statistics().in_flight == 0


def test_a_control_request_times_out(lower: Lower) -> None:
    with local_target(lower.device) as target:
        target.stop()
        with pytest.raises(membuf.IoTimeoutError):
            target.ioctl(IOCTL, timeout=0.02)


def test_a_file_takes_none(image: Path) -> None:
    with membuf.open_target(f"stats+file:{image}") as target:
        assert status_of(lambda: target.ioctl(IOCTL)) == st.STATUS_INVALID_DEVICE_REQUEST
