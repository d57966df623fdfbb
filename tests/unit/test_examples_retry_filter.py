"""The retry filter of the gallery."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.base import status as st
from membuf.testing import check_target
from tests.unit.test_examples_gallery import Model, load

example = load("retry_filter")

WAYS = {
    "read": lambda target: target.read(bytearray(512), 512),
    "write": lambda target: target.write(bytes(512), 512),
    "flush": lambda target: target.flush(),
    "read_async": lambda target: asyncio.run(later(target, "read_async", bytearray(512))),
    "write_async": lambda target: asyncio.run(later(target, "write_async", bytes(512))),
    "many": lambda target: target.read_many([(bytearray(512), 512)]),
    "vectored": lambda target: target.read([bytearray(100), bytearray(412)], 512),
    "part": lambda target: target.write(bytes(1024), 512, memory_offset=512),
}


async def later(target: Any, name: str, memory: Any) -> int:
    count: int = await getattr(target, name)(memory, 512)
    return count


KINDS = "read|write|flush|control"


def faulty(options: str = "wait=1us", kind: str = "eio") -> Any:
    """A retry filter over a target that fails when it is told to: `target.lower.trigger(n)`."""
    return membuf.open_target(f"retry({options})+error(kind={kind},on={KINDS})+ram:1MiB")


@pytest.mark.parametrize("way", WAYS)
def test_what_fails_twice_ends_well(way: str) -> None:
    with faulty() as target:
        target.lower.trigger(2)
        WAYS[way](target)
        assert target.retries == example.Retries(retries=2, recovered=1, given_up=0)


@pytest.mark.parametrize("way", WAYS)
def test_what_fails_three_times_has_failed(way: str) -> None:
    with faulty() as target:
        target.lower.trigger(3)
        with pytest.raises((membuf.TargetError, ExceptionGroup)) as caught:
            WAYS[way](target)
        error = caught.value
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        assert error.errno == errno.EIO
        assert target.retries == example.Retries(retries=2, recovered=0, given_up=1)
        WAYS[way](target)


@pytest.mark.parametrize(
    ("options", "kind", "retries"),
    [
        ("wait=1us", "enospc", 0),
        ("wait=1us", "etimedout", 1),
        ("wait=1us", "econnreset", 1),
        ("wait=1us,on=enospc|edquot", "enospc", 1),
        ("wait=1us,on=enospc", "eio", 0),
        ("tries=1", "eio", 0),
    ],
)
def test_which_errors_are_worth_another_try(options: str, kind: str, retries: int) -> None:
    with faulty(options, kind) as target:
        target.lower.trigger()
        if retries:
            assert target.read(bytearray(10), 0) == 10
        else:
            with pytest.raises(OSError, match="injected"):
                target.read(bytearray(10), 0)
        assert target.retries == example.Retries(retries, recovered=retries, given_up=0)


def test_a_faulty_disk_becomes_a_good_one() -> None:
    name = "retry(tries=60,wait=1us,most=2us)+error(rate=50%,seed=3)+ram:1MiB"
    with membuf.open_target(name) as target:
        Model(target, seed=7).run(100)
        assert target.retries.retries > 20
        assert target.retries.given_up == 0


@pytest.mark.parametrize("way", ["read", "write", "flush"])
def test_what_a_device_passes_on_is_tried_again(way: str) -> None:
    with faulty() as lower:
        device = membuf.Device("passes", lower=lower, filter=True)
        with membuf.open_target("device:passes") as target:
            lower.lower.trigger(2)
            WAYS[way](target)
        assert lower.retries.recovered == 1
        device.delete()


def test_what_a_device_answers_is_tried_again_by_its_status() -> None:
    device = membuf.Device("busy")
    answers = [st.STATUS_DEVICE_BUSY, st.STATUS_IO_TIMEOUT, st.STATUS_SUCCESS]
    device.on_write(lambda request: request.complete(answers.pop(0), request.length))
    with membuf.open_target("retry(wait=1us)+device:busy") as target:
        assert target.write(b"hello", 0) == 5
        assert target.retries.retries == 2
    device.delete()


@pytest.mark.parametrize("passed", [False, True])
def test_control_requests_of_disks_are_tried_again(passed: bool) -> None:
    with faulty() as lower:
        device = membuf.Device("passes", lower=lower, filter=True)
        with membuf.open_target("device:passes") as upper:
            target = upper if passed else lower
            target.write(b"x" * 8192, 0)
            for ask in (
                lambda: target.trim(0, 4096) is None,
                lambda: target.zero(4096, 4096) is None,
                lambda: [extent.data for extent in target.extents()] == [False],
            ):
                lower.lower.trigger(2)
                assert ask()
        assert lower.retries == example.Retries(retries=6, recovered=3)
        device.delete()


def test_other_control_requests_are_tried_once() -> None:
    device = membuf.Device("busy")
    device.on_ioctl(lambda request: request.complete(st.STATUS_DEVICE_BUSY))
    with membuf.open_target("retry(wait=1us)+device:busy") as target:
        with pytest.raises(membuf.MembufError, match="DEVICE_BUSY"):
            target.ioctl(0x222000)
        assert target.retries == example.Retries()
        with pytest.raises(membuf.MembufError, match="DEVICE_BUSY"):
            target.trim(0, 4096)
        assert target.retries == example.Retries(retries=2, given_up=1)
    device.delete()


def test_a_stream_is_tried_once() -> None:
    read_end, write_end = os.pipe()
    with membuf.open_target(f"retry+error+fd:{write_end}") as target:
        assert target.stream
        target.lower.trigger()
        with pytest.raises(membuf.TargetError):
            target.write(b"hello", None)
        assert target.retries == example.Retries()
        assert target.write(b"hello", None) == 5
    os.close(read_end)
    os.close(write_end)


def test_a_pause_can_be_cancelled() -> None:
    async def give_up(target: Any) -> None:
        target.lower.trigger()
        task = asyncio.ensure_future(later(target, "read_async", bytearray(512)))
        for _ in range(100):  # until it is in its pause
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with faulty("wait=10min,most=10min") as target:
        asyncio.run(give_up(target))
        assert target.retries == example.Retries(retries=1)
        target.lower.trigger()
        with pytest.raises(membuf.IoTimeoutError):
            target.read(bytearray(10), 0, timeout=0.01)


def test_waits_grow_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    pause = example.Pause
    monkeypatch.setattr(example, "Pause", lambda seconds: pauses.append(seconds) or pause(0))
    with faulty("tries=6,wait=100ms,most=500ms") as target:
        target.lower.trigger(5)
        assert target.read(bytearray(10), 0) == 10
    assert pauses == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_it_is_a_target_like_others(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    made: list[Any] = []

    def make() -> Any:
        made.append(membuf.open_target(f"retry+file:{image}"))
        return made[-1]

    check_target(make)
    assert {target.retries for target in made} == {example.Retries()}


def test_it_is_opened_by_settings() -> None:
    with example.open(below="error(kind=ebusy)+ram:1MiB", tries="2", wait="1us") as target:
        target.lower.trigger(2)
        with pytest.raises(OSError, match="injected"):
            target.read(bytearray(1), 0)
        assert target.retries == example.Retries(retries=1, given_up=1)
    with example.open(below="ram:1MiB") as target:
        assert target.size == 1 << 20


@pytest.mark.parametrize("text", ["tries=0", "tries=x", "wait=soon", "on=eiou", "colour=red"])
def test_bad_options_are_refused(text: str) -> None:
    name, _, value = text.partition("=")
    with pytest.raises(membuf.InvalidParameterError, match=name):
        example.open(below="ram:1MiB", **{name: value})
