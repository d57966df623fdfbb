"""Write the seeds the fuzzer of the block store starts with: `make_corpus.py FOLDER`.

Each seed is a sequence of whole calls with sensible arguments, laid out as fuzz_store.c reads
them, so that the fuzzer need not find out first how a call looks.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

SEEDS = 60

# The index of a call in the table at the end of fuzz_store.c.
ALLOCATE, GIVE, POP, LIST_NEW, LIST, LIMIT, FAULTS, TRIM = 0, 3, 6, 9, 10, 11, 12, 13
CLOSE, HOLD, STALE, SYSTEM, REBALANCE = 14, 15, 16, 17, 18

KINDS = {
    "pool": {ALLOCATE: 6, GIVE: 5, TRIM: 1},
    "lists": {LIST_NEW: 2, POP: 8, GIVE: 8, LIST: 2, REBALANCE: 1},
    "limits": {ALLOCATE: 4, GIVE: 3, LIMIT: 1, LIST_NEW: 1, POP: 4, FAULTS: 1},
    "ends": {ALLOCATE: 4, LIST_NEW: 1, POP: 4, LIST: 1, CLOSE: 1, HOLD: 2, GIVE: 4},
    "refusals": {ALLOCATE: 4, LIST_NEW: 1, POP: 4, SYSTEM: 1, GIVE: 4, REBALANCE: 1, STALE: 1},
    "all": dict.fromkeys(range(19), 1),
}


def size(rng: random.Random) -> list[int]:
    """The bytes of a size: small, at a border, large, or anything."""
    kind = rng.choice([rng.randrange(100), rng.randrange(100, 180), rng.randrange(180, 256)])
    if kind < 100:
        return [kind]
    if kind < 180:
        return [kind, rng.randrange(256)]
    return [kind, *(rng.randrange(256) for _ in range(3 if kind < 240 else 8))]


def arguments(rng: random.Random, call: int) -> list[int]:
    """The bytes that follow the one of a call."""
    domain = [rng.randrange(3), rng.choice([0, 0, 1, 2])]  # the second only where it is new
    if call in (0, 1, 2):
        return [*domain[: rng.randint(1, 2)], rng.randrange(3), rng.randrange(12), *size(rng), 0]
    if call in (3, 4, 5, 6, 7, 8):
        return [rng.randrange(48)]
    if call == LIST_NEW:
        settings = [rng.randrange(3), rng.randrange(6), rng.randrange(4)]
        return [domain[0], *settings, *size(rng), rng.randrange(12), rng.randrange(12)]
    if call in (LIST, HOLD, SYSTEM):
        return [rng.randrange(48), rng.randrange(16)]
    if call == LIMIT:
        return [domain[0], *(rng.randrange(256) for _ in range(3))]
    return [domain[0], rng.randrange(8)]


def seed(rng: random.Random, weights: dict[int, int]) -> bytes:
    """A sequence of calls drawn by weight."""
    calls = rng.choices(list(weights), list(weights.values()), k=rng.randint(5, 120))
    return bytes(byte for call in calls for byte in [call, *arguments(rng, call)])


def main(folder: Path) -> None:
    """Write the seeds; the same every time."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(1)
    for number in range(SEEDS):
        name = list(KINDS)[number % len(KINDS)]
        (folder / f"{name}-{number}").write_bytes(seed(rng, KINDS[name]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
