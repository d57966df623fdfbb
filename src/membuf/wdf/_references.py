"""References as the framework counts them: one count, tags for those who track them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from membuf._native import dereference_untagged
from membuf.base.errors import InvalidParameterError, MembufError
from membuf.wdf._bugcheck import debug_break, status_of

if TYPE_CHECKING:
    from membuf._native import Object


def take_reference(held: Object, tag: object) -> None:
    """Take one reference under a tag.

    Raises:
        BugCheck: WDF_INVALID_HANDLE where another thread ended the object meanwhile.
    """
    try:
        held.reference(tag)
    except MembufError as error:
        status_of(error, held)
        raise


def drop_reference(held: Object, tag: object, *, tracking: bool) -> bool:
    """Drop one reference: the tag's, or any other where none bears that tag.

    Args:
        held: the object.
        tag: what the reference was taken under.
        tracking: report a tag that no reference bears.

    Returns:
        Whether there was a reference to drop.
    """
    try:
        held.dereference(tag)
    except InvalidParameterError:
        if tracking:
            debug_break(
                "no reference on %r bears the tag %r; one is dropped all the same", held, tag
            )
    else:
        return True
    try:
        dereference_untagged(held)
    except InvalidParameterError:
        return False
    return True
