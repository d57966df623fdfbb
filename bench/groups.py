"""The groups in the order of the tables, by the name that `--only` takes."""

from __future__ import annotations

import importlib

from bench.case import Group

MODULES = {
    module.rpartition(".")[2]: module
    for module in (
        "bench.micro.allocation",
        "bench.micro.burst",
        "bench.micro.threads",
        "bench.micro.memory",
        "bench.micro.copies",
        "bench.micro.residency",
        "bench.micro.tree",
        "bench.micro.pages",
        "bench.micro.device",
        "bench.micro.imports",
        "bench.macro.files",
        "bench.macro.noop",
        "bench.macro.copy",
        "bench.macro.nbd",
        "bench.macro.nbd_file",
    )
}


def group(name: str) -> Group:
    """The group of that name."""
    found: Group = importlib.import_module(MODULES[name]).GROUP
    return found
