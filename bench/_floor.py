"""The floor that the gateway is measured against, and the usual choice: handlers without routing, features or log.

``python bench/_floor.py KIND PORT MODEL`` serves one of them; ``bench/gateway.py`` starts them. ``bare`` parses the
same JSON, feeds the same graph one input a column, and answers; ``hello`` does nothing; ``synced`` is ``bare`` that
also writes what it was sent and answers once a group of them is fsynced; ``fastapi`` is FastAPI and the pipeline.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

TEXTS = frozenset({"carrier", "origin", "dest"})
HEADERS = [("content-type", "application/json")]


def answerer(model: str) -> Callable[[bytes], bytes]:
    """Return what a bare handler does with a body."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)
    names = [item.name for item in session.get_inputs()]
    kinds = {item.name: np.float64 if item.type == "tensor(double)" else np.float32 for item in session.get_inputs()}
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode

    def answer(body: bytes) -> bytes:
        rows = decode(body)["rows"]
        feed = {
            name: np.array([[row[name]] for row in rows], dtype=object if name in TEXTS else kinds[name])
            for name in names
        }
        return encode({"p": session.run(None, feed)[-1][:, -1].tolist()})

    return answer


class Synced:
    """Appends bodies to a file; one thread writes and fsyncs what has gathered, and then lets go who waits for it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._work = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    async def keep(self, body: bytes) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((body, future))
        self._work.set()
        await future

    def _run(self) -> None:
        while True:
            self._work.wait()
            self._work.clear()
            group, self._waiting = self._waiting, []
            if not group:
                continue
            self._file.write(b"".join([body for body, _ in group]))
            os.fsync(self._file.fileno())
            group[0][1].get_loop().call_soon_threadsafe(_release, [future for _, future in group])


def _release(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        future.set_result(None)


def rsgi(kind: str, model: str) -> Any:
    """Return an RSGI application."""
    answer = answerer(model) if kind in ("bare", "synced") else lambda body: b'{"p":[0.5]}'
    synced = Synced() if kind == "synced" else None

    async def app(scope: Any, proto: Any) -> None:
        body = await proto()
        said = answer(body)
        if synced is not None:
            await synced.keep(body)
        proto.response_bytes(200, HEADERS, said)

    return app


def fastapi(model: str) -> Any:
    """Return what most people write: FastAPI, pandas and the fitted pipeline."""
    import joblib
    import pandas as pd
    from fastapi import FastAPI

    app, fitted = FastAPI(), joblib.load(model)

    @app.post("/")
    def predict(asked: dict[str, list[dict[str, Any]]]) -> dict[str, list[float]]:
        return {"p": fitted.predict_proba(pd.DataFrame(asked["rows"]))[:, 1].tolist()}

    return app


async def serve(kind: str, port: int, model: str) -> None:
    from granian.constants import Interfaces
    from granian.log import LogLevels
    from granian.server.embed import Server

    options: dict[str, Any] = {"interface": Interfaces.RSGI, "websockets": False, "log_level": LogLevels.error}
    await Server(rsgi(kind, model), address="127.0.0.1", port=port, backlog=1024, **options).serve()


def main(kind: str, port: int, model: str) -> None:
    if kind == "fastapi":
        import uvicorn

        uvicorn.run(fastapi(model), host="127.0.0.1", port=port, log_level="error")
    else:
        asyncio.run(serve(kind, port, model))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
