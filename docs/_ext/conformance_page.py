"""The conformance page, made from a run of the cases that the build itself makes.

What is false is a warning, and so an error under `-W`: a case that fails, a call that no test
makes, a difference without proof.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from docs._ext.conformance_data import (
    CONFORMANCE,
    Data,
    case_table,
    difference_rows,
    load,
    problems,
    python_table,
    run_cases,
    summary_table,
    wdf_table,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sphinx.application import Sphinx

logger = logging.getLogger(__name__)


@cache
def data() -> Data:
    """The results of this build's own run."""
    with tempfile.TemporaryDirectory() as folder:
        made = load(run_cases(Path(folder) / "conformance.json"))
    for problem in problems(made):
        logger.warning("conformance: %s", problem, type="membuf")
    return made


class Conformance(SphinxDirective):
    """A table of the page: its kind, and for some the part of the specification."""

    required_arguments = 1
    optional_arguments = 1
    TABLES: ClassVar[dict[str, Callable[..., list[str]]]] = {
        "summary": summary_table,
        "cases": case_table,
        "differences": difference_rows,
        "wdf": wdf_table,
        "python": python_table,
    }

    def run(self) -> list[nodes.Node]:
        """Give the table, rebuilt whenever the cases change."""
        for path in sorted(CONFORMANCE.rglob("*.toml")):
            self.env.note_dependency(str(path))
        kind, *part = self.arguments
        made = self.parse_text_to_nodes("\n".join(self.TABLES[kind](data(), *part)))
        for table in made:
            if isinstance(table, nodes.table):
                table["classes"].append(f"conformance-{kind}")
        return made


def setup(app: Sphinx) -> dict[str, Any]:
    """Offer the directive."""
    app.add_directive("conformance", Conformance)
    return {"version": "1", "parallel_read_safe": True}
