"""References to the place a name was defined lead to the page of its public name.

A signature says `membuf.pool.domain.Domain`, or plain `Domain` where it comes from a stub; the
object is documented as `membuf.Domain`.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.addnodes import pending_xref

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

KINDS = {"class", "exception", "function"}


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contents: nodes.TextElement
) -> nodes.reference | None:
    """Find the one documented class or function whose last name is the wanted one."""
    if node.get("refdomain") != "py":
        return None
    domain = env.domains.python_domain
    wanted = str(node["reftarget"]).rpartition(".")[2]
    names = [
        name
        for name, entry in domain.objects.items()
        if name.rpartition(".")[2] == wanted and entry.objtype in KINDS and not entry.aliased
    ]
    if len(names) != 1:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", names[0], node, contents)


def release_builtins(app: Sphinx, tree: nodes.document) -> None:
    """Make `bytes` in a signature plain text: statistics records have fields of that name."""
    for node in list(tree.findall(pending_xref)):
        if node.get("refdomain") == "py" and hasattr(builtins, str(node["reftarget"])):
            node.replace_self(nodes.Text(str(node["reftarget"])))


def setup(app: Sphinx) -> dict[str, Any]:
    """Look up what Sphinx itself does not find, and keep it from finding the wrong thing."""
    app.connect("doctree-read", release_builtins)
    app.connect("missing-reference", resolve)
    return {"version": "1", "parallel_read_safe": True}
