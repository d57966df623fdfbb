"""The language of the case tables, and the runner that holds a face of membuf against a row.

A row is a list of steps. A step is a verb, its arguments, and after "->" what is expected:

    copy_from M 100 1 -> INVALID_BUFFER_SIZE      a status, by the end of its name
    dereference X -> BUGCHECK 10D 7               a bug check, by code and first parameters
    copy_to M 0 8 -> raises ValueError            an exception, by its class or a base of it
    size M -> 100                                 a value, as a Python literal
    reference X -> python raises ObjectDeletedError | wdf BUGCHECK 10D 5

A step without "->" must succeed. `inside` lists steps for a callback to take, by its name in the
log ("c:X" for X's cleanup, "d:X" for its destroy). The step `log` reads the log and empties it.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Any, Protocol

from membuf.base.errors import BugCheck, MembufError

NUMBERS = {"SIZE_MAX": 2**64 - 1, "PAGE": 4096}
SUCCESS = "SUCCESS"

_STATUS = re.compile(r"[A-Z][A-Z0-9_]+")


@dataclass(frozen=True)
class Step:
    """One line of a row."""

    text: str
    verb: str
    arguments: tuple[str, ...]
    options: dict[str, str]
    expected: str | None

    def number(self, index: int) -> int:
        """A positional argument as a number; powers and sums of the known names are understood."""
        return number(self.arguments[index])


@dataclass
class Outcome:
    """What a step came to."""

    status: str = SUCCESS
    bugcheck: tuple[int, ...] | None = None
    error: BaseException | None = None
    value: Any = None


class Face(Protocol):
    """One of membuf's faces, speaking the verbs of the tables."""

    name: str
    run: Run

    def do(self, step: Step) -> Any:
        """Take a step: an Outcome, or a value."""

    def close(self) -> None:
        """End what the case made."""


@dataclass
class Run:
    """One row, run on one face."""

    face: Face
    inside: dict[str, list[str]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    checked: int = 0

    def callback(self, event: str) -> None:
        """A callback ran: log it, and take the steps the row has for it."""
        self.log.append(event)
        self.take(self.inside.get(event, []))

    def take(self, lines: list[str]) -> None:
        """Take steps, noting what differs from what is expected."""
        for line in lines:
            step = parse(line)
            outcome = self._outcome(step)
            expected = expectation(step, self.face.name)
            self.checked += step.expected is not None
            if not agrees(outcome, expected):
                self.failures.append(f"{self.face.name}: {line}: came {describe(outcome)}")

    def _outcome(self, step: Step) -> Outcome:
        if step.verb == "log":
            entries, self.log[:] = " ".join(self.log), []
            return Outcome(value=entries)
        try:
            result = self.face.do(step)
        except (Exception, BugCheck) as error:  # noqa: BLE001 - a row may expect any
            return outcome_of(error)
        return result if isinstance(result, Outcome) else Outcome(value=result)


def outcome_of(error: BaseException) -> Outcome:
    """What an exception says; without its traceback, whose frames would hold the case's objects."""
    error = error.with_traceback(None)
    error.__context__ = None
    if isinstance(error, BugCheck):
        figures = (error.code, error.p1, error.p2, error.p3, error.p4)
        return Outcome(status="", bugcheck=figures, error=error)
    if isinstance(error, MembufError):
        return Outcome(status_name(error.status), error.bugcheck, error)
    return Outcome(status="", error=error)


def parse(line: str) -> Step:
    """Take a line apart."""
    call, _, expected = (part.strip() for part in line.partition("->"))
    verb, *words = call.split()
    options = dict(word.split("=", 1) for word in words if "=" in word)
    arguments = tuple(word for word in words if "=" not in word)
    return Step(line, verb, arguments, options, expected or None)


def expectation(step: Step, face: str) -> str:
    """What a step expects of a face."""
    choices = (step.expected or SUCCESS).split(" | ")
    if len(choices) == 1:
        return choices[0]
    return next(c.removeprefix(f"{face} ") for c in choices if c.startswith(f"{face} "))


def agrees(outcome: Outcome, expected: str) -> bool:
    """Whether an outcome is the expected one."""
    if expected.startswith("BUGCHECK "):
        wanted = tuple(int(part, 16) for part in expected.split()[1:])
        return outcome.bugcheck is not None and outcome.bugcheck[: len(wanted)] == wanted
    if expected.startswith("raises "):
        kinds = {kind.__name__ for kind in type(outcome.error).__mro__}
        return expected.removeprefix("raises ") in kinds
    if _STATUS.fullmatch(expected):
        return outcome.status == expected
    return outcome.error is None and outcome.value == ast.literal_eval(expected)


def describe(outcome: Outcome) -> str:
    """An outcome for people."""
    if outcome.error is not None:
        return f"{type(outcome.error).__name__} {outcome.status}: {outcome.error}"
    return f"{outcome.status}, {outcome.value!r}"


def status_name(status: Any) -> str:
    """A status the way rows write it."""
    return str(status.name).removeprefix("STATUS_")


def number(text: str) -> int:
    """A number of a row: a literal, or arithmetic of literals, powers and known names.

    >>> number("2**32+16"), number("SIZE_MAX")
    (4294967312, 18446744073709551615)
    """
    return _value(ast.parse(text, mode="eval").body)


def _value(node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int() as literal):
            return literal
        case ast.Name(id=name):
            return NUMBERS[name]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _value(left) + _value(right)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _value(left) - _value(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _value(left) * _value(right)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return int(_value(left) ** _value(right))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
    raise ValueError(f"not a number of a row: {ast.dump(node)}")
