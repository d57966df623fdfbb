"""What the conformance page counts as a call: what code of the tests calls, and nothing else."""

from __future__ import annotations

import asyncio
import threading

import membuf
import membuf.verifier
from membuf import wdf
from tests.conformance.calls import faces, watching


def use_memory() -> None:
    memory = membuf.Memory(64)
    memory.copy_from(b"abc")
    membuf.pool.allocate(64, tag="Seen").free()
    assert wdf.NT_SUCCESS(0)
    with membuf.verifier.faults(after=1000):
        memory.delete()


def use_device() -> None:
    device = membuf.Device()
    device.on_read(lambda request: request.complete())
    queue = device.queue()
    queue.on_write(lambda request: request.complete())
    device.delete()


def test_a_call_counts_by_its_public_name() -> None:
    with watching() as seen:
        use_memory()
    wanted = {"Memory", "Memory.copy_from", "Memory.delete", "NT_SUCCESS", "verifier.faults"}
    assert seen.calls == wanted | {"pool.allocate", "Block.free"}
    assert seen.calls <= {*faces()["python"], *faces()["wdf"]}


def test_an_inherited_call_counts_for_the_class_of_its_object() -> None:
    with watching() as seen:
        use_device()
    named = {"Device", "Device.on_read", "Device.queue", "Queue.on_write", "Object.delete"}
    assert seen.calls == named


def test_what_membuf_calls_itself_does_not_count() -> None:
    device = membuf.Device()

    @device.on_read
    def read(request: membuf.request.ReceivedRequest) -> None:
        request.complete(information=request.length)

    handle = device.open()
    with watching() as seen:
        handle.read(8)  # takes memory from a lookaside list, makes a packet, submits it
    assert seen.calls == {"ReceivedRequest.complete"}
    handle.close()


def test_other_threads_and_coroutines_count() -> None:
    memory = membuf.Memory(64)

    async def turn(target: membuf.bus.FileTarget) -> None:
        await asyncio.gather(target.read_async(memory))

    with membuf.open_target("file:/dev/zero", access="read") as target, watching() as seen:
        thread = threading.Thread(target=lambda: memory.copy_from(b"x"))
        thread.start()
        thread.join()
        asyncio.run(turn(target))
    assert {"Memory.copy_from", "Target.read_async"} <= seen.calls


def test_the_mode_of_a_driver_is_seen() -> None:
    with watching() as seen, wdf.driver("Sample", strict=True), wdf.driver("Other"):
        pass
    assert seen.modes == {"strict", "default"}
