"""The worked example: a scatter/gather copy engine, its driver, and errors put into it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import membuf

EXAMPLE = Path(__file__).parents[2] / "examples/copy_engine.py"


def load() -> ModuleType:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("copy_engine", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example: Any = load()


def test_the_example_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLE)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "read them back: True" in done.stdout
    assert "STATUS_IO_DEVICE_ERROR" in done.stdout
    assert "translation fault" in done.stdout


def test_what_is_written_can_be_read() -> None:
    with example.CopyEngine() as engine:
        driver = example.CopyDriver(engine, "copy-a")
        with driver.device.open() as handle:
            for size in (1, 4095, 4096, 65536, 65537, 300_000):
                contents = bytes((i * 7 + size) % 256 for i in range(size))
                assert handle.write(contents, 123) == size
                assert handle.read(size, 123) == contents
        assert engine.faults == []
        assert driver.enabler.statistics().waiting == 0


@pytest.mark.parametrize("number", [1, 17, 20])
def test_a_descriptor_that_fails_ends_the_request(number: int) -> None:
    with example.CopyEngine() as engine:
        driver = example.CopyDriver(engine, "copy-b")
        with driver.device.open() as handle:
            engine.fail_at(number)
            with pytest.raises(membuf.MembufError, match="IO_DEVICE_ERROR"):
                handle.write(bytes(200_000), 0)
            assert handle.write(b"abc", 0) == 3
            assert handle.read(3, 0) == b"abc"
        registers = driver.enabler.statistics()
        assert registers.free_map_registers == registers.map_registers


def test_a_request_beyond_the_card_is_refused() -> None:
    with example.CopyEngine() as engine:
        driver = example.CopyDriver(engine, "copy-c")
        with driver.device.open() as handle, pytest.raises(membuf.InvalidParameterError):
            handle.write(b"abc", 1 << 20)


def test_an_engine_that_reads_too_far_is_stopped() -> None:
    """A planted defect of the hardware: it asks for a byte more than its descriptor says."""

    class Greedy(example.CopyEngine):  # type: ignore[misc,name-defined]
        def carry_out(self, host: int, card: int, length: int, flags: int) -> int:
            try:
                return int(super().carry_out(host, card, length + 1, flags))
            except membuf.MembufError as fault:
                self.faults.append(fault)
                return int(example.FAILED)

    with Greedy() as engine:
        driver = example.CopyDriver(engine, "copy-d")
        with driver.device.open() as handle, pytest.raises(membuf.MembufError):
            handle.write(bytes(5000), 0)
        assert "transaction" in str(engine.faults[0])
