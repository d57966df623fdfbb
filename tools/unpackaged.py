"""Print what lies in the package folder and must stay out of a wheel, one path a line.

Usage: unpackaged.py {files|directories} PACKAGE_FOLDER

The wheel takes the package folder whole, so that a new Python module needs no edit in a
build file; sources of native modules, build files and caches are what is left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

PACKAGED_SUFFIXES = {".py", ".pyi", ".typed"}


def unpackaged(kind: str, package: Path) -> list[str]:
    """The relative paths of the files, or of the directories, that a wheel leaves out."""
    if kind == "directories":
        found = [path for path in package.rglob("*") if path.name == "__pycache__"]
    else:
        found = [
            path
            for path in package.rglob("*")
            if path.is_file() and path.suffix not in PACKAGED_SUFFIXES
        ]
    return sorted(str(path.relative_to(package)) for path in found)


if __name__ == "__main__":
    print("\n".join(unpackaged(sys.argv[1], Path(sys.argv[2]))))
