"""The server of one driver, which can be exchanged for another while clients are there."""

from __future__ import annotations

import asyncio
from typing import Final

from membuf.bus.nbd.server.connection import Connection
from membuf.bus.nbd.server.export import Export
from membuf.bus.nbd.server.server import Server

_LOOK_SECONDS: Final = 0.05


class DriverServer(Server):
    """A server of one export."""

    @property
    def export(self) -> Export:
        """What it serves to whoever connects now."""
        (export,) = self.exports.values()
        return export

    async def end_connections(self, export: Export) -> None:
        """End the connections that have an export which is served no more; return without them.

        They end once they are answered.
        """
        left = set(self._connections)
        while left := {one for one in left if self._may_have(one, export)}:
            for connection in left:
                connection.drain()
            await asyncio.sleep(_LOOK_SECONDS)

    def _may_have(self, connection: Connection, export: Export) -> bool:
        """Whether it has an export, or is about to: it may have been named in the negotiation."""
        if connection not in self._connections:
            return False
        return connection.session is None or connection.session.export is export
