"""The way to S3 from other machines: what comes to one port of the opened address goes on to S3 on the loopback.

SeaweedFS puts all its parts on one address, and those behind S3 ask nobody for keys. So they all stay on the loopback,
and with `--listen` the supervisor runs `python -m matinee.stack.s3_door` in front of S3 alone.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from matinee.stack.folders import Folders
from matinee.stack.state import LOOPBACK, StackState

__all__ = ["main", "serve"]

_PIECE_BYTES: Final = 1 << 18


def main() -> None:
    """Serve until told to end."""
    state = StackState.read(Folders(Path.cwd().parent).state)
    if state is not None:
        asyncio.run(serve(state.listen, state.s3_open_port, state.s3_ports.s3))


async def serve(listen: str, port: int, to: int) -> None:
    """Pass on what comes to `port` of `listen`, to the loopback's port `to`."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(LOOPBACK, to)
        except OSError:  # S3 does not run just now
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))
        for end in (inner_writer, writer):
            end.close()

    async with await asyncio.start_server(meet, listen, port, limit=_PIECE_BYTES) as server:
        await server.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All that comes, in one direction; an end is passed on as an end, a broken connection as a broken one."""
    try:
        while piece := await reader.read(_PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()


if __name__ == "__main__":
    main()
