"""A queue as the specification tells it: slowly, in lists, one thing after another."""

from __future__ import annotations

from dataclasses import dataclass, field

OK, CANCELLED, REFUSED = "ok", "cancelled", "refused"


@dataclass
class Model:
    """Requests by their numbers: those that wait, those the driver has, and how the rest ended."""

    dispatch: str
    maximum: int
    waiting: list[int] = field(default_factory=list)
    owned: list[int] = field(default_factory=list)
    presented: list[int] = field(default_factory=list)
    ended: dict[int, str] = field(default_factory=dict)
    flagged: set[int] = field(default_factory=set)
    marked: set[int] = field(default_factory=set)
    told: list[int] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    accepts: bool = True
    dispatches: bool = True
    cancelling: bool = False
    on_idle: str | None = None
    on_empty: str | None = None

    def settle(self) -> None:
        """Present what can be, and end what operations wait for."""
        while (
            self.waiting
            and self.dispatches
            and self.dispatch != "manual"
            and len(self.owned) < self.maximum
        ):
            self.take()
        if not self.owned and self.on_idle:
            self.finished.append(self.on_idle)
            self.on_idle, self.cancelling = None, False
        if not self.owned and not self.waiting and self.on_empty:
            self.finished.append(self.on_empty)
            self.on_empty, self.cancelling = None, False

    def take(self) -> int:
        """The first becomes the driver's."""
        number = self.waiting.pop(0)
        self.owned.append(number)
        self.presented.append(number)
        return number

    def submit(self, number: int) -> None:
        """A new one."""
        if self.accepts:
            self.waiting.append(number)
        else:
            self.ended[number] = REFUSED
        self.settle()

    def complete(self, number: int, how: str = OK) -> None:
        """The driver completes one of its."""
        self.owned.remove(number)
        self.ended[number] = how
        self.settle()

    def cancel(self, number: int) -> None:
        """Its originator cancels."""
        if number in self.ended:
            return
        self.flagged.add(number)
        if number in self.waiting:
            self.waiting.remove(number)
            self.ended[number] = CANCELLED
        elif number in self.marked:
            self.marked.remove(number)
            self.told.append(number)
        self.settle()

    def mark(self, number: int) -> bool:
        """The driver tries to mark one of its."""
        if number in self.flagged or number in self.told or self.cancelling:
            return False
        self.marked.add(number)
        return True

    def requeue(self, number: int) -> None:
        """Back to the head."""
        self.owned.remove(number)
        if self.cancelling or number in self.flagged:
            self.ended[number] = CANCELLED
        else:
            self.waiting.insert(0, number)
        self.settle()

    def operate(self, name: str) -> None:
        """start, stop, stop_and_purge, drain or purge."""
        if name == "start":
            self.accepts = self.dispatches = True
            self.cancelling = False
        elif name.startswith("stop"):
            self.accepts, self.dispatches, self.on_idle = True, False, name
        else:
            self.accepts, self.on_empty = False, name
        if name.endswith("purge"):
            self.cancelling = True
            for number in self.waiting:
                self.ended[number] = CANCELLED
            self.waiting.clear()
            self.told += [number for number in self.owned if number in self.marked]
            self.marked.clear()
        self.settle()
