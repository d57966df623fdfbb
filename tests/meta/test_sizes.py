"""Files of at most 600 lines, functions of at most 40; and the check counts right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.meta.checks.sizes import (
    FILE_LIMIT,
    FUNCTION_LIMIT,
    Function,
    c_functions,
    cython_functions,
    oversized,
    python_functions,
)
from tests.meta.checks.tree import ROOT, tracked_files

# Files that are one long table, with the reason why they are not cut in pieces.
TABLES = {"src/membuf/wdf/__init__.py": "every name of the framework's face"}


def test_the_checkout_has_no_oversized_file_or_function() -> None:
    assert oversized(ROOT, tracked_files(), TABLES) == []


def test_a_long_file_is_reported_unless_it_is_a_listed_table(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("value = 1\n" * (FILE_LIMIT + 1))
    (tmp_path / "right.py").write_text("value = 1\n" * FILE_LIMIT)
    (finding,) = oversized(tmp_path, ["long.py", "right.py"], {})
    assert finding.startswith("long.py: 601 lines")
    assert oversized(tmp_path, ["long.py", "right.py"], {"long.py": "a table"}) == []


def test_an_exception_that_is_no_longer_needed_is_reported(tmp_path: Path) -> None:
    (tmp_path / "short.py").write_text("value = 1\n")
    assert len(oversized(tmp_path, ["short.py"], {"short.py": "", "gone.py": ""})) == 2


PYTHON = '''
class Thing:
    @decorated
    async def method(self):
        """Explains

        at length.
        """
        {body}
'''
CYTHON = '''
cdef class Thing:
    cdef int method(self, int first,
                    int second) except -1 nogil:
        """Explains

        at length.
        """
        {body}

    cdef int field
'''
C = """
#define OPEN(x) do {{ (x)
struct thing {{ int (*call)(int); }};
static const int table[] = {{ 1, 2 }};
/* a {{ in a comment */
static int
method(struct thing *thing)
{{
    char brace = '{{'; const char *text = "{{{{";
    {body}
}}
"""


@pytest.mark.parametrize(
    ("suffix", "text", "indent", "frame"),
    [
        (".py", PYTHON, 8, 1),
        (".pyx", CYTHON, 8, 2),
        (".c", C, 4, 5),
    ],
)
def test_a_long_function_is_reported(
    tmp_path: Path, suffix: str, text: str, indent: int, frame: int
) -> None:
    def write(lines: int) -> None:
        body = ("\n" + " " * indent).join(["step = 1;"] * lines)
        (tmp_path / f"code{suffix}").write_text(text.format(body=body))

    write(FUNCTION_LIMIT - frame)
    assert oversized(tmp_path, [f"code{suffix}"], {}) == []
    write(FUNCTION_LIMIT - frame + 1)
    (finding,) = oversized(tmp_path, [f"code{suffix}"], {})
    assert f"method has {FUNCTION_LIMIT + 1} lines" in finding


@pytest.mark.parametrize(
    ("find", "text", "expected"),
    [
        (python_functions, "def a():\n  def b():\n    pass\n  return b\n", {"a": 4, "b": 2}),
        (cython_functions, "cpdef int a(x):\n  return 1\n\ncdef int b(int)\n", {"a": 2}),
        (cython_functions, "cdef class C(D):\n  def a(self):\n    pass\n", {"a": 2}),
        (
            c_functions,
            "int a(void) { return 1; }\nint b(void);\n\nint c(\n  int d)\n{\n  {}\n}\n",
            {"a": 1, "c": 5},
        ),
    ],
)
def test_functions_are_found_by_name_and_length(
    find: Callable[[str], Iterator[Function]], text: str, expected: dict[str, int]
) -> None:
    assert {function.name: function.lines for function in find(text)} == expected
