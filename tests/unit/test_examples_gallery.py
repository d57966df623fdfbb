"""The gallery of example drivers as a whole; and what the tests of each of them share."""

from __future__ import annotations

import ast
import functools
import importlib.util
import random
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import membuf

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = (
    "char_device",
    "compressed_disk",
    "encrypted_disk",
    "ram_disk",
    "remote_disk",
    "retry_filter",
    "throttled_disk",
)


@functools.cache
def load(name: str) -> Any:
    """An example as a module; once, as its types are known by name."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Model:
    """A disk and the bytes that it has to have: random transfers go to both."""

    def __init__(self, target: Any, seed: int, block: int = 1) -> None:
        self.target, self.block, self.size = target, block, target.size
        self.bytes = bytearray(self.size)
        self.random = random.Random(seed)

    def part(self, most: int = 200_000) -> tuple[int, int]:
        """Offset and length of some bytes; often the last ones."""
        length = min(self.random.randrange(1, most // self.block + 1) * self.block, self.size)
        last = (self.size - length) // self.block * self.block
        offset = self.random.randrange(0, last // self.block + 1) * self.block
        return (last if self.random.random() < 0.1 else offset), length

    def write(self) -> None:
        """Random bytes, or the same one again and again."""
        offset, length = self.part()
        data = self.random.choice((self.random.randbytes(length), b"\x5a" * length))
        assert self.target.write(data, offset) == length
        self.bytes[offset : offset + length] = data

    def read(self) -> None:
        offset, length = self.part()
        data = bytearray(length)
        assert self.target.read(data, offset) == length
        assert data == self.bytes[offset : offset + length]

    def clear(self, how: str) -> None:
        """`trim` or `zero`: with these disks both read as zeros."""
        offset, length = self.part()
        getattr(self.target, how)(offset, length)
        self.bytes[offset : offset + length] = bytes(length)

    def whole(self) -> None:
        """All of it in one read, and a hole wherever the disk says that there is one."""
        data = bytearray(self.size)
        assert self.target.read(data, 0) == self.size
        assert data == self.bytes
        here = 0
        for offset, length, is_data in self.target.extents():
            assert offset == here
            assert is_data or not any(self.bytes[offset : offset + length])
            here += length
        assert here == self.size

    def run(self, count: int = 150, *, clears: bool = True) -> None:
        for _ in range(count):
            chance = self.random.random()
            if chance < 0.4:
                self.write()
            elif chance < 0.8 or not clears:
                self.read()
            else:
                self.clear(self.random.choice(("trim", "zero")))
        self.whole()


def test_every_example_is_in_the_table() -> None:
    table = (EXAMPLES / "README.md").read_text()
    listed = set(re.findall(r"\[(\w+)\.py\]\(\1\.py\)", table))
    assert listed == {path.stem for path in EXAMPLES.glob("*.py")}
    assert listed.issuperset(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_says_what_it_shows_how_to_run_it_and_what_to_try(name: str) -> None:
    tree = ast.parse((EXAMPLES / f"{name}.py").read_text())
    words = ast.get_docstring(tree) or ""
    assert f"examples/{name}.py" in words
    assert "To try next" in words
    longest = max(
        node.end_lineno - node.lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    )
    assert longest <= 40


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_that_there_is_not_is_refused(name: str) -> None:
    module = load(name)
    with pytest.raises((TypeError, ValueError), match="colour"):
        module.open(colour="red", **({"below": "null:1MiB"} if name == "retry_filter" else {}))


def test_the_model_sees_a_disk_that_loses_a_byte() -> None:
    """A planted defect: the helper would notice."""
    disk = load("ram_disk").open("1MiB")
    with membuf.open_target("device:ram") as target:
        model = Model(target, seed=1)
        model.write()
        model.bytes[model.bytes.index(b"\x5a" if b"\x5a" in model.bytes else 1)] ^= 1
        with pytest.raises(AssertionError):
            model.whole()
    disk.delete()
