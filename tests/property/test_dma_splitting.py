"""Splitting: what must hold of every split, and a model that looks at every byte."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as some

import membuf
import membuf.dma as dma
from membuf.dma import splitting
from tests.dma import PAGE, mdl_of
from tests.model import splitting as model

MDLS = some.lists(
    some.tuples(
        some.one_of(some.integers(0, PAGE - 1), some.sampled_from([0, 1, PAGE - 1])),
        some.one_of(some.integers(1, 3 * PAGE), some.sampled_from([1, PAGE, 2 * PAGE])),
    ),
    min_size=1,
    max_size=6,
)


@some.composite
def runs(draw: Any) -> tuple[list[tuple[int, int]], int, int, int, int]:
    """A chain, a run of it, and a device: (mdls, start, length, maximum length, map registers)."""
    mdls = draw(MDLS)
    total = sum(count for _, count in mdls)
    start = draw(some.integers(0, mdls[0][1] - 1))
    length = draw(some.integers(1, total - start))
    return mdls, start, length, draw(some.integers(1, 5 * PAGE)), draw(some.integers(2, 8))


def fragment_of(maximum: int, registers: int) -> int:
    """The fragment length."""
    return min(maximum, (registers - 1) * PAGE)


def split(
    mdls: list[tuple[int, int]], start: int, length: int, fragment: int, registers: int, most: int
) -> list[int] | None:
    """The lengths that membuf splits into; None where it refuses."""
    chain, lengths = splitting.Chain(mdls), []
    try:
        while length:
            part = splitting.scatter_gather(chain, start, min(length, fragment), registers, most)
            assert part.registers == chain.pages(start, part.length) <= registers
            lengths.append(part.length)
            start, length = start + part.length, length - part.length
    except membuf.MembufError:
        return None
    return lengths


@given(runs(), some.integers(1, 12))
def test_transfers_are_those_of_the_model(run: Any, elements: int) -> None:
    mdls, start, length, maximum, registers = run
    fragment = fragment_of(maximum, registers)
    ours = split(mdls, start, length, fragment, registers, elements)
    assert ours == model.transfers(mdls, start, length, fragment, registers, elements)


@given(runs())
def test_a_shortened_transfer_ends_with_an_mdl(run: Any) -> None:
    mdls, start, length, maximum, registers = run
    fragment = fragment_of(maximum, registers)
    lengths = split(mdls, start, length, fragment, registers, dma.UNLIMITED)
    assert lengths is not None
    assert sum(lengths) == length
    assert max(lengths) <= fragment
    ends = {sum(count for _, count in mdls[: i + 1]) for i in range(len(mdls))}
    for transferred in lengths[:-1]:
        start += transferred
        assert transferred == fragment or start in ends


@given(runs(), some.integers(0, 5))
def test_packets_are_split_by_length_or_by_what_is_reserved(run: Any, reserved: int) -> None:
    mdls, start, length, maximum, registers = run
    chain, fragment = splitting.Chain(mdls), fragment_of(maximum, registers)
    wanted = min(length, fragment)
    needed = splitting.packet_registers(chain, start, wanted, whole=wanted == length)
    assert needed <= registers + 1
    while length:
        wanted = min(length, fragment)
        got = splitting.packet(chain, start, wanted, needed, reserved)
        if 0 < reserved < needed:
            pages = splitting.span_pages(chain.page_offset(start), got.length)
            assert pages <= reserved
            assert got.length == wanted or pages == reserved
        else:
            assert got.length == wanted
        start, length = start + got.length, length - got.length


@given(runs(), some.sampled_from([*list(dma.Profile)[:6]]), some.booleans())
def test_the_elements_cover_exactly_the_bytes_in_order(run: Any, profile: Any, reads: bool) -> None:
    mdls, start, length, maximum, registers = run
    enabler = dma.Enabler(
        membuf.Object(name="device"), profile, maximum, map_registers=max(registers, 6)
    )
    t, seen = enabler.transaction(), bytearray()
    mdl = mdl_of(*mdls)
    for number, link in enumerate(mdl.walk()):
        link.buffer[:] = bytes((number * 7 + i) % 256 for i in range(len(link)))
    before = b"".join(mdl.iovecs())
    inverted = bytes(255 - byte for byte in before)

    def program(transaction: Any, _: Any, __: Any, direction: int, elements: Any) -> None:
        assert sum(element.length for element in elements) == transaction.current_length
        for address, count in elements:
            at = start + len(seen)
            if direction == dma.WRITE_TO_DEVICE:
                seen.extend(enabler.translate(address, count, "read"))
            else:
                enabler.translate(address, count, "write")[:] = inverted[at : at + count]
                seen.extend(before[at : at + count])
        transaction.completed()

    direction = dma.READ_FROM_DEVICE if reads else dma.WRITE_TO_DEVICE
    t.initialize_using_offset(program, direction, mdl, start, length)
    t.execute()
    assert seen == before[start : start + length]
    after = before[:start] + inverted[start : start + length] + before[start + length :]
    assert b"".join(mdl.iovecs()) == (after if reads else before)
    assert t.state is dma.TransactionState.TRANSFER_COMPLETED
