"""Cloud Pub/Sub: the engine behind ``PUBSUB_EMULATOR_HOST`` for the unmodified google-cloud-pubsub clients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sandbox.clock import Clock
from sandbox.engines.grpc_services import GrpcServer
from sandbox.engines.outbound import TokenSource
from sandbox.engines.pubsub_broker import Backlog, Broker, DeliveryRecord
from sandbox.engines.pubsub_faults import PubSubFaults
from sandbox.engines.pubsub_journal import PubsubMessage
from sandbox.engines.pubsub_push import Pusher
from sandbox.engines.pubsub_services import SubscriberService, publisher_service

__all__ = ["Backlog", "DeliveryRecord", "PubSubEngine", "PubSubFaults", "TokenSource"]


class PubSubEngine:
    """Serves Pub/Sub over gRPC on 127.0.0.1 from one directory.

    ``directory`` holds topics, subscriptions and unacknowledged messages; only one engine may use it at a time (raises
    :class:`~sandbox.engines.journal.JournalError`). ``token`` makes the bearer tokens of pushes with an OIDC token.
    ``clock`` is whose time counts for back-off and deadlines (real time by default). ``time_scale`` scales back-off alone and
    ``ack_deadline_scale`` ack deadlines alone; 1.0 is as set. ``max_pushes_in_flight`` is per subscription. ``port`` 0 takes a
    free one.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        token: TokenSource | None = None,
        clock: Clock | None = None,
        time_scale: float = 1.0,
        ack_deadline_scale: float = 1.0,
        max_pushes_in_flight: int = 100,
    ) -> None:
        self._directory = directory
        self._port = port
        self._token = token
        self._clock = clock or Clock()
        self._scales = (time_scale, ack_deadline_scale)
        self._max_pushes_in_flight = max_pushes_in_flight
        self.faults = PubSubFaults()
        """Faults on purpose; may be switched at any time."""
        self._server: GrpcServer | None = None
        self._broker: Broker | None = None

    @property
    def broker(self) -> Broker:
        """The state of the running engine; raises RuntimeError before ``start``."""
        if self._broker is None:
            raise RuntimeError("the Pub/Sub engine is not started")
        return self._broker

    def start(self) -> str:
        """Opens the directory and serves it; returns the address, ``127.0.0.1:<port>``."""
        time_scale, ack_deadline_scale = self._scales
        broker = Broker(
            self._directory,
            clock=self._clock,
            faults=self.faults,
            time_scale=time_scale,
            ack_deadline_scale=ack_deadline_scale,
        )
        server = GrpcServer(self._port)
        server.add([publisher_service(broker), SubscriberService(broker).service()], self.faults)
        try:
            address = server.start()
        except OSError:
            broker.close()
            raise
        Pusher(broker, self._token, self._max_pushes_in_flight).start()
        self._server, self._broker = server, broker
        return address

    def stop(self) -> None:
        """Stops serving and closes the directory; may be called again. Unanswered pushes come again at the start."""
        if self._server is not None:
            self.broker.close()
            self._server.stop()
            self._server = None

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str] | None = None) -> str:
        """Publishes from inside this process (notifications of Storage, the scheduler); returns the message id.

        ``topic`` is ``projects/P/topics/T``. Raises :class:`~sandbox.engines.grpc_services.CallError` NOT_FOUND.
        """
        return self.broker.publish(topic, [PubsubMessage(data=data, attributes=attributes or {})])[0]

    def deliveries(self, limit: int = 100) -> list[DeliveryRecord]:
        """The newest entries of the delivery log, oldest first."""
        with self.broker.lock:
            return list(self.broker.log)[-limit:]

    def backlog(self) -> dict[str, Backlog]:
        """What each subscription still has, by its full name."""
        return self.broker.backlog()
