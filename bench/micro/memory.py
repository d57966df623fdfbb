"""Memory(n) and its delete, straight from the tagged pool: no list, one size after another.

Ours is `m = Memory(n); m.delete()` with the default tag, and with everything a memory object has
(owner link, tag accounting, site). pyarrow.allocate_buffer(n) is dropped at once, on the default
memory pool (mimalloc); so is numpy.empty(n).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import membuf
from bench.case import KIB, MIB, Figure, Group, Row, Settings, label
from bench.timing import Way, round_robin, statement

SIZES = (64, 4 * KIB, 64 * KIB, MIB)


def _ways(size: int, settings: Settings) -> Iterator[Way]:
    import numpy as np
    import pyarrow as pa

    names = {"Memory": membuf.Memory, "size": size}
    yield statement(f"membuf, {label(size)}", "m = Memory(size); m.delete()", settings, **names)
    code = "m = Memory(size, tag='Bnch'); m.delete()"
    yield statement(f"membuf with a tag, {label(size)}", code, settings, **names)
    names = {"allocate": pa.allocate_buffer, "size": size}
    yield statement(f"pyarrow, {label(size)}", "allocate(size)", settings, **names)
    names = {"empty": np.empty, "size": size, "kind": np.dtype("u1")}
    yield statement(f"numpy, {label(size)}", "empty(size, kind)", settings, **names)


def measure(settings: Settings) -> Mapping[str, Figure]:
    """Every way at every size, in turn."""
    ways = [way for size in SIZES for way in _ways(size, settings)]
    return round_robin(ways, settings.rounds)


GROUP = Group(
    title="Pool memory",
    rows=(
        *(
            Row(
                f"Memory(n) + delete, {label(n)}",
                f"membuf, {label(n)}",
                f"pyarrow, {label(n)}",
                0.6,
                0.3,
            )
            for n in SIZES
        ),
        Row(
            "Memory(n, tag=...) + delete, 4 KiB",
            "membuf with a tag, 4 KiB",
            "pyarrow, 4 KiB",
            0.6,
            0.3,
        ),
        Row("Memory(n) + delete, 4 KiB", "membuf, 4 KiB", "numpy, 4 KiB"),
        Row("Memory(n) + delete, 1 MiB", "membuf, 1 MiB", "numpy, 1 MiB"),
    ),
    measure=measure,
)
