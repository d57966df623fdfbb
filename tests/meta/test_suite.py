"""The suite skips nothing and has no test that cannot fail; and the check finds those it plants."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.meta.checks.suite import idle_tests, skips
from tests.meta.checks.tree import suite_files


def test_no_test_is_skipped_or_excused() -> None:
    assert skips(suite_files()) == []


def test_no_test_is_idle() -> None:
    assert idle_tests(suite_files()) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pytest\n@pytest.mark.skip\ndef test(): assert f()",
        "import pytest\n@pytest.mark.skipif(True, reason='')\ndef test(): assert f()",
        "import pytest\n@pytest.mark.xfail\ndef test(): assert f()",
        "import pytest\ndef test():\n    pytest.skip('no device')",
        "import pytest\nnumpy = pytest.importorskip('numpy')",
        "from pytest import skip",
        "from unittest import SkipTest",
        "collect_ignore = ['test_slow.py']",
    ],
)
def test_a_skip_is_reported(tmp_path: Path, text: str) -> None:
    assert skips([written(tmp_path, text)])


@pytest.mark.parametrize(
    "text",
    [
        "def test_nothing(): pass",
        "def test_call(): membuf.Memory(1)",
        "def test_helper(): helper()\ndef helper(): pass",
        "async def test_async(): await helper()",
        "class TestThing:\n    def test_method(self): print(self)",
        "def test(): assert True",
        "def test(): assert (f(), 'message')",
        "def test(): assert value == value",
        "def test(): assert f() or True",
        "def test(): assert isinstance(f(), object)",
    ],
)
def test_an_idle_test_is_reported(tmp_path: Path, text: str) -> None:
    assert idle_tests([written(tmp_path, text)])


@pytest.mark.parametrize(
    "text",
    [
        "def test(): assert f() == 1",
        "def test():\n    with pytest.raises(ValueError): f()",
        "def test(): outer()\ndef outer(): inner()\ndef inner(): assert f()",
        "def test(): assert next(i) == next(i)",
    ],
)
def test_a_test_that_checks_is_not(tmp_path: Path, text: str) -> None:
    assert idle_tests([written(tmp_path, text)]) == []


def written(folder: Path, text: str) -> Path:
    """A test file with the text."""
    path = folder / "test_planted.py"
    path.write_text(text + "\n")
    return path
