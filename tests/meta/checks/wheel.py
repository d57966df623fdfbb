"""What a wheel must hold, and what must stay out of it."""

from __future__ import annotations

from pathlib import PurePosixPath

UNWANTED = {".c", ".h", ".pyx", ".pxd", ".build", ".o", ".pyc", ".options", ".toml"}
WANTED = ("membuf/py.typed", "membuf/__init__.py", "membuf/_native.pyi")


def defects(names: list[str], source: list[str], suffix: str) -> list[str]:
    """What is wrong with the list of files of a wheel.

    Args:
        names: The files of the wheel.
        source: The Python files and stubs of the package in the checkout, as `membuf/...`.
        suffix: The file suffix of extension modules of the interpreter the wheel is for.
    """
    have = set(names)
    found = [f"{name}: missing" for name in (*WANTED, *source) if name not in have]
    found += [f"{name}: has no place in a wheel" for name in names if _is_unwanted(name)]
    for stub in (name for name in names if name.endswith(".pyi")):
        implementations = {stub.removesuffix("i"), stub.removesuffix(".pyi") + suffix}
        if not implementations & have:
            found.append(f"{stub}: a stub without a module built for {suffix}")
    return sorted(set(found))


def _is_unwanted(name: str) -> bool:
    path = PurePosixPath(name)
    top = path.parts[0]
    return path.suffix in UNWANTED or not (
        top == "membuf" or top.endswith(".dist-info") or top == ".."
    )
