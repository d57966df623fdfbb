"""Random traffic through one queue, compared with the model request by request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

import membuf
from membuf.base import status
from membuf.request import Queue
from tests.model.queue import CANCELLED, OK, REFUSED, Model
from tests.receiving import refused

WHICH = st.integers(0, 1000)
OPERATIONS = st.sampled_from(("start", "stop", "stop_and_purge", "drain", "purge"))
STATUS = {OK: 0, CANCELLED: status.STATUS_CANCELLED, REFUSED: status.STATUS_INVALID_DEVICE_STATE}


class QueueTraffic(RuleBasedStateMachine):
    """One queue; requests are known by the offset they are sent with."""

    @initialize(
        dispatch=st.sampled_from(("sequential", "parallel", "manual")), maximum=st.integers(1, 3)
    )
    def create(self, dispatch: Any, maximum: int) -> None:
        """A fresh queue whose driver keeps what it is presented."""
        device = membuf.Device("traffic")
        parallel = dispatch == "parallel"
        self.queue = device.queue(
            "q", dispatch=dispatch, maximum=maximum if parallel else None, default=True
        )
        self.model = Model(dispatch, maximum if parallel else 1)
        self.requests: dict[int, Any] = {}
        self.presented: list[int] = []
        self.told: list[int] = []
        self.finished: list[str] = []
        self.pending: list[Any] = []
        if dispatch != "manual":
            self.queue.on_write(self.keep)
        self.handle = device.open()

    def keep(self, request: Any) -> None:
        """The driver's handler."""
        self.requests[request.offset] = request
        self.presented.append(request.offset)

    def one_of(self, numbers: Any, which: int) -> int | None:
        """A number among those that there are."""
        ordered = sorted(numbers)
        return ordered[which % len(ordered)] if ordered else None

    @rule()
    def submit(self) -> None:
        """A write comes."""
        number = len(self.pending)
        self.pending.append(self.handle.start_write(b"x", number))
        self.model.submit(number)

    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        """An originator changes its mind."""
        number = self.one_of(range(len(self.pending)), which)
        if number is not None:
            self.pending[number].cancel()
            self.model.cancel(number)

    @precondition(lambda self: self.model.dispatch != "parallel")
    @rule()
    def retrieve(self) -> None:
        """The driver asks for the next one."""
        if not self.model.dispatches:
            with refused(status.STATUS_WDF_PAUSED):
                self.queue.retrieve_next()
            return
        request = self.queue.retrieve_next()
        if request is None:
            assert self.model.waiting == []
        else:
            self.keep(request)
            self.model.take()

    @rule(which=WHICH)
    def complete(self, which: int) -> None:
        """The driver completes what is not marked; what was called back, as cancelled."""
        number = self.one_of(set(self.model.owned) - self.model.marked, which)
        if number is not None:
            how = CANCELLED if number in self.model.told else OK
            self.requests.pop(number).complete(STATUS[how])
            self.model.complete(number, how)

    @rule(which=WHICH)
    def mark(self, which: int) -> None:
        """The driver lets one be cancelled."""
        number = self.one_of(set(self.model.owned) - self.model.marked, which)
        if number is not None:
            marked = self.requests[number].try_mark_cancelable(
                lambda request: self.told.append(request.offset)
            )
            assert marked == self.model.mark(number)

    @rule(which=WHICH)
    def unmark(self, which: int) -> None:
        """The driver takes the callback back."""
        number = self.one_of(self.model.marked, which)
        if number is not None:
            self.requests[number].unmark_cancelable()
            self.model.marked.remove(number)

    @precondition(lambda self: self.model.dispatch == "manual")
    @rule(which=WHICH)
    def requeue(self, which: int) -> None:
        """The driver gives one back."""
        number = self.one_of(set(self.model.owned) - self.model.marked, which)
        if number is not None:
            self.requests.pop(number).requeue()
            self.model.told = [told for told in self.model.told if told != number]
            self.told = [told for told in self.told if told != number]
            self.model.requeue(number)

    @rule(name=OPERATIONS)
    def operate(self, name: str) -> None:
        """The driver changes the queue's state, unless a callback of that kind is pending."""
        busy = self.model.on_idle if name.startswith("stop") else self.model.on_empty
        if name == "start":
            self.queue.start()
        elif busy is None:
            getattr(self.queue, name)(lambda _: self.finished.append(name))
        else:
            return
        self.model.operate(name)

    @invariant()
    def agrees(self) -> None:
        """Everything that can be seen is as the model says."""
        if not hasattr(self, "model"):
            return
        model, queue = self.model, self.queue
        assert queue.waiting == len(model.waiting)
        assert queue.owned == len(model.owned)
        assert self.presented == model.presented
        assert sorted(self.told) == sorted(model.told)
        assert self.finished == model.finished
        ended = {n: one.status for n, one in enumerate(self.pending) if one.done}
        assert ended == {n: STATUS[how] for n, how in model.ended.items()}
        assert bool(queue.state & 1) == model.accepts
        assert bool(queue.state & 2) == model.dispatches

    def teardown(self) -> None:
        """Every request comes to its end."""
        if hasattr(self, "model"):
            for one in self.pending:
                one.cancel()
            for request in self.requests.values():
                if request.owned:
                    request.complete(STATUS[CANCELLED])
            self.requests.clear()
            assert all(one.done for one in self.pending)


TestQueueTraffic = QueueTraffic.TestCase
TestQueueTraffic.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def at_the_tail(self: Queue, request: Any, head: bool = False) -> None:
    """Requeueing that forgets where."""
    ENTER(self, request)


def one_more(self: Queue, device: Any, dispatch: str, maximum: int, *rest: Any) -> None:
    """A maximum that is one too high."""
    CONFIGURE(self, device, dispatch, maximum + 1, *rest)


ENTER, CONFIGURE = Queue._enter, Queue._configure
DEFECTS = {
    "requeue at the tail": ("_enter", at_the_tail, "manual", "submit submit retrieve requeue"),
    "one too many": ("_configure", one_more, "parallel", "submit submit"),
    "waiting ones forgotten": ("_cancel_all", lambda self: None, "manual", "submit purge"),
}


@pytest.mark.parametrize(("method", "wrong", "dispatch", "steps"), DEFECTS.values(), ids=DEFECTS)
def test_the_model_sees_a_planted_defect(
    method: str, wrong: Any, dispatch: str, steps: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps do no harm alone; with the defect what is seen differs from the model."""
    assert differs(dispatch, steps) is None
    monkeypatch.setattr(Queue, method, wrong)
    assert differs(dispatch, steps) is not None


def differs(dispatch: str, steps: str) -> AssertionError | None:
    """Take the steps, and retrieve what is there; where model and queue differ, how."""
    traffic: Any = QueueTraffic()
    traffic.create(dispatch, 1)
    try:
        for step in steps.split():
            if step == "purge":
                traffic.operate("purge")
            elif step == "requeue":
                traffic.requeue(0)
            else:
                getattr(traffic, step)()
            traffic.agrees()
        if dispatch == "manual":
            traffic.retrieve()
            traffic.agrees()
    except AssertionError as error:
        return error
    finally:
        traffic.teardown()
    return None
