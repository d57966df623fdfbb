"""The slow and faulty disk of the gallery."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

import membuf
from tests.unit.test_examples_gallery import Model, load

example = load("throttled_disk")


def test_it_keeps_what_is_written() -> None:
    disk = example.open("ram:1MiB", latency="10us", rate="1GiB/s")
    with membuf.open_target("device:slow") as target:
        Model(target, seed=1).run(100, clears=False)
        target.flush()
    disk.delete()


def test_everybody_waits_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty reads, and none goes on before all of them are in their pause."""
    pauses: list[float] = []
    everybody = asyncio.Event()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 20:
            everybody.set()
        await everybody.wait()

    monkeypatch.setattr(example, "asyncio", SimpleNamespace(sleep=sleep))
    disk = example.open("ram:1MiB", latency="5ms")

    async def read_all(target: Any) -> list[int]:
        return await asyncio.gather(
            *(target.read_async(bytearray(512), number * 512) for number in range(20))
        )

    with membuf.open_target("device:slow") as target:
        assert asyncio.run(read_all(target)) == [512] * 20
    assert pauses == [0.005] * 20
    disk.delete()


def test_a_rate_is_shared_and_not_saved_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(example, "time", SimpleNamespace(monotonic=lambda: now[0]))
    throttle = example.Throttle(latency=0, rate=1000.0, errors=0)
    assert [throttle.reserve(500) for _ in range(3)] == [0.5, 1.0, 1.5]
    now[0] += 1.0
    assert throttle.reserve(500) == 1.0
    now[0] += 1000.0
    assert throttle.reserve(1000) == 1.0
    assert example.Throttle(latency=0, rate=None, errors=0).reserve(1 << 40) == 0.0


def test_some_transfers_fail_the_same_ones_every_time() -> None:
    def outcomes(seed: str) -> list[str]:
        disk = example.open("ram:1MiB", errors="25%", seed=seed)
        results = []
        with membuf.open_target("device:slow") as target:
            for number in range(100):
                try:
                    target.read(bytearray(512), number * 512)
                except membuf.MembufError as error:
                    results.append(error.status.name)
                else:
                    results.append("")
        disk.delete()
        return results

    first = outcomes("one")
    assert set(first) == {"", "STATUS_IO_DEVICE_ERROR"}
    assert 55 < first.count("") < 90
    assert outcomes("one") == first
    assert outcomes("two") != first


def test_all_fail_or_none() -> None:
    disk = example.open("ram:1MiB", errors="1")
    with membuf.open_target("device:slow") as target:
        for attempt in (
            lambda: target.read(bytearray(1), 0),
            lambda: target.write(b"x", 0),
            target.flush,
        ):
            with pytest.raises(membuf.MembufError, match="IO_DEVICE_ERROR"):
                attempt()
    disk.delete()


def test_what_fails_below_fails_here() -> None:
    disk = example.open("error(kind=enospc,on=write,rate=1)+ram:1MiB")
    with membuf.open_target("device:slow") as target:
        with pytest.raises(membuf.MembufError, match="DISK_FULL"):
            target.write(b"x", 0)
        assert target.read(bytearray(10), (1 << 20) - 10) == 10
    disk.delete()


@pytest.mark.parametrize(
    ("name", "text"),
    [("latency", "soon"), ("rate", "fast"), ("errors", "2"), ("errors", "some"), ("rate", "0")],
)
def test_bad_settings_are_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} (is not '{text}'|must be above 0)"):
        example.open(**{name: text})
