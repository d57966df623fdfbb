"""Drivers of the gallery under qemu-io."""

from __future__ import annotations

from pathlib import Path

import pytest

import membuf
from membuf.bus.nbd import Server
from tests.nbd_serving import run
from tests.unit.test_examples_gallery import load


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ram_disk", {"size": "1MiB"}),
        ("retry_filter", {"below": "error(rate=20%,seed=2)+ram:1MiB", "tries": "9"}),
    ],
)
def test_it_is_served(name: str, settings: dict[str, str], tmp_path: Path) -> None:
    served = load(name).open(**settings)
    uri = f"nbd+unix:///?socket={tmp_path / 'socket'}"
    commands = ("write -P 7 4000 70000", "read -P 7 4000 70000", "flush", "write -z 8192 4096")
    commands += ("read -P 0 8192 4096", "discard 65536 65536", "read -P 0 131072 65536")
    with Server(served, uri):
        said = run("qemu-io", "-f", "raw", *(word for c in commands for word in ("-c", c)), uri)
    assert "failed" not in said.lower()
    (served.delete if isinstance(served, membuf.Disk) else served.close)()
