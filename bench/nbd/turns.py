"""Servers measured in turn: every load on each, round after round; the median of the rounds."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from bench.case import Figure
from bench.nbd.clients import Client
from bench.nbd.server import Server


@dataclass(frozen=True)
class Job:
    """A client's work, and which servers have to do it."""

    client: Client
    servers: tuple[str, ...]


def figures(
    servers: Mapping[str, Server], jobs: Mapping[str, Job], rounds: int
) -> dict[str, Figure]:
    """Rate and processor time of a request, by `JOB, SERVER` and `JOB, SERVER, CPU`."""
    seen: defaultdict[str, list[float]] = defaultdict(list)
    for turn in range(rounds):
        for name, job in jobs.items():
            there = [servers[server] for server in job.servers if server in servers]
            first = turn % max(len(there), 1)  # no server always follows the same other one
            for server in there[first:] + there[:first]:
                before = server.cpu_ns()
                tally = job.client(server.uri)
                busy = server.cpu_ns() - before
                seen[f"{name}, {server.name}"].append(tally.rate)
                seen[f"{name}, {server.name}, CPU"].append(busy / tally.requests)
    return {name: Figure(statistics.median(values)) for name, values in seen.items()}
