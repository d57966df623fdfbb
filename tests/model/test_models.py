"""The models against cases worked out by hand: an oracle has to be right by itself."""

from __future__ import annotations

import pytest

from tests.model import memory, tree
from tests.model.lookaside import Lookaside
from tests.model.pool import LimitReachedError, Pool
from tests.model.tree import Context, Node, RefusedError
from tests.model.world import Callbacks, Deed, ModelWorld


class Nursery:
    """Named nodes that log their callbacks."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.nodes: dict[str, Node] = {}

    def make(self, name: str, parent: str | None = None, **deeds: tree.Callback) -> Node:
        """A node; ``cleanup`` and ``destroy`` may do something more than log."""

        def callback(letter: str, phase: str) -> tree.Callback:
            def call(node: Node) -> None:
                self.log.append(f"{letter}:{name}")
                deeds.get(phase, lambda _: None)(node)

            return call

        above = None if parent is None else self.nodes[parent]
        pair = Context(callback("c", "cleanup"), callback("d", "destroy"))
        self.nodes[name] = tree.create(len(self.nodes), above, pair)
        return self.nodes[name]

    @property
    def text(self) -> str:
        return " ".join(self.log)


def test_two_phases() -> None:
    nursery = Nursery()
    root = nursery.make("R")
    nursery.make("B", "R")
    nursery.make("D", "B")
    nursery.make("C", "R")
    tree.delete(root)
    assert nursery.text == "c:D c:B c:C c:R d:D d:B d:C d:R"


def test_references_postpone_one_destroy() -> None:
    nursery = Nursery()
    parent, child = nursery.make("P"), nursery.make("C", "P")
    tree.reference(child, "tag")
    tree.delete(parent)
    assert nursery.text == "c:C c:P d:P"
    tree.dereference(child, "tag")
    assert nursery.text == "c:C c:P d:P d:C"
    with pytest.raises(RefusedError, match=tree.DELETED):
        tree.delete(child)


def test_deletes_inside_the_walk_are_left_to_it() -> None:
    nursery = Nursery()
    parent = nursery.make("P", cleanup=lambda _: tree.delete(nursery.nodes["1"]))
    nursery.make("1", "P", cleanup=lambda _: tree.delete(nursery.nodes["2"]))
    nursery.make("2", "P", cleanup=tree.delete)
    tree.delete(parent)
    assert nursery.text == "c:1 c:2 c:P d:1 d:2 d:P"


def test_creation_under_what_the_walk_has_not_reached() -> None:
    nursery = Nursery()
    parent = nursery.make("P")
    nursery.make("1", "P", cleanup=lambda _: nursery.make("O", "2") and None)
    nursery.make("2", "P")
    tree.delete(parent)
    assert nursery.text == "c:1 c:O c:2 c:P d:1 d:O d:2 d:P"
    with pytest.raises(RefusedError):
        nursery.make("late", "P")


def test_errors_gather_in_order() -> None:
    world = ModelWorld()
    world.create(None, (Callbacks((Deed("raise", 0, 1),), (Deed("raise", 0, 3),)),))
    world.create(0, (Callbacks((Deed("raise", 0, 0),), (Deed("raise", 0, 2),)),))
    world.perform(Deed("delete", 0))
    assert world.log[-1] == ("delete", 0, 0, (0, 1, 2, 3))


def test_a_dropped_handle_may_save_itself_in_cleanup() -> None:
    world = ModelWorld()
    world.create(None, (Callbacks((Deed("reference", "self", 1),)),))
    world.drop(0)
    assert world.stories[0].reachable
    assert ("destroy", 0, 0) not in world.log
    world.perform(Deed("dereference", 0, 1))
    assert ("destroy", 0, 0) in world.log


def test_a_lookaside_list_is_a_stack() -> None:
    model = Lookaside()
    assert model.allocate(1)
    assert model.allocate(2)
    model.free(1)
    model.free(2)
    assert not model.allocate(1), "2 was freed last"
    assert (model.allocations, model.misses, model.frees) == (3, 2, 2)


def test_a_lookaside_list_has_a_depth() -> None:
    model = Lookaside()
    for block in range(10):
        model.allocate(block)
    for block in range(10):
        model.free(block)
    assert (len(model.idle), model.free_misses) == (4, 6)
    model.rebalance()
    assert model.depth == 8
    model.rebalance()
    assert (model.depth, len(model.idle)) == (6, 4)
    model.rebalance()
    assert (model.depth, len(model.idle)) == (4, 4)


def test_the_pool_has_a_limit() -> None:
    pool = Pool(limit=100)
    pool.allocate("Tag ", 1, 60)
    with pytest.raises(LimitReachedError):
        pool.allocate("Tag ", 1, 41)
    pool.free("Tag ", 1, 60)
    pool.allocate("Othr", 512, 100)
    assert (pool.bytes, pool.accounts["Tag ", 1].peak_bytes) == (100, 60)


@pytest.mark.parametrize(
    ("offset", "count", "status"),
    [
        (0, 100, memory.SUCCESS),
        (99, 1, memory.SUCCESS),
        (99, 2, memory.INVALID_BUFFER_SIZE),
        (100, 1, memory.INVALID_BUFFER_SIZE),
        (2**64 - 1, 2, memory.INVALID_BUFFER_SIZE),
        (2**64, 0, memory.INVALID_PARAMETER),
    ],
)
def test_the_bounds_of_a_copy(offset: int, count: int, status: int) -> None:
    target = bytearray(100)
    assert memory.copy_from(target, b"x" * count, offset) == status
    assert target.count(b"x") == (count if status == memory.SUCCESS else 0)
