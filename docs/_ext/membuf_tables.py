"""Tables that are read from the package, so that they cannot say something else."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.util.docutils import SphinxDirective

from membuf.base import status
from membuf.base.errors import MembufError, from_status

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

COVERAGE = Path(__file__).parents[2] / "tests" / "conformance" / "coverage.toml"


class StatusTable(SphinxDirective):
    """Every status: its number and the exception it becomes at the Python face."""

    def run(self) -> list[nodes.Node]:
        """Give the table as a Markdown one, so that its roles are resolved like any other."""
        return self.parse_text_to_nodes("\n".join(status_rows()))


class CaseTable(SphinxDirective):
    """The cases that no test holds, those held in part, and rules that do not apply."""

    def run(self) -> list[nodes.Node]:
        """Give the table, rebuilt whenever the tests' list changes."""
        self.env.note_dependency(str(COVERAGE))
        return self.parse_text_to_nodes("\n".join(case_rows(tomllib.loads(COVERAGE.read_text()))))


def case_rows(coverage: dict[str, Any]) -> list[str]:
    """The rows of the table: cases, and why."""
    return [
        "| case or rule | why |",
        "|---|---|",
        *(
            f"| {', '.join(entry['cases'])} | {entry['reason']} |"
            for entry in coverage["not_covered"]
        ),
        *(f"| {entry['case']}, in part | {entry['missing']} |" for entry in coverage["partly"]),
        *(f"| {e['rule']} | does not apply: {e['reason']} |" for e in coverage["does_not_apply"]),
    ]


def status_rows() -> list[str]:
    """The rows of the table, numbers ascending."""
    values = {name: value for name, value in vars(status).items() if name.startswith("STATUS_")}
    return [
        "| status | number | exception | caught as |",
        "|---|---|---|---|",
        *(_row(name, value) for name, value in sorted(values.items(), key=lambda item: item[1])),
    ]


def _row(name: str, value: status.Status) -> str:
    if not status.nt_error(value):
        return f"| `{name}` | `0x{value:08X}` | | |"
    kind = type(from_status(value, ""))
    bases: tuple[type[object], ...] = kind.__mro__
    builtin = next(base for base in bases if not issubclass(base, MembufError))
    caught = "" if kind is MembufError else f"`{builtin.__name__}`"
    return f"| `{name}` | `0x{value:08X}` | {{py:exc}}`~membuf.{kind.__name__}` | {caught} |"


def setup(app: Sphinx) -> dict[str, Any]:
    """Offer the directives."""
    app.add_directive("status-table", StatusTable)
    app.add_directive("case-table", CaseTable)
    return {"version": "1", "parallel_read_safe": True}
