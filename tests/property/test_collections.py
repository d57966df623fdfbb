"""Random stories of one collection, beside a plain list and a count of references."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import membuf

WHICH = st.integers(0, 4)
INDEX = st.integers(-6, 12)


class Stories(RuleBasedStateMachine):
    """A list of keys is the model; an object that is deleted is destroyed with its last entry."""

    def __init__(self) -> None:
        super().__init__()
        self.destroyed: list[int] = []
        self.collection = membuf.Collection()
        self.things = [self.made(key) for key in range(5)]
        self.model: list[int] = []
        self.deleted: set[int] = set()

    def made(self, key: int) -> membuf.Object:
        """An object that says when it goes."""
        return membuf.Object(on_destroy=lambda _: self.destroyed.append(key))

    @property
    def gone(self) -> set[int]:
        """Keys of objects that were deleted and are in no entry."""
        return {key for key in self.deleted if key in self.destroyed}

    @rule(key=WHICH)
    def add(self, key: int) -> None:
        """Append, unless it is gone."""
        try:
            self.collection.add(self.things[key])
        except membuf.ObjectDeletedError:
            assert key in self.gone
        else:
            self.model.append(key)

    @rule(key=WHICH)
    def remove(self, key: int) -> None:
        """The first entry goes; without one nothing changes."""
        if key in self.model:
            self.collection.remove(self.things[key])
            self.model.remove(key)
        else:
            with pytest.raises(membuf.MembufError, match="is not in"):
                self.collection.remove(self.things[key])

    @rule(index=INDEX)
    def remove_item(self, index: int) -> None:
        """The same entry goes in both, or none."""
        try:
            del self.collection[index]
        except IndexError:
            assert not -len(self.model) <= index < len(self.model)
        else:
            del self.model[index]

    @rule(key=WHICH)
    def delete(self, key: int) -> None:
        """Deleting a member removes no entry."""
        if key not in self.deleted:
            self.things[key].delete()
            self.deleted.add(key)

    @precondition(lambda self: len(self.model) > 4)
    @rule()
    def begin_again(self) -> None:
        """A deleted collection lets all members go."""
        self.collection.delete()
        self.collection, self.model = membuf.Collection(), []

    @invariant()
    def they_agree(self) -> None:
        """Entries, ends, references and destroys are the model's."""
        assert [self.things.index(item) for item in self.collection] == self.model
        wanted = (self.things[self.model[0]], self.things[self.model[-1]]) if self.model else None
        assert (self.collection.first, self.collection.last) == (wanted or (None, None))
        entries = Counter(self.model)
        for key in set(range(5)) - self.gone:
            assert self.things[key].reference_count == entries[key] + (key not in self.deleted)
        assert sorted(self.destroyed) == sorted(self.deleted - set(self.model))


TestCollections = Stories.TestCase
