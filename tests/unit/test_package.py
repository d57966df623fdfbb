"""The package itself: what importing it loads, and what it answers for its names."""

from __future__ import annotations

import subprocess
import sys

import pytest

import membuf

LOADED = "import sys, membuf; print(*sorted(m for m in sys.modules if m.startswith('membuf')))"


def test_importing_it_loads_only_the_memory_system() -> None:
    output = subprocess.run(
        [sys.executable, "-c", LOADED], check=True, capture_output=True, text=True
    ).stdout.split()
    assert {"membuf.pool", "membuf._native"} <= set(output)
    assert [name for name in output if name.startswith(("membuf.bus", "membuf.wdf"))] == []


def test_every_name_of_it_is_there_and_stays() -> None:
    for name in membuf.__all__:
        assert getattr(membuf, name) is getattr(membuf, name)
    assert set(membuf.__all__) <= set(dir(membuf))


def test_the_kits_are_reached_from_it() -> None:
    for kit in (membuf.testing.check_target, membuf.testing.wdf.driver):
        assert callable(kit)
    assert membuf.testing.device_model.DeviceModel is membuf.testing.DeviceModel


def test_a_name_that_it_has_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        getattr(membuf, "nonsense")  # noqa: B009
