"""What a request costs: 4 KiB read through one device, and through a stack of three.

* one device: the originator's `read_into`; a buffered device whose handler fills the request's
  memory from a bytearray and completes it.
* three devices: a function over a filter over that device. The function forwards the request with
  a completion routine; the filter has no handler for reads and passes them down.
* direct: the same with the originator's pages, locked for each request, in place of copies.

Everything runs on the originator's thread. The peer is a slice assignment from the bytearray into
the originator's buffer, which is what the bytes alone cost: it has no owner, no queue, no way to
cancel and no accounts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import membuf
from bench.case import KIB, MIB, Figure, Group, Row, Settings
from bench.timing import Way, round_robin, statement

SIZE = 4 * KIB
DISK = bytearray(MIB)
KINDS = {"buffered": membuf.BUFFERED, "direct": membuf.DIRECT}


def bottom(kind: str) -> membuf.Device:
    """A device that keeps its bytes in memory."""
    device = membuf.Device(f"bench {kind}", KINDS[kind])
    disk = memoryview(DISK)

    @device.on_read
    def read(request: membuf.request.ReceivedRequest) -> None:
        first, length = request.offset, request.length
        request.output_memory().copy_from(disk[first : first + length])
        request.complete(information=length)

    return device


def function_over_filter(kind: str) -> membuf.Device:
    """Two devices above that one: a filter without handlers, and one that forwards."""
    lowest = bottom(kind)
    below = membuf.open_target(f"device:{lowest.name}")
    middle = membuf.Device(f"bench {kind} filter", KINDS[kind], lower=below, filter=True)
    target = membuf.open_target(f"device:{middle.name}")
    top = membuf.Device(f"bench {kind} function", KINDS[kind], lower=target)
    top.context["below"] = (lowest, middle)

    @top.on_read
    def read(request: membuf.request.ReceivedRequest) -> None:
        request.format_current_type()
        request.send(completed)

    def completed(request: Any, *_: object) -> None:
        request.complete(request.status, SIZE)

    return top


def _ways(settings: Settings) -> Iterator[Way]:
    buffer = memoryview(bytearray(SIZE))
    for kind in KINDS:
        for name, make in (("one device", bottom), ("three devices", function_over_filter)):
            names = {"read": make(kind).open().read_into, "buffer": buffer}
            yield statement(f"{name}, {kind}", "read(buffer)", settings, **names)
    names = {"disk": memoryview(DISK), "buffer": buffer, "size": SIZE}
    yield statement("slice", "buffer[:] = disk[0:size]", settings, **names)


def measure(settings: Settings) -> Mapping[str, Figure]:
    """Every way in turn."""
    return round_robin(list(_ways(settings)), settings.rounds)


GROUP = Group(
    title="Requests through devices, 4 KiB",
    rows=(
        *(
            Row(f"{name}, {kind}", f"{name}, {kind}", "slice", against="the bytes alone")
            for kind in KINDS
            for name in ("one device", "three devices")
        ),
        Row("three devices over one, buffered", "three devices, buffered", "one device, buffered"),
    ),
    measure=measure,
)
