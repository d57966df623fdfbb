"""Timers: one thread for all targets, which fires what is due and keeps little of what is over."""

from __future__ import annotations

import threading
import time

import pytest

import membuf
from membuf.request import Request
from membuf.target.timers import Timers, timers


class Alarm:
    """Something that is due once."""

    def __init__(self) -> None:
        self.over = False
        self.fired = threading.Event()

    def fire(self) -> None:
        self.fired.set()


def test_what_is_due_is_fired_in_its_order() -> None:
    own, alarms = Timers(), [Alarm() for _ in range(3)]
    for seconds, alarm in zip((0.6, 0.02, 30), alarms, strict=True):
        own.add(seconds, alarm)
    begin = time.monotonic()
    assert alarms[1].fired.wait(30)
    assert not alarms[0].fired.is_set()
    assert alarms[0].fired.wait(30)
    assert 0.5 < time.monotonic() - begin < 20
    assert not alarms[2].fired.is_set()


def test_what_is_over_is_not_fired_and_not_kept() -> None:
    own, alarms = Timers(), [Alarm() for _ in range(1000)]
    for alarm in alarms:
        own.add(0.2, alarm)
        alarm.over = True
    assert len(own._heap) <= 64
    last = Alarm()
    own.add(0.25, last)
    assert last.fired.wait(30)
    assert not any(alarm.fired.is_set() for alarm in alarms)


def test_targets_share_one_thread_and_leave_little_behind() -> None:
    before = threading.active_count()
    for _ in range(200):
        with membuf.open_target("file:/dev/null", access="write", engine="threads") as target:
            request, ended = Request(target), threading.Event()
            request.format_write(b"x")
            request.send(lambda *_: ended.set(), timeout=30)  # noqa: B023
            assert ended.wait(30)
    assert len(timers._heap) <= 64
    assert threading.active_count() <= before + 2


def test_a_thread_that_cannot_be_started_fails_the_send(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(_: threading.Thread) -> None:
        raise RuntimeError("planted")

    with membuf.open_target("file:/dev/null", access="write", engine="threads") as target:
        request = Request(target)
        request.format_write(b"x")
        monkeypatch.setattr("membuf.target.endpoint.timers", Timers())
        monkeypatch.setattr(threading.Thread, "start", cannot)
        with pytest.raises(membuf.InsufficientResourcesError, match="timers"):
            request.send(timeout=1.0)
        assert not request.in_flight
        monkeypatch.undo()
        request.send(synchronous=True)
        assert request.result() == 1
