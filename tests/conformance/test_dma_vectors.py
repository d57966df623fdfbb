"""The golden vectors of splitting, as transactions of both faces' core, and as pure functions."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

import membuf
import membuf.dma as dma
from membuf.dma import splitting
from tests.dma import Driver, driver, mdl_of

TABLE = tomllib.loads((Path(__file__).parent / "tables/dma_vectors.toml").read_text())
VECTORS = [pytest.param(row, id=row["id"]) for row in TABLE["vector"]]


def made_for(row: dict[str, Any]) -> Driver:
    """The driver of a row."""
    return driver(
        profile=dma.Profile[row.get("profile", "SCATTER_GATHER_64")],
        maximum_length=row["maximum"],
        map_registers=row["registers"],
        maximum_elements=row.get("elements", dma.UNLIMITED),
    )


def take(made: Driver, row: dict[str, Any]) -> str:
    """Run the transaction of a row; the status it ends with."""
    t = made.t
    if "reserved" in row:
        t.allocate_resources(dma.WRITE_TO_DEVICE, row["reserved"], lambda *_: None)
    try:
        t.initialize_using_offset(
            made.program,
            dma.WRITE_TO_DEVICE,
            mdl_of(*map(tuple, row["mdls"])),
            row.get("offset", 0),
            row.get("length"),
        )
        if "set_maximum" in row:
            t.set_maximum_length(row["set_maximum"])
        t.execute()
        done = t.completed_with_length(row["completed"]) if "completed" in row else t.completed()
        while not done:
            done = t.completed()
    except membuf.MembufError as error:
        return str(error.status.name).removeprefix("STATUS_")
    return "SUCCESS"


@pytest.mark.parametrize("row", VECTORS)
def test_a_transaction_is_split_so(row: dict[str, Any]) -> None:
    made = made_for(row)
    status = take(made, row)
    assert made.enabler.fragment_length(dma.WRITE_TO_DEVICE) == row["fragment"]
    assert list(zip(made.lengths, made.counts, strict=True)) == list(map(tuple, row["transfers"]))
    assert status == row.get("status", "SUCCESS")
    assert made.t.state.name == row.get("state", "TRANSFER_COMPLETED")


def test_v13_repeats_the_same_bytes_at_the_same_address() -> None:
    row = next(row for row in TABLE["vector"] if row["id"] == "R3.7-V13")
    made = made_for(row)
    take(made, row)
    first, second, third = made.transfers
    assert first == second != third


def test_v16_needs_17_map_registers_fixed_once() -> None:
    chain = splitting.Chain([(0x123, 200000)])
    assert splitting.packet_registers(chain, 0, 65536, whole=False) == 17
    assert splitting.packet_registers(chain, 0, 50000, whole=True) == 13


@pytest.mark.parametrize("row", VECTORS)
def test_elements_lie_in_the_order_of_the_bytes(row: dict[str, Any]) -> None:
    """What the device reads by the elements is what lies in the MDLs, byte for byte."""
    if "completed" in row or "status" in row:
        return
    made, seen = made_for(row), bytearray()

    def program(t: Any, device: Any, context: Any, direction: Any, elements: Any) -> None:
        for address, length in elements:
            seen.extend(made.enabler.translate(address, length, "read"))

    mdl = mdl_of(*map(tuple, row["mdls"]))
    total = bytearray()
    for number, link in enumerate(mdl.walk()):
        link.buffer[:] = bytes((number * 7 + i * 31 + (i >> 8)) % 256 for i in range(len(link)))
        total += link.buffer
    made.t.initialize_using_offset(program, 1, mdl, row.get("offset", 0), row.get("length"))
    made.t.execute()
    made.finish()
    start = row.get("offset", 0)
    assert seen == total[start : start + len(seen)]
    assert len(seen) == row.get("length", len(total) - start)
