"""The official clients, pointed at one world's engines by address instead of by environment variables.

So one process can hold several worlds, and the environment of the supervisor stays as it was.
"""

from __future__ import annotations

import functools
from typing import Any

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, scheduler_v1, secretmanager_v1, storage
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from sandbox.world import Addresses, World


class Cloud:
    """Clients of one world, made at first use. :meth:`close` ends their channels."""

    def __init__(self, world: World, addresses: Addresses) -> None:
        self.world = world
        self.addresses = addresses
        self._channels: list[Any] = []

    @functools.cached_property
    def storage(self) -> storage.Client:
        return storage.Client(
            project=self.world.project,
            credentials=_anonymous(),
            client_options=ClientOptions(api_endpoint=self.addresses.storage),
        )

    @functools.cached_property
    def bigquery(self) -> bigquery.Client:
        return bigquery.Client(
            project=self.world.project,
            location=self.world.location,
            credentials=_anonymous(),
            client_options=ClientOptions(api_endpoint=self.addresses.bigquery),
        )

    @functools.cached_property
    def publisher(self) -> PublisherClient:
        return PublisherClient(transport=self._transport(PublisherClient, self.addresses.pubsub))

    @functools.cached_property
    def subscriber(self) -> SubscriberClient:
        return SubscriberClient(transport=self._transport(SubscriberClient, self.addresses.pubsub))

    @functools.cached_property
    def scheduler(self) -> scheduler_v1.CloudSchedulerClient:
        client = scheduler_v1.CloudSchedulerClient
        return client(transport=self._transport(client, self.addresses.scheduler))

    @functools.cached_property
    def secrets(self) -> secretmanager_v1.SecretManagerServiceClient:
        client = secretmanager_v1.SecretManagerServiceClient
        return client(transport=self._transport(client, self.addresses.secret_manager))

    def _transport(self, client: Any, address: str) -> Any:
        import grpc

        # An insecure channel of our own is the only way that needs neither TLS nor credentials.
        channel = grpc.insecure_channel(address)
        self._channels.append(channel)
        return client.get_transport_class("grpc")(host=address, channel=channel)

    def close(self) -> None:
        for channel in self._channels:
            channel.close()
        self._channels.clear()
        for name in ("storage", "bigquery"):
            if name in self.__dict__:
                self.__dict__[name].close()


def _anonymous() -> AnonymousCredentials:
    return AnonymousCredentials()  # type: ignore[no-untyped-call]
