"""Cloud Storage: the engine behind ``STORAGE_EMULATOR_HOST`` for the unmodified google-cloud-storage client."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from sandbox.clock import Clock
from sandbox.engines.storage_calls import Calls
from sandbox.engines.storage_faults import FaultyCalls, storage_faults
from sandbox.engines.storage_http import StorageServer
from sandbox.engines.storage_notifications import Publisher
from sandbox.engines.storage_objects import ObjectStore

__all__ = ["Publisher", "StorageEngine"]


class StorageEngine:
    """Serves the JSON API of Cloud Storage on 127.0.0.1 from one directory.

    ``directory`` holds everything and is created when missing; only one engine may use it at a time (raises
    :class:`~sandbox.engines.journal.JournalError`). ``publisher(topic, data, attributes)`` receives the announcements
    of the buckets' notification configurations; without it they wait in the journal. ``port`` 0 takes a free one.
    ``faults`` breaks calls on purpose, at any time. ``clock`` gives the objects their times (real time by default); none is
    ever earlier than one given before.
    """

    def __init__(
        self, directory: Path, *, publisher: Publisher | None = None, port: int = 0, clock: Clock | None = None
    ) -> None:
        self._directory = directory
        self._publisher = publisher
        self._port = port
        self._clock = clock or Clock()
        self._leave: Callable[[], None] | None = None
        self._server: StorageServer | None = None
        self.store: ObjectStore | None = None
        self.faults = storage_faults()

    def start(self) -> str:
        """Opens the directory and serves it; returns the address, ``http://127.0.0.1:<port>``."""
        store = ObjectStore(self._directory, self._publisher, self._clock)
        try:
            server = StorageServer(self._port, FaultyCalls(Calls(store), self.faults))
        except OSError:
            store.close()
            raise
        store.address = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="storage-engine", daemon=True
        ).start()
        store.announcer.start()
        self._server, self.store = server, store
        if self._publisher is not None:
            self._leave = self._clock.join(busy=lambda: store.unannounced > 0)
        return store.address

    def stop(self) -> None:
        """Stops serving and closes the directory; may be called again."""
        if self._server is not None and self.store is not None:
            if self._leave is not None:
                self._leave()
            self._server.close_all()
            self.store.close()
            self._server = None
