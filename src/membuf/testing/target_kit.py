"""The conformance kit for targets: hold any target, built in or one's own, against the rules."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

from membuf.base.errors import ObjectDeletedError
from membuf.testing.expecting import ExpectationError
from membuf.testing.target_checks import CHECKS, Check

if TYPE_CHECKING:
    from membuf.target import Target

CHECK_SECONDS: Final = 120.0
"""A check that takes longer has hung."""


class TargetDefectError(AssertionError):
    """A target breaks rules.

    Attributes:
        defects: what was found, by the rule that it breaks.
    """

    def __init__(self, defects: dict[str, str]) -> None:
        lines = [f"  {rule}\n    {found}" for rule, found in defects.items()]
        super().__init__(f"{len(defects)} rules of targets are broken:\n" + "\n".join(lines))
        self.defects = defects


def check_target(
    factory: Callable[[], Target],
    *,
    leave_out: Collection[str] = (),
    seconds: float = CHECK_SECONDS,
) -> None:
    """Check that a target does what every target must do.

    Args:
        factory: opens a fresh target, started, of at least 64 KiB that can be read and written;
            called once for every check.
        leave_out: rules that cannot hold, e.g. that what is written is read back from a target
            that drops it. A rule that is not known is an error.
        seconds: how long a check may take.

    Raises:
        TargetDefectError: it breaks rules; each is named with what was expected and what came.
        ValueError: `leave_out` names a rule that there is not.

    >>> import tempfile, membuf
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     file.truncate(65536)
    ...     check_target(lambda: membuf.open_target(f"stats+file:{file.name}"))
    65536
    """
    unknown = set(leave_out) - set(CHECKS)
    if unknown:
        raise ValueError(f"there is no rule {min(unknown)!r}; the rules are {list(CHECKS)}")
    defects: dict[str, str] = {}
    for rule, check in CHECKS.items():
        if rule not in leave_out:
            found = _run(check, factory, seconds)
            if found is not None:
                defects[rule] = found
    if defects:
        raise TargetDefectError(defects)


def _run(check: Check, factory: Callable[[], Target], seconds: float) -> str | None:
    """Run a check on a thread of its own; what it found broken, or None."""
    found: list[str] = []

    def run() -> None:
        try:
            target = factory()
            try:
                check(target)
            finally:
                _close(target)
        except ExpectationError as error:
            found.append(str(error))
        except BaseException as error:  # noqa: BLE001 - a defect shows itself in any way
            place = traceback.extract_tb(error.__traceback__)[-1]
            found.append(f"raised {error!r} in {place.name}, {place.filename}:{place.lineno}")

    thread = threading.Thread(target=run, name="membuf-check", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        return f"did not end in {seconds:.0f} seconds"
    return found[0] if found else None


def _close(target: Target) -> None:
    try:
        target.close()
    except ObjectDeletedError:
        return
