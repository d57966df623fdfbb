"""A model of tagged pool: what each tag holds, what it ever held, and where the limit lies."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field


class LimitReachedError(Exception):
    """The allocation would take the pool above its limit; nothing has changed."""


@dataclass
class Account:
    """The figures of one tag in one type of pool."""

    allocations: int = 0
    frees: int = 0
    bytes: int = 0
    peak_bytes: int = 0

    @property
    def outstanding(self) -> int:
        """Blocks allocated and not freed."""
        return self.allocations - self.frees


@dataclass
class Pool:
    """Accounts by tag and pool type, under one limit for them all."""

    limit: int | None = None
    accounts: defaultdict[tuple[str, int], Account] = field(
        default_factory=lambda: defaultdict(Account)
    )

    @property
    def bytes(self) -> int:
        """Bytes that all tags hold together."""
        return sum(account.bytes for account in self.accounts.values())

    def allocate(self, tag: str, pool: int, size: int) -> None:
        """Charge a block of ``size`` bytes to its tag."""
        if self.limit is not None and self.bytes + size > self.limit:
            raise LimitReachedError
        account = self.accounts[tag, pool]
        account.allocations += 1
        account.bytes += size
        account.peak_bytes = max(account.peak_bytes, account.bytes)

    def free(self, tag: str, pool: int, size: int) -> None:
        """Credit a block to its tag."""
        account = self.accounts[tag, pool]
        account.frees += 1
        account.bytes -= size
