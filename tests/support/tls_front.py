"""TLS before any server of the tests': what comes in is decrypted and handed on, answers are encrypted.

The law: one event loop in one thread, ended with the context; asyncio's TLS and none of ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from lumilter.config.address import SocketAddress


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()


@contextlib.contextmanager
def tls_front(backend: SocketAddress, files: tuple[Path, Path], clients: Path | None = None) -> Iterator[SocketAddress]:
    """Where TLS is spoken, by the name localhost. files: certificate and key. clients: what their certificates are
    checked with, if they must have one.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*files)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    loop, tasks = asyncio.new_event_loop(), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            behind, ahead = await asyncio.open_connection(backend.host, backend.port)
            up = asyncio.create_task(_pump(reader, ahead))
            await _pump(behind, writer)
            up.cancel()
            ahead.close()
        except OSError:
            pass
        finally:
            writer.close()
            tasks.discard(task)

    started, stop = threading.Event(), asyncio.Event()
    port = 0

    async def run() -> None:
        nonlocal port
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert started.wait(60)
    try:
        yield SocketAddress("inet", host="localhost", port=port)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
