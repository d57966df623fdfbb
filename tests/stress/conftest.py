"""Stress tests say their seed, so that what failed once can be tried again."""

from __future__ import annotations

import os
import random
import time

import pytest

SECONDS = float(os.environ.get("MEMBUF_STRESS_SECONDS", "2"))


@pytest.fixture
def seed() -> int:
    """A new seed a run; ``MEMBUF_STRESS_SEED`` repeats an old one. Shown when the test fails."""
    value = int(os.environ.get("MEMBUF_STRESS_SEED", random.SystemRandom().randrange(2**32)))
    print(f"MEMBUF_STRESS_SEED={value}")
    return value


@pytest.fixture
def deadline() -> float:
    """When a stress loop has to stop, by the monotonic clock."""
    return time.monotonic() + SECONDS
