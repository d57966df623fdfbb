"""Several tasks that do the same work until there is none, and fail as one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from membuf.cli.failure import CommandError


async def crew(size: int, work: Callable[[], Awaitable[bool]], *, patient: bool) -> None:
    """Have `size` tasks call `work` until it says that there is no more.

    Args:
        size: how many at once.
        work: does one piece; returns whether there was one.
        patient: after a failure wait for what the others have begun, so that of several failures
            the lowest in the copy is raised; else cancel it, because it may wait for ever.

    Raises:
        CommandError: `work` failed.
    """
    failures: list[CommandError] = []

    async def member() -> None:
        try:
            while not failures and await work():
                pass
        except CommandError as failure:
            failures.append(failure)
            if not patient:
                raise

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(size):
                group.create_task(member())
    except ExceptionGroup as group:
        others = [error for error in group.exceptions if not isinstance(error, CommandError)]
        if others:
            raise others[0] from None
    if failures:
        raise min(failures, key=lambda failure: failure.offset or 0)
