"""What the README says can be done; and the checks see where it cannot."""

from __future__ import annotations

from pathlib import Path

from tests.meta.checks.readme import code_blocks, commands, dead_links, unknown_targets
from tests.meta.checks.tree import ROOT

README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def test_its_two_commands_are_those_of_the_makefile() -> None:
    assert [line for line in commands(README) if line.startswith("make")] == [
        "make demo",
        "make test",
    ]
    assert unknown_targets(README, MAKEFILE) == []


def test_the_landing_check_runs_its_test_command() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_its_example_is_the_one_that_is_tested() -> None:
    (example,) = code_blocks(README, "python")
    assert example == (ROOT / "docs" / "snippets" / "readme.py").read_text()


def test_its_links_lead_somewhere() -> None:
    assert dead_links(README, ROOT) == []


def test_a_promise_that_is_not_kept_is_reported(tmp_path: Path) -> None:
    text = (
        "```sh\nmake demo\nmake coffee\n```\n[guide](docs/guide.md) [site](https://example.org)\n"
    )
    assert unknown_targets(text, "demo: x\n\techo\ncoffee_cup:\n") == ["coffee"]
    assert dead_links(text, tmp_path) == ["docs/guide.md"]
