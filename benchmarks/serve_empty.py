"""A server that answers at once and knows nothing: what is left of a request's time is the client's.

    python benchmarks/serve_empty.py 9631 VERSION_FOLDER

It speaks the routes that a replay needs, each with an answer as long as a real one, on uvicorn as our server does.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import uvicorn

from matinee.version import open_version

_FIXED = {
    "/v1/recommend": {"user": 1, "items": [*range(1, 11)], "known": True, "model": "none@0123456789ab", "rank": 12345},
    "/v1/events": {"new": 1, "known": 0},
    "/readyz": {"status": "ready", "model": "none@0123456789ab"},
}


def main(port: int, folder: str) -> None:
    """Serve until it is stopped."""
    answers = {path: json.dumps(answer).encode() for path, answer in _FIXED.items()}
    version = open_version(folder)
    train, dense = version.sequences("train"), {raw: place for place, raw in enumerate(version.raw_users.tolist(), 1)}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        while (await receive()).get("more_body"):
            pass
        answer = answers.get(scope["path"])
        if answer is None:  # .../users/{user}/history, of which a replay asks before it begins
            user = int(scope["path"].split("/")[-2])
            answer = json.dumps({"events": int(train.of(dense[user]).size)}).encode()
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": answer})

    uvicorn.run(app, port=port, log_level="error", access_log=False, lifespan="off", loop="uvloop", http="httptools")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
