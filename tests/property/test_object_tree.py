"""Random stories of objects, told to membuf and to the model: the logs must be equal."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.model.tree import RefusedError
from tests.model.world import Callbacks, Deed, ModelWorld, pattern
from tests.property.real_world import RealWorld

RELATIONS = ("self", "parent", "next", "previous")
TARGETS = st.sampled_from(RELATIONS) | st.integers(0, 40)
TAGS = st.integers(0, 2)
OFTEN = ("delete", "create", "reference", "dereference")
VERBS = st.sampled_from(OFTEN) | st.sampled_from(("read", "inspect", "flash", "raise"))
DEEDS = st.builds(Deed, VERBS, TARGETS, TAGS)
PROGRAMS = st.lists(DEEDS, max_size=3).map(tuple)
CALLBACKS = st.builds(Callbacks, PROGRAMS, PROGRAMS)
CONTEXTS = st.lists(CALLBACKS, min_size=1, max_size=2).map(tuple)
KEYS = st.integers(0, 40)
BRANCHES = st.lists(st.tuples(st.integers(0, 3), CONTEXTS), min_size=1, max_size=5)


class ObjectTree(RuleBasedStateMachine):
    """Both worlds hear every deed; after each one their logs are compared and forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.model = ModelWorld()
        self.real = RealWorld()
        self.views: list[tuple[int, memoryview]] = []

    def teardown(self) -> None:
        """Release the views, then everything."""
        for _, view in self.views:
            view.release()
        self.real.close()

    def tell(self, deed: Deed) -> None:
        """Tell both worlds to do the same."""
        for world in (self.model, self.real):
            world.perform(deed)

    @property
    def viewed(self) -> set[int]:
        """Keys whose bytes somebody looks at."""
        return {key for key, _ in self.views}

    @rule(contexts=CONTEXTS)
    def create_root(self, contexts: tuple[Callbacks, ...]) -> None:
        """An object without a parent."""
        assert self.model.create(None, contexts) == self.real.create(None, contexts)

    @rule(branches=BRANCHES)
    def create_branches(self, branches: list[tuple[int, tuple[Callbacks, ...]]]) -> None:
        """Children of any objects that can be reached, these children among them."""
        for which, contexts in branches:
            reachable = self.model.reachable()
            if reachable:
                key = reachable[-1 - which % len(reachable)]
                outcomes = [attempt(world, key, contexts) for world in (self.model, self.real)]
                assert outcomes[0] == outcomes[1]

    @rule(which=KEYS, verb=st.sampled_from(("read", "inspect", "reference")), tag=TAGS)
    def do(self, which: int, verb: str, tag: int) -> None:
        """What a program may do, from outside of callbacks."""
        self.tell(Deed(verb, which, tag))

    @precondition(lambda self: self.model.reachable())
    @rule(which=KEYS)
    def delete(self, which: int) -> None:
        """Roots and the middle of trees rather than the gone."""
        live = [key for key in self.model.reachable() if not self.model.nodes[key].deleted]
        candidates = live or self.model.reachable()
        self.tell(Deed("delete", self.model.reachable().index(candidates[which % len(candidates)])))

    @rule(which=KEYS, tag=TAGS)
    def dereference(self, which: int, tag: int) -> None:
        """References are dropped as often as they are taken; sometimes one nobody took."""
        self.tell(Deed("dereference", which, tag))

    @precondition(lambda self: any(map(self.can_drop, self.model.nodes)))
    @rule(which=KEYS)
    def drop(self, which: int) -> None:
        """Let go of the last handle on a live object that nothing else holds."""
        roots = [key for key in self.model.nodes if self.can_drop(key)]
        key = roots[which % len(roots)]
        self.model.drop(key)
        self.real.drop(key)

    def can_drop(self, key: int) -> bool:
        """Whether only the world's handle keeps the object alive."""
        story = self.model.stories[key]
        live = not self.model.nodes[key].deleted
        free = story.parent is None and story.reachable and not story.tags
        return live and free and key not in self.viewed

    @rule(which=KEYS)
    def look(self, which: int) -> None:
        """Open a view on a memory object."""
        memories = [key for key in self.model.nodes if self.can_look(key)]
        if memories:
            key = memories[which % len(memories)]
            self.views.append((key, self.real.view(key)))

    def can_look(self, key: int) -> bool:
        """Whether the key is a memory object that is not gone."""
        story = self.model.stories[key]
        return story.reachable and self.real.is_memory(key) and self.model.is_usable(key)

    @precondition(lambda self: self.views)
    @rule(which=KEYS)
    def release(self, which: int) -> None:
        """Close a view, maybe long after its object went."""
        self.views.pop(which % len(self.views))[1].release()

    @invariant()
    def same_log(self) -> None:
        """What happened, in which order, with which outcome."""
        assert self.model.log == self.real.log
        self.model.log.clear()
        self.real.log.clear()

    @invariant()
    def views_show_their_own_bytes(self) -> None:
        """No view ever shows another object's bytes, whatever was deleted or recycled."""
        for key, view in self.views:
            assert view == pattern(key)


def attempt(world: ModelWorld | RealWorld, key: int, contexts: tuple[Callbacks, ...]) -> object:
    """Create a child; a refusal is an outcome."""
    try:
        return world.create(key, contexts)
    except RefusedError as refusal:
        return refusal.args[0]


ObjectTree.TestCase.settings = settings(stateful_step_count=40)
TestObjectTree = ObjectTree.TestCase
