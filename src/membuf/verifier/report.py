"""What is still held: every block with its tag, size, owner and allocation site."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from membuf.mdl.live import LiveMdl, live
from membuf.pool import Domain, LiveBlock, PoolStatistics, current_domain


@dataclass(frozen=True, slots=True)
class Report:
    """What a domain's users hold, and what they did wrong so far.

    Attributes:
        domain: its name or repr.
        statistics: its counters.
        blocks: every block that is out.
        mdls: every MDL that was not freed, the locked and pinned ones among them.
        dropped_mdls: MDLs dropped without unlock, until now.

    `str()` is for people, `json()` for machines.

    >>> import membuf
    >>> with membuf.Domain(name="demo"):
    ...     print(str(report()).splitlines()[0])
    demo: 0 block(s) out, 0 bytes
    """

    domain: str
    statistics: PoolStatistics
    blocks: tuple[LiveBlock, ...]
    mdls: tuple[LiveMdl, ...] = ()
    dropped_mdls: int = 0

    @property
    def stale(self) -> tuple[LiveBlock, ...]:
        """Blocks whose object is gone while a view of them is open."""
        return tuple(block for block in self.blocks if block.deleted)

    def json(self) -> str:
        """The whole report as one JSON object."""
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        s = self.statistics
        lines = [
            f"{self.domain}: {len(self.blocks)} block(s) out, {s.bytes} bytes",
            f"  views of deleted objects: {s.stale_blocks} open, {s.stale_events} until now",
            f"  blocks dropped without free(): {s.dropped_blocks}",
        ]
        if self.mdls or self.dropped_mdls:
            lines.append(f"  MDLs dropped without unlock(): {self.dropped_mdls}")
        lines += [f"  {thing}" for thing in (*self.blocks, *self.mdls)]
        return "\n".join(lines)


def report(domain: Domain | None = None) -> Report:
    """What is held in a domain now; in the current one if absent.

    >>> import membuf
    >>> with membuf.Domain(name="demo"):
    ...     m = membuf.Memory(64, tag="Capt")
    ...     block = report().blocks[0]
    ...     m.delete()
    >>> block.tag, block.size, block.kind
    ('Capt', 64, 'Memory')
    """
    where = current_domain() if domain is None else domain
    return Report(
        where.name or repr(where),
        where.statistics(),
        where.live_blocks(),
        live.records(where),
        live.dropped(where),
    )
