"""The README keeps its word: commands, files and examples it names exist."""

from __future__ import annotations

import re
from pathlib import Path

FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
TARGET = re.compile(r"^([a-z][\w-]*):(?!=)", re.MULTILINE)


def commands(text: str) -> list[str]:
    """The shell commands of a Markdown text, in order, without what is said about them."""
    return [
        line.split("#")[0].strip()
        for language, body in FENCE.findall(text)
        if language in {"sh", "bash"}
        for line in body.splitlines()
        if line.strip() and not line.startswith("#")
    ]


def code_blocks(text: str, language: str) -> list[str]:
    """The code blocks in a language."""
    return [body for found, body in FENCE.findall(text) if found == language]


def unknown_targets(text: str, makefile: str) -> list[str]:
    """The `make` targets the text asks for and the Makefile does not have."""
    known = set(TARGET.findall(makefile))
    asked = {
        word
        for command in commands(text)
        if command.startswith("make ")
        for word in command.split()[1:]
        if "=" not in word
    }
    return sorted(asked - known)


def dead_links(text: str, root: Path) -> list[str]:
    """The files the text links to and the checkout does not have."""
    return [
        link
        for link in LINK.findall(text)
        if not link.startswith(("http://", "https://")) and not (root / link).exists()
    ]
