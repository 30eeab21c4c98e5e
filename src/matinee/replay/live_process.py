"""The program that watches a replay: `python -m matinee.replay.live_process FOLDER SECONDS`, started by `live`.

A process of its own, since adding up inside the engine's would hold it up: for milliseconds on a quiet machine, for
tens of them where server and client share the processors. It reads the journals as they grow and says what it makes of
them in lines of JSON; on stdin it is told what is played, in the end how the replay ended, and by its end that whoever
started it is gone.
"""

from __future__ import annotations

import os
import select
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import numpy as np

from matinee.replay.folder import Record
from matinee.replay.live_document import LIVE, LiveDocument, State
from matinee.replay.stream import Stream

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["main", "send_stream"]

_HEAD: Final = struct.Struct("<qq")  # events, asked_from
_NICENESS: Final = 10  # whoever answers or asks goes first
_MOST_SHARE: Final = 0.1  # of a processor's time; where a document takes longer than 0.1 s, it is made more rarely


def send_stream(stream: Stream, pipe: BinaryIO) -> None:
    """Tell the program on its stdin what is played."""
    pipe.write(_HEAD.pack(len(stream), stream.asked_from))
    kinds = (stream.times_s, np.int64), (stream.warm_users, np.bool_), (stream.warm_items, np.bool_)
    pipe.writelines(np.ascontiguousarray(array, kind).data for array, kind in kinds)
    pipe.flush()


def main() -> None:
    """Watch until the replay has ended."""
    folder, every_s = Path(sys.argv[1]), float(sys.argv[2])
    os.nice(_NICENESS)
    with open(0, "rb", buffering=0, closefd=False) as orders:
        stream = _receive_stream(orders)
        record = Record.read(folder)
        assert record is not None  # noqa: S101 - it was written before this program was started
        document = LiveDocument(folder, record, stream)
        is_in_trouble = False
        state: State = "running"
        wait_s = 0.0
        while state == "running":
            if select.select([orders], [], [], wait_s)[0]:
                # No word at all: whoever started us was killed.
                state = cast("State", orders.read(64).decode() or "interrupted")
            began_s = time.monotonic()
            made = document.make(state)
            try:
                document.write(made)
            except OSError as error:
                if not is_in_trouble:
                    trouble = f"{folder / LIVE} cannot be kept up to date ({error.strerror}); the replay goes on"
                    _say({"trouble": trouble})
                is_in_trouble = True
            _say({"document": made})
            took_s = time.monotonic() - began_s
            wait_s = max(every_s - took_s, took_s / _MOST_SHARE)


def _receive_stream(orders: BinaryIO) -> Stream:
    events, asked_from = _HEAD.unpack(_exactly(orders, _HEAD.size))
    nobody = np.zeros(events, np.int32)
    return Stream(
        users=nobody,
        items=nobody,
        times_s=np.frombuffer(_exactly(orders, 8 * events), np.int64),
        raw_users=[],
        raw_items=[],
        warm_users=np.frombuffer(_exactly(orders, events), np.bool_),
        warm_items=np.frombuffer(_exactly(orders, events), np.bool_),
        asked_from=asked_from,
    )


def _exactly(orders: BinaryIO, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        part = orders.read(min(size - len(content), 1 << 20))
        if not part:
            raise SystemExit  # whoever started us is gone before anything began
        content += part
    return bytes(content)


def _say(told: dict[str, Any]) -> None:
    line = memoryview(msgspec.json.encode(told) + b"\n")
    try:
        while line:
            line = line[os.write(1, line) :]
    except BrokenPipeError:
        return  # nobody listens any more; the file is still to be written


if __name__ == "__main__":
    main()
