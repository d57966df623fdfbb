"""Random calls on transactions that share map registers, against a slow model of the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import membuf
import membuf.dma as dma
from tests.dma import PAGE, mdl_of

COUNT, REGISTERS = 3, 4
LENGTHS = some.sampled_from([1, PAGE, 2 * PAGE, 5 * PAGE])


class Model:
    """What the specification says of one transaction: its state, and figures of its run."""

    def __init__(self) -> None:
        self.state = "CREATED"
        self.remaining = self.current = self.moved = 0
        self.waits = False

    def clear(self, state: str) -> None:
        """Its run is forgotten."""
        self.__init__()  # type: ignore[misc]
        self.state = state


class Machine(RuleBasedStateMachine):
    """The real thing beside the model: same states, same figures, same refusals."""

    def __init__(self) -> None:
        super().__init__()
        self.enabler = dma.Enabler(
            membuf.Object(name="device"),
            dma.SCATTER_GATHER_64,
            maximum_length=2 * PAGE,
            map_registers=REGISTERS,
        )
        self.ts = [self.enabler.transaction() for _ in range(COUNT)]
        self.models = [Model() for _ in range(COUNT)]
        self.free, self.queue = REGISTERS, list[int]()
        self.programmed: list[int] = []
        self.expected: list[int] = []

    def program(self, t: Any, *_: Any) -> None:
        """EvtProgramDma."""
        self.programmed.append(self.ts.index(t))

    def attempt(self, which: int, legal: tuple[str, ...], call: Callable[[], object]) -> bool:
        """Make a call, which is refused exactly where it is not legal; whether it was made."""
        if self.models[which].state in legal:
            call()
            return True
        with pytest.raises(membuf.InvalidDeviceStateError) as raised:
            call()
        assert raised.value.bugcheck is not None
        assert raised.value.bugcheck[:2] == (0x10D, 8)
        return False

    # ---- the model -------------------------------------------------------------------------------

    def pages(self, which: int) -> int:
        """Map registers that a transfer holds: its MDL begins in the middle of a page."""
        return -(-(self.models[which].current + self.at(which) % PAGE) // PAGE)

    def at(self, which: int) -> int:
        """Where in the chain the transfer begins."""
        return 0x800 + self.models[which].moved

    def stage(self, which: int) -> None:
        """The next transfer is taken up, or waits."""
        model = self.models[which]
        model.current = min(model.remaining, 2 * PAGE)
        model.remaining -= model.current
        model.waits = True
        self.queue.append(which)
        self.grant()

    def grant(self) -> None:
        """Whoever's turn has come gets map registers."""
        while self.queue and self.pages(self.queue[0]) <= self.free:
            which = self.queue.pop(0)
            self.free -= self.pages(which)
            self.models[which].waits = False
            self.expected.append(which)

    def leave(self, which: int) -> None:
        """The registers of a transfer, or its place in the queue, are given up."""
        if self.models[which].waits:
            self.queue.remove(which)
        elif self.models[which].current or self.models[which].state == "TRANSFER":
            self.free += self.pages(which)

    # ---- the calls -------------------------------------------------------------------------------

    @rule(which=some.integers(0, COUNT - 1), length=LENGTHS)
    def initialize(self, which: int, length: int) -> None:
        t, model = self.ts[which], self.models[which]
        mdl = mdl_of((0x800, length))
        legal = ("CREATED", "RELEASED")
        if self.attempt(which, legal, lambda: t.initialize(self.program, 1, mdl)):
            model.clear("INITIALIZED")
            model.remaining = length

    @rule(which=some.integers(0, COUNT - 1))
    def execute(self, which: int) -> None:
        if self.attempt(which, ("INITIALIZED",), self.ts[which].execute):
            self.models[which].state = "TRANSFER"
            self.stage(which)

    @rule(which=some.integers(0, COUNT - 1), part=some.sampled_from([0, 1, None, "more"]))
    def complete(self, which: int, part: Any) -> None:
        t, model = self.ts[which], self.models[which]
        length = model.current if part is None else part
        if part == "more":
            length = model.current + 1
        legal = () if model.waits else ("TRANSFER",)
        refused: list[str] = []

        def call() -> None:
            try:
                t.completed_with_length(length)
            except membuf.InvalidParameterError:
                refused.append("length")

        if not self.attempt(which, legal, call):
            return
        assert bool(refused) == (length > model.current)
        self.free += self.pages(which)
        if refused:
            model.state, model.current = "TRANSFER_FAILED", 0
        else:
            model.moved += length
            model.remaining += model.current - length
            model.current = length
            if model.remaining:
                self.stage(which)
            else:
                model.state, model.current = "TRANSFER_COMPLETED", 0
        self.grant()

    @rule(which=some.integers(0, COUNT - 1))
    def finish(self, which: int) -> None:
        t, model = self.ts[which], self.models[which]
        legal = () if model.waits else ("TRANSFER",)
        if self.attempt(which, legal, lambda: t.completed_final(0)):
            self.free += self.pages(which)
            model.state, model.current = "TRANSFER_COMPLETED", 0
            self.grant()

    @rule(which=some.integers(0, COUNT - 1))
    def cancel(self, which: int) -> None:
        model, answers = self.models[which], []
        legal = ("INITIALIZED", "TRANSFER", "TRANSFER_COMPLETED", "TRANSFER_FAILED")
        if self.attempt(which, legal, lambda: answers.append(self.ts[which].cancel())):
            assert answers == [model.waits]
            if model.waits:
                self.leave(which)
                model.state, model.current, model.waits = "TRANSFER_FAILED", 0, False
                self.grant()

    @rule(which=some.integers(0, COUNT - 1))
    def release(self, which: int) -> None:
        self.ts[which].release()
        if self.models[which].state == "TRANSFER":
            self.leave(which)
        self.models[which].clear("RELEASED")
        self.grant()

    @rule(which=some.integers(0, COUNT - 1))
    def delete_and_make_anew(self, which: int) -> None:
        self.ts[which].delete()
        if self.models[which].state == "TRANSFER":
            self.leave(which)
        self.models[which].clear("CREATED")
        self.ts[which] = self.enabler.transaction()
        self.grant()

    @invariant()
    def both_agree(self) -> None:
        for t, model in zip(self.ts, self.models, strict=True):
            assert t.state.name == model.state
            assert (t.bytes_transferred, t.current_length) == (model.moved, model.current)
        statistics = self.enabler.statistics()
        assert (statistics.free_map_registers, statistics.waiting) == (self.free, len(self.queue))
        assert self.programmed == self.expected


TestTransactions = Machine.TestCase
