"""What every target must do: one function for each rule, run by `check_target`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from membuf._native import Memory
from membuf.base import status as st
from membuf.base.errors import (
    IntegerOverflowError,
    InvalidDeviceStateError,
    IoTimeoutError,
    ObjectDeletedError,
)
from membuf.request import Request
from membuf.target import TargetState
from membuf.testing.expecting import Told, equal, raises, settled

if TYPE_CHECKING:
    from membuf.target import Target

Check = Callable[["Target"], None]
Entered = TypeVar("Entered", bound=Check)

CHECKS: Final[dict[str, Check]] = {}
"""Every check by the sentence that says what must hold."""

BLOCK: Final = 4096
ROUNDS: Final = 2000


def check(rule: str) -> Callable[[Entered], Entered]:
    """Enter a check under its rule."""

    def enter(function: Entered) -> Entered:
        CHECKS[rule] = function
        return function

    return enter


def block(fill: int | None = None) -> Memory:
    """A page of memory, which every alignment accepts; counting up, or of one value."""
    memory = Memory(BLOCK, alignment=BLOCK)
    memory.copy_from(
        bytes(i % 251 for i in range(BLOCK)) if fill is None else bytes([fill]) * BLOCK
    )
    return memory


def stored(target: Target, offset: int = 0) -> bytes:
    """A block of the target, read plainly."""
    memory = block(0xEE)
    equal(target.read(memory, offset), BLOCK, "the count of a whole read")
    return bytes(memory)


# ---- transfers ----------------------------------------------------------------------------------


@check("an opened target is started")
def _opened(target: Target) -> None:
    equal(target.state, TargetState.STARTED, "state")


@check("what is written is read back, and the counts are those of the bytes")
def _round_trip(target: Target) -> None:
    data = block()
    equal(target.write(data, BLOCK), BLOCK, "the count of a write")
    equal(stored(target, BLOCK), bytes(data), "the bytes read back")
    equal(target.write(data, 0, timeout=60), BLOCK, "the count of a write with a timeout")
    memory = block(0)
    equal(target.read(memory, 0, timeout=60), BLOCK, "the count of a read with a timeout")
    equal(bytes(memory), bytes(data), "the bytes of a read with a timeout")


@check("a part of memory is moved, and the rest is left alone")
def _parts(target: Target) -> None:
    target.write(block(0x11), 0)
    memory = Memory(3 * BLOCK, alignment=BLOCK)
    memory.copy_from(bytes([0x22]) * 3 * BLOCK)
    count = target.read(memory, 0, memory_offset=BLOCK, memory_length=BLOCK)
    equal(count, BLOCK, "the count of a read into a part")
    expected = b"".join(bytes([fill]) * BLOCK for fill in (0x22, 0x11, 0x22))
    equal(bytes(memory), expected, "the memory around the part")
    equal(target.write(memory, 0, memory_offset=2 * BLOCK), BLOCK, "the count to the end")
    equal(stored(target), bytes([0x22]) * BLOCK, "the bytes written from a part")


@check("a part outside the memory is refused before anything is moved")
def _outside(target: Target) -> None:
    memory = block(0x33)
    for start, length in ((BLOCK + 1, None), (0, BLOCK + 1), (BLOCK, 1), (2**63, 0)):
        with raises(IntegerOverflowError, f"memory_offset={start}, memory_length={length}"):
            target.read(memory, 0, memory_offset=start, memory_length=length)
    equal(bytes(memory), bytes([0x33]) * BLOCK, "the memory after a refusal")


@check("read-only memory is not read into")
def _read_only(target: Target) -> None:
    with raises(TypeError, "a read into bytes"):
        target.read(bytes(BLOCK), 0)


@check("several buffers are filled and written in their order")
def _vectors(target: Target) -> None:
    first, second = block(0x44), block(0x55)
    equal(target.write([first, second], 0), 2 * BLOCK, "the count of a vectored write")
    equal(stored(target, BLOCK), bytes(second), "the second buffer's bytes")
    into = [block(0), block(0)]
    equal(target.read(into, 0), 2 * BLOCK, "the count of a vectored read")
    equal([bytes(memory) for memory in into], [bytes(first), bytes(second)], "the buffers read")


@check("transfers of an event loop end with their counts")
def _awaited(target: Target) -> None:
    async def all_at_once() -> list[int]:
        writes = [target.write_async(block(i + 1), i * BLOCK) for i in range(4)]
        counts = await asyncio.gather(*writes)
        memories = [block(0) for _ in range(4)]
        counts += await asyncio.gather(
            *(target.read_async(memory, i * BLOCK) for i, memory in enumerate(memories))
        )
        equal([memory.buffer[0] for memory in memories], [1, 2, 3, 4], "the blocks awaited")
        return counts

    equal(asyncio.run(all_at_once()), [BLOCK] * 8, "the counts awaited")


@check("a callback is told memory, count and no error, once")
def _noticed(target: Target) -> None:
    memory, told = block(0), Told()
    target.write(block(0x66), 0)
    target.read_nowait(memory, 0, told)
    equal(told.one(), (memory, BLOCK, None), "what the callback was told")
    equal(memory.buffer[0], 0x66, "the bytes when the callback was called")


@check("a callback may send the next transfer, as often as it likes")
def _chained(target: Target) -> None:
    memory, ended, counts = block(), threading.Event(), [0]

    def again(*told: Any) -> None:
        counts[0] += 1
        if counts[0] == ROUNDS or told[2] is not None:
            ended.set()
        else:
            target.write_nowait(memory, 0, again)

    target.write_nowait(memory, 0, again)
    equal(ended.wait(60), True, "the end of the chain")
    equal(counts[0], ROUNDS, "the transfers that callbacks sent")


@check("a batch answers its counts in order")
def _batches(target: Target) -> None:
    items = [(block(i), i * BLOCK) for i in range(8)]
    equal(target.write_many(items), [BLOCK] * 8, "the counts of write_many")
    into = [(block(0xEE), i * BLOCK) for i in reversed(range(8))]
    equal(target.read_many(into), [BLOCK] * 8, "the counts of read_many")
    equal([memory.buffer[0] for memory, _ in into], list(reversed(range(8))), "the blocks read")


@check("no memory is held once a transfer has ended")
def _let_go(target: Target) -> None:
    memory, told = block(), Told()
    target.write(memory, 0)
    target.read_many([(memory, 0)])
    target.write_nowait(memory, 0, told)
    told.one()
    told.forget()
    asyncio.run(_write_once(target, memory))
    settled(lambda: memory.reference_count == 1, "one reference on memory that was moved")


async def _write_once(target: Target, memory: Memory) -> int:
    return await target.write_async(memory, 0)


@check("a flush ends, and is counted with the transfers")
def _counted(target: Target) -> None:
    before = target.statistics()
    target.write(block(), 0)
    stored(target)
    target.flush()
    after = target.statistics()
    equal(after.writes - before.writes, 1, "writes counted")
    equal(after.reads - before.reads, 1, "reads counted")
    equal(after.flushes - before.flushes, 1, "flushes counted")
    equal(after.bytes_written - before.bytes_written, BLOCK, "bytes written counted")
    equal(after.in_flight, 0, "transfers in flight")


# ---- requests -----------------------------------------------------------------------------------


@check("a request holds its memory from its format to its reuse")
def _ledger(target: Target) -> None:
    memory, request, told = block(0), Request(target), Told()
    request.format_read(memory, 0)
    equal(memory.reference_count, 2, "references after the format")
    request.send(told)
    params = told.one()[2]
    equal((params.status, params.information), (st.STATUS_SUCCESS, BLOCK), "how it ended")
    settled(lambda: not request.in_flight, "the request out of flight")
    equal(memory.reference_count, 2, "references after the end")
    request.reuse()
    settled(lambda: memory.reference_count == 1, "one reference after reuse")


@check("a synchronous request has ended when its send returns")
def _synchronous(target: Target) -> None:
    request, told = Request(target), Told()
    request.format_write(block(0x77), 0)
    request.send(told, synchronous=True)
    equal(told.thread, threading.get_ident(), "the thread that ran the completion routine")
    equal((request.in_flight, request.result()), (False, BLOCK), "in_flight and result")
    request.reuse()
    equal(stored(target)[:1], b"\x77", "the bytes written")


# ---- states -------------------------------------------------------------------------------------


def parked(target: Target, told: Told) -> Request:
    """A write that waits in a stopped target."""
    target.stop()
    request = Request(target)
    request.format_write(block(0x88), 0)
    request.send(told)
    equal((request.in_flight, told.count), (True, 0), "a request in a stopped target")
    return request


@check("a stopped target keeps what it is sent, and sends it when it is started")
def _stopped(target: Target) -> None:
    told = Told()
    request = parked(target, told)
    equal(target.state, TargetState.STOPPED, "state")
    equal(target.statistics().waiting, 1, "requests waiting")
    target.start()
    told.one()
    request.reuse()
    equal(target.state, TargetState.STARTED, "state")
    equal(stored(target)[:1], b"\x88", "the bytes written after the start")


@check("what waits in a stopped target can be cancelled")
def _cancelled(target: Target) -> None:
    told = Told()
    request = parked(target, told)
    equal(request.cancel(), True, "the answer of cancel")
    params = told.one()[2]
    equal((params.status, params.information), (st.STATUS_CANCELLED, 0), "how it ended")
    request.reuse()
    target.start()


@check("what waits in a stopped target ends when its time is up")
def _expired(target: Target) -> None:
    target.stop()
    with raises(IoTimeoutError, "a read of a stopped target with a timeout"):
        target.read(block(), 0, timeout=0.02)
    told, request = Told(), Request(target)
    request.format_read(block(), 0)
    request.send(told, timeout=0.02)
    equal(told.one()[2].status, st.STATUS_IO_TIMEOUT, "how a request ended")
    request.reuse()
    target.start()


@check("a purge ends what waits as not sent, and refuses what comes")
def _purged(target: Target) -> None:
    told = Told()
    request = parked(target, told)
    target.purge()
    params = told.one()[2]
    expected = (st.STATUS_WDF_DEVICE_REMOVED_NOT_SENT, 0)
    equal((params.status, params.information), expected, "how it ended")
    request.reuse()
    request.format_read(block(), 0)
    told.forget()
    with raises(InvalidDeviceStateError, "a send to a purged target"):
        request.send(told)
    equal((told.count, request.in_flight), (0, False), "the refused request")
    request.send(synchronous=True, ignore_target_state=True)
    equal(request.result(), BLOCK, "the count of a read that ignores the state")
    target.start()
    equal(len(stored(target)), BLOCK, "bytes read after the start")
    request.reuse()


@check("a task that is cancelled while it awaits goes on when the transfer has ended")
def _task_cancelled(target: Target) -> None:
    memory = block()

    async def give_up() -> None:
        target.stop()
        task = asyncio.ensure_future(_write_once(target, memory))
        await asyncio.sleep(0)
        task.cancel()
        with raises(asyncio.CancelledError, "awaiting a cancelled task"):
            await task

    asyncio.run(give_up())
    settled(lambda: memory.reference_count == 1, "one reference after the cancelled task")
    equal(target.statistics().waiting, 0, "transfers waiting")
    target.start()


@check("a closed target takes nothing, and cannot be started")
def _closed(target: Target) -> None:
    request = Request(target)
    target.close()
    target.close()
    equal(target.state, TargetState.CLOSED, "state")
    for name, call in (
        ("read", lambda: target.read(block(), 0)),
        ("write_many", lambda: target.write_many([(block(), 0)])),
        ("flush", target.flush),
        ("start", target.start),
        ("format_read", lambda: request.format_read(block(), 0)),
    ):
        with raises(InvalidDeviceStateError, f"{name} on a closed target"):
            call()


@check("a close ends what waits")
def _closed_with_waiting(target: Target) -> None:
    told = Told()
    request = parked(target, told)
    target.close()
    params = told.one()[2]
    equal(params.status, st.STATUS_WDF_DEVICE_REMOVED_NOT_SENT, "how it ended")
    request.reuse()


@check("a deletion closes, after its cleanup")
def _deleted(target: Target) -> None:
    target.delete()
    for call in (lambda: target.read(block(), 0), lambda: Request(target)):
        with raises((ObjectDeletedError, InvalidDeviceStateError), "a call on a deleted target"):
            call()
