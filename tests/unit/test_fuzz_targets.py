"""What is fuzzed takes its seeds, and what is left of them; a planted defect comes out of it."""

from __future__ import annotations

import pytest

from membuf.bus.nbd.server import negotiation
from tests.fuzz import targets
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_its_seeds(name: str) -> None:
    target = TARGETS[name]
    assert len(target.seeds) == len(set(target.seeds)) > 3
    for seed in target.seeds:
        for cut in {0, 1, len(seed) // 3, len(seed) // 2, len(seed) - 1, len(seed)}:
            target.run(seed[:cut])


def test_a_planted_defect_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negotiation, "_name_and_rest", negotiation._name_and_rest)
    targets.plant()
    target = TARGETS["negotiation"]
    for seed in target.seeds:
        target.run(seed)
    name = targets.option(targets.Option.GO, b"\0\0\0\x0a" + b"x" * 8)
    with pytest.raises(targets.PlantedError):
        target.run(b"\0\0\0\0\3" + name)
