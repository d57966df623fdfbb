"""A task in C and in Python, side by side: `side-by-side` with a folder of `snippets/porting`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SIDES = (
    ("KMDF, in C", ("kmdf.c",)),
    ("membuf.wdf, then membuf in its own words", ("wdf.py", "python.py")),
)


class SideBySide(SphinxDirective):
    """Two columns, each with the files of a side."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Give both columns."""
        columns = [self.column(title, files) for title, files in SIDES]
        return [nodes.container("", *columns, classes=["side-by-side"])]

    def column(self, title: str, files: tuple[str, ...]) -> nodes.container:
        """The files of a side, one below the other."""
        folder = f"/snippets/porting/{self.arguments[0]}"
        blocks = [f"```{{literalinclude}} {folder}/{name}\n```" for name in files]
        return nodes.container("", *self.parse_text_to_nodes("\n\n".join([f"*{title}*", *blocks])))


def setup(app: Sphinx) -> dict[str, Any]:
    """Offer the directive."""
    app.add_directive("side-by-side", SideBySide)
    return {"version": "1", "parallel_read_safe": True}
