"""Tags: two notations, one number."""

from __future__ import annotations

import pickle

import pytest

from membuf.base.errors import InvalidParameterError
from membuf.base.tag import Tag


@pytest.mark.parametrize("value", [0x64657246, b"Fred", "Fred", Tag(b"Fred")])
def test_every_notation_gives_one_number(value: int | bytes | str) -> None:
    assert int(Tag(value)) == 0x64657246
    assert str(Tag(value)) == "Fred"
    assert Tag(value).characters == b"Fred"


def test_the_c_literal_reads_backwards() -> None:
    assert Tag.literal("derF") == Tag(b"Fred") == 0x64657246


def test_a_short_tag_keeps_its_length() -> None:
    assert int(Tag(b"Io")) == 0x6F49
    assert str(Tag(b"Io")) == "Io"
    assert Tag(b"Io ") != Tag(b"Io")


@pytest.mark.parametrize("value", ["", b"", "Fredd", "Fré", 2**32, -1])
def test_what_is_no_tag_is_refused(value: int | bytes | str) -> None:
    with pytest.raises(InvalidParameterError):
        Tag(value)


@pytest.mark.parametrize("value", [True, 2.7, None])
def test_only_numbers_and_characters(value: object) -> None:
    with pytest.raises(TypeError):
        Tag(value)  # type: ignore[arg-type]


def test_a_tag_travels() -> None:
    twin = pickle.loads(pickle.dumps(Tag(b"Fred")))
    assert repr(twin) == "Tag(b'Fred')"
