"""Tracked files name no folder of the machine they were written on."""

from __future__ import annotations

import re
from pathlib import Path

# A user's or a workplace's own folder. Temporary and system folders (/tmp, /dev, /proc, /sys,
# /usr) are the same everywhere.
MACHINE_FOLDER = re.compile(
    r"(?<![\w.~$}/-])/(?:home|root|work|workspace|Users|opt|srv|mnt)/[\w.-]+"
)


def machine_paths(root: Path, files: list[str]) -> list[str]:
    """The lines of the files that name such a folder."""
    found: list[str] = []
    for name in files:
        try:
            text = (root / name).read_text()
        except UnicodeDecodeError:
            continue
        found += [
            f"{name}:{number}: {match[0]}"
            for number, line in enumerate(text.splitlines(), start=1)
            if (match := MACHINE_FOLDER.search(line))
        ]
    return found
