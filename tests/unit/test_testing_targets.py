"""The kit for targets passes every built-in target, and finds the defects that are planted."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

import membuf
from membuf.target import Target, TargetState
from membuf.target.filters import Filter, Send, Steps, Transfer
from membuf.testing import TargetDefectError, check_target
from tests.engines import ENGINES

STACKS = [
    "",
    "delay(time=20us)+",
    "error+",
    "log+",
    "rate(limit=1GiB/s)+",
    "stats+",
    "checksum+",
    "cow+",
    "log+stats+delay(time=0s)+checksum+cow+error+",
]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(bytes(65536))
    return path


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("stack", STACKS)
def test_a_built_in_target_keeps_the_rules(image: Path, stack: str, engine: str) -> None:
    opened: list[Target] = []

    def factory() -> Target:
        opened.append(membuf.open_target(f"{stack}file:{image}", engine=engine))
        return opened[-1]

    check_target(factory)
    assert {target.state for target in opened} <= {TargetState.CLOSED, TargetState.DELETED}


def test_a_rule_can_be_left_out(image: Path) -> None:
    def readonly() -> Target:
        return membuf.open_target(f"readonly+file:{image}")

    with pytest.raises(TargetDefectError) as caught:
        check_target(readonly)
    broken = caught.value.defects
    assert "what is written is read back, and the counts are those of the bytes" in broken
    assert "a closed target takes nothing, and cannot be started" not in broken
    check_target(readonly, leave_out=broken)
    with pytest.raises(ValueError, match="there is no rule 'speed'"):
        check_target(readonly, leave_out=["speed"])


# ---- planted defects ----------------------------------------------------------------------------


class Plant(Filter):
    """A filter that lets everything pass; its subclasses do not quite."""

    filter_name = "plant"

    def steps(self, transfer: Transfer) -> Steps:
        return (yield transfer.down())


class Miscounts(Plant):
    def steps(self, transfer: Transfer) -> Steps:
        count = yield transfer.down()
        return count - (transfer.verb == "write")


class Corrupts(Plant):
    def steps(self, transfer: Transfer) -> Steps:
        count = yield transfer.down()
        if transfer.verb == "read":
            transfer.views()[0][-1] ^= 1
        return count


class Strays(Plant):
    """Writes to another place than it was told."""

    def steps(self, transfer: Transfer) -> Steps:
        if transfer.verb != "write":
            return (yield transfer.down())
        count = 0
        for view in transfer.views():
            count += yield Send(self.lower, 4, view, transfer.offset + 1)
        return count


class ForgetsLengths(Plant):
    def read(self, memory: Any, offset: Any = 0, **options: Any) -> int:
        return super().read(memory, offset, timeout=options.get("timeout"))


class ChecksNothing(Plant):
    def read(self, memory: Any, offset: Any = 0, **options: Any) -> int:
        try:
            return super().read(memory, offset, **options)
        except membuf.IntegerOverflowError:
            return 0


leaked: list[membuf.Memory] = []


class Leaks(Plant):
    def write(self, memory: Any, offset: Any = 0, **options: Any) -> int:
        if isinstance(memory, membuf.Memory):
            memory.reference("leak")
            leaked.append(memory)
        return super().write(memory, offset, **options)


class TellsTwice(Plant):
    def read_nowait(self, memory: Any, offset: Any, on_complete: Any, **options: Any) -> None:
        def twice(*told: Any) -> None:
            on_complete(*told)
            on_complete(*told)

        super().read_nowait(memory, offset, twice, **options)


class TellsNobody(Plant):
    def read_nowait(self, memory: Any, offset: Any, on_complete: Any, **options: Any) -> None:
        super().read_nowait(memory, offset, lambda *_: None, **options)


class ShufflesBatches(Plant):
    def read_many(self, items: Any) -> list[int]:
        pairs = list(items)
        memories = [memory for memory, _ in reversed(pairs)]
        return super().read_many(zip(memories, [offset for _, offset in pairs], strict=True))


class NeverStops(Plant):
    def stop(self, *action: Any) -> None:
        """Not at all."""


class ForgetsWhatWaits(Plant):
    def start(self) -> None:
        self._turn_out()
        super().start()


class CannotCancel(Plant):
    def cancel_packet(self, packet: Any) -> bool:
        return False


class HasNoTime(Plant):
    def send_packet(self, packet: Any, synchronous: bool, timeout: Any, ignore: bool, /) -> None:
        super().send_packet(packet, synchronous, None, ignore)


class PurgesNothing(Plant):
    def purge(self, *, wait: bool = True) -> None:
        super().stop()


class Reopens(Plant):
    def start(self) -> None:
        self._state = TargetState.STOPPED
        super().start()


class LetsGoEarly(Plant):
    def send_packet(self, packet: Any, *options: Any) -> None:
        super().send_packet(packet, *options)
        packet.release()


class CountsNothing(Plant):
    def statistics(self) -> Any:
        import dataclasses

        return dataclasses.replace(super().statistics(), flushes=0)


DEFECTS: list[tuple[type[Plant], str]] = [
    (Miscounts, "what is written is read back"),
    (Corrupts, "what is written is read back"),
    (Strays, "what is written is read back"),
    (ForgetsLengths, "a part of memory is moved"),
    (ChecksNothing, "a part outside the memory is refused"),
    (Leaks, "no memory is held once a transfer has ended"),
    (TellsTwice, "a callback is told memory, count and no error, once"),
    (TellsNobody, "a callback is told memory, count and no error, once"),
    (ShufflesBatches, "a batch answers its counts in order"),
    (NeverStops, "a stopped target keeps what it is sent"),
    (ForgetsWhatWaits, "a stopped target keeps what it is sent"),
    (CannotCancel, "what waits in a stopped target can be cancelled"),
    (HasNoTime, "what waits in a stopped target ends when its time is up"),
    (PurgesNothing, "a purge ends what waits as not sent"),
    (Reopens, "a closed target takes nothing, and cannot be started"),
    (LetsGoEarly, "a request holds its memory from its format to its reuse"),
    (CountsNothing, "a flush ends, and is counted with the transfers"),
]


@pytest.mark.parametrize(
    ("defective", "rule"), DEFECTS, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_planted_defect_is_found(
    image: Path, defective: type[Plant], rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("membuf.testing.expecting.PATIENCE_SECONDS", 0.3)
    opened: list[Target] = []

    def factory() -> Target:
        opened.append(defective(membuf.open_target(f"file:{image}")))
        return opened[-1]

    with pytest.raises(TargetDefectError) as caught:
        check_target(factory, seconds=1.0)
    assert [found for found in caught.value.defects if found.startswith(rule)]
    assert rule in str(caught.value)
    end(opened)


def end(opened: list[Target]) -> None:
    """Let go what a defect left hanging."""
    while leaked:
        leaked.pop().dereference("leak")
    for target in opened:
        with contextlib.suppress(membuf.MembufError):
            Plant.start(target)  # type: ignore[arg-type]
        with contextlib.suppress(membuf.ObjectDeletedError):
            target.delete()
