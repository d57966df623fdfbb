"""Sphinx settings. Built with `-n -W`: a reference that leads nowhere is an error."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "_ext"), str(Path(__file__).parents[1])]

project = "membuf"
author = "membuf developers"
copyright = author
release = installed_version("membuf")
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "stub_signatures",
    "public_names",
    "membuf_tables",
    "conformance_page",
    "side_by_side",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "snippets"]
# Docstrings write code in single backquotes, as Markdown does.
default_role = "code"

html_theme = "furo"
html_title = "membuf"
html_static_path = ["_static"]
html_css_files = ["membuf.css"]
html_show_sphinx = False
html_copy_source = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
add_module_names = False
maximum_signature_line_length = 90
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_preprocess_types = False

# Names from the standard library have no page here: the build must not depend on the network.
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(collections\.abc|ctypes|types|typing|typing_extensions|enum|os|pathlib|asyncio)\..*",
    ),
    (
        r"py:.*",
        r"(builtins\..*|Any|Self|Buffer|Callable|Iterable|Iterator|Sequence|Mapping|Callback)",
    ),
    (
        r"py:.*",
        r"(Awaitable|PathLike|SupportsIndex|TracebackType|Literal|ContextVar|ContextType)",
    ),
    (r"py:.*", r"_\w+|.*\._\w+"),  # type variables and private aliases
    # What targets are made of: for those who write one, and read its source.
    (r"py:.*", r"Port|Engine|membuf\.target\.(_port\.\w+|engine\.Engine|endpoint\.Endpoint)"),
    (r"py:.*", r"membuf\..*\.RequestTarget"),
    (
        r"py:.*",
        r"(.*\.)?(Controls?|Course|LiveMdl|MapRegisters|Packet|RelayLane|TransactionEngine)",
    ),
    (r"py:.*", r"(.*\.)?(CompletionRoutine|IO_STATUS_BLOCK|RelayTarget)"),
    # Names for longer types.
    (
        r"py:.*",
        r"(.*\.)?(AbstractEventLoop|Bytes|Dispatch|Event|H|Handler|Kind|MdlLike|Mode|OnFile)",
    ),
    (r"py:.*", r"(.*\.)?(Access|F|Make|Served)"),
    # What disks and NBD are made of.
    (r"py:.*", r"(.*\.)?(nbd\.protocol\.(Command|Flag)|Export|Fleet|Random|StoreTarget)"),
    (r"py:.*", r"(.*\.)?(array|EvtProgramDma|MdlFlags|Program|Steps)"),
]
