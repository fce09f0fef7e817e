"""Secret Manager: the engine for the unmodified google-cloud-secret-manager client over an insecure gRPC channel."""

from __future__ import annotations

import base64
import re
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import google_crc32c
import grpc
from google.cloud.secretmanager_v1 import types

from sandbox.engines.grpc_services import (
    PAGING,
    GrpcEngine,
    GrpcServer,
    Method,
    Service,
    already_exists,
    failed_precondition,
    invalid_argument,
    not_emulated,
    not_found,
    only,
    page,
)
from sandbox.engines.journal import DirectoryLock, JournaledMap

SECRET_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
MAX_PAYLOAD_BYTES = 65_536
UPDATABLE = {"labels", "annotations"}
SETTINGS = {"name", "replication", "create_time", "etag", *UPDATABLE}
"""What a secret may be made with; where it is replicated changes nothing here."""

State: Any = types.SecretVersion.State


class SecretManagerEngine(GrpcEngine):
    """Secrets and their versions in one directory, readable by this user only. Nothing is encrypted.

    Only one engine may use the directory at a time (raises :class:`~sandbox.engines.journal.JournalError`).
    """

    def __init__(self, directory: Path, *, port: int = 0, server: GrpcServer | None = None) -> None:
        super().__init__(port=port, server=server)
        self._directory = directory
        self._lock = threading.RLock()

    def start(self) -> str:
        """Opens the directory and serves it; returns the address ``127.0.0.1:<port>``."""
        self._directory_lock = DirectoryLock(self._directory)
        self._secrets = JournaledMap(self._directory / "secrets.jsonl")
        self._versions = JournaledMap(self._directory / "versions.jsonl")
        for name in self._versions:  # left by a process that died while it deleted a secret
            if name.rpartition("/versions/")[0] not in self._secrets:
                del self._versions[name]
        try:
            return super().start()
        except OSError:
            self._close()
            raise

    def stop(self) -> None:
        """Stops serving and closes the directory; may be called again."""
        super().stop()
        self._close()

    def _close(self) -> None:
        if hasattr(self, "_directory_lock"):
            self._secrets.close()
            self._versions.close()
            self._directory_lock.release()

    def services(self) -> list[Service]:
        """``google.cloud.secretmanager.v1.SecretManagerService``."""
        return [
            Service(
                "google.cloud.secretmanager.v1.SecretManagerService",
                {
                    "CreateSecret": Method(types.CreateSecretRequest, self._create_secret, "parent secret_id secret"),
                    "GetSecret": Method(types.GetSecretRequest, lambda request, _: self._secret(request.name), "name"),
                    "ListSecrets": Method(types.ListSecretsRequest, self._list_secrets, f"parent {PAGING}"),
                    "UpdateSecret": Method(types.UpdateSecretRequest, self._update_secret, "secret update_mask"),
                    "DeleteSecret": Method(types.DeleteSecretRequest, self._delete_secret, "name"),
                    "AddSecretVersion": Method(types.AddSecretVersionRequest, self._add_version, "parent payload"),
                    "AccessSecretVersion": Method(types.AccessSecretVersionRequest, self._access_version, "name"),
                    "GetSecretVersion": Method(
                        types.GetSecretVersionRequest, lambda request, _: _shown(self._version(request.name)), "name"
                    ),
                    "ListSecretVersions": Method(types.ListSecretVersionsRequest, self._list_versions, f"parent {PAGING}"),
                    "EnableSecretVersion": Method(
                        types.EnableSecretVersionRequest,
                        lambda request, _: self._set_state(request.name, State.ENABLED),
                        "name",
                    ),
                    "DisableSecretVersion": Method(
                        types.DisableSecretVersionRequest,
                        lambda request, _: self._set_state(request.name, State.DISABLED),
                        "name",
                    ),
                    "DestroySecretVersion": Method(
                        types.DestroySecretVersionRequest,
                        lambda request, _: self._set_state(request.name, State.DESTROYED),
                        "name",
                    ),
                },
            )
        ]

    # ---- secrets

    def _secret(self, name: str) -> types.Secret:
        with self._lock:
            if name not in self._secrets:
                raise not_found(f"Secret [{name}] not found.")
            secret: types.Secret = types.Secret.from_json(self._secrets[name])
            return secret

    def _create_secret(self, request: types.CreateSecretRequest, context: grpc.ServicerContext) -> types.Secret:
        if not SECRET_ID.fullmatch(request.secret_id):
            raise invalid_argument(f"The provided Secret ID [{request.secret_id}] does not match {SECRET_ID.pattern}.")
        given = types.Secret.pb(request.secret)
        if not given.HasField("replication"):
            raise invalid_argument("secret.replication must be provided.")
        only(given, SETTINGS, "the secret setting ")
        name = f"{request.parent}/secrets/{request.secret_id}"
        with self._lock:
            if name in self._secrets:
                raise already_exists(f"Secret [{name}] already exists.")
            secret = types.Secret(request.secret, name=name, create_time=datetime.now(UTC))
            self._secrets[name] = types.Secret.to_json(secret, indent=None)
        return secret

    def _list_secrets(self, request: types.ListSecretsRequest, context: grpc.ServicerContext) -> types.ListSecretsResponse:
        with self._lock:
            names = sorted(name for name in self._secrets if name.startswith(f"{request.parent}/secrets/"))
            shown, token = page(names, request)
            secrets = [self._secret(name) for name in shown]
        return types.ListSecretsResponse(secrets=secrets, next_page_token=token, total_size=len(names))

    def _update_secret(self, request: types.UpdateSecretRequest, context: grpc.ServicerContext) -> types.Secret:
        paths = set(request.update_mask.paths)
        if not paths:
            raise invalid_argument("The update_mask must be set.")
        if paths - UPDATABLE:
            raise not_emulated(f"updating a secret's {', '.join(sorted(paths - UPDATABLE))}")
        with self._lock:
            secret = self._secret(request.secret.name)
            for path in paths:
                setattr(secret, path, getattr(request.secret, path))
            self._secrets[secret.name] = types.Secret.to_json(secret, indent=None)
        return secret

    def _delete_secret(self, request: types.DeleteSecretRequest, context: grpc.ServicerContext) -> None:
        with self._lock:
            self._secret(request.name)
            del self._secrets[request.name]  # this is the deed; whoever dies after it leaves only what the next start clears
            for name in self._version_names(request.name):
                del self._versions[name]

    # ---- versions

    def _version_names(self, secret: str) -> list[str]:
        """The secret's versions, oldest first."""
        prefix = f"{secret}/versions/"
        return sorted((name for name in self._versions if name.startswith(prefix)), key=_number)

    def _version(self, name: str) -> dict[str, Any]:
        """What is kept of a version; ``latest`` is the newest one whatever its state, as in the real service."""
        secret, _, number = name.rpartition("/versions/")
        with self._lock:
            self._secret(secret)
            names = self._version_names(secret)
            wanted = names[-1] if number == "latest" and names else name
            if wanted not in self._versions:
                raise not_found(f"Secret Version [{name}] not found.")
            kept: dict[str, Any] = self._versions[wanted]
            return kept

    def _add_version(self, request: types.AddSecretVersionRequest, context: grpc.ServicerContext) -> types.SecretVersion:
        data = request.payload.data
        if not data or len(data) > MAX_PAYLOAD_BYTES:
            raise invalid_argument(f"The secret's payload should have 1 to {MAX_PAYLOAD_BYTES} bytes.")
        if types.SecretPayload.pb(request.payload).HasField("data_crc32c") and request.payload.data_crc32c != _crc32c(data):
            raise invalid_argument("The payload's data_crc32c does not match its data.")
        with self._lock:
            self._secret(request.parent)
            names = self._version_names(request.parent)
            name = f"{request.parent}/versions/{_number(names[-1]) + 1 if names else 1}"
            self._versions[name] = {
                "name": name,
                "state": State.ENABLED.value,
                "create_time": datetime.now(UTC).isoformat(),
                "data": base64.b64encode(data).decode(),
            }
            return _shown(self._versions[name])

    def _access_version(
        self, request: types.AccessSecretVersionRequest, context: grpc.ServicerContext
    ) -> types.AccessSecretVersionResponse:
        kept = self._version(request.name)
        state = State(kept["state"])
        if state is not State.ENABLED:
            raise failed_precondition(f"Secret Version [{kept['name']}] is in {state.name} state.")
        data = base64.b64decode(kept["data"])
        payload = types.SecretPayload(data=data, data_crc32c=_crc32c(data))
        return types.AccessSecretVersionResponse(name=kept["name"], payload=payload)

    def _list_versions(
        self, request: types.ListSecretVersionsRequest, context: grpc.ServicerContext
    ) -> types.ListSecretVersionsResponse:
        with self._lock:
            self._secret(request.parent)
            names = self._version_names(request.parent)[::-1]
            shown, token = page(names, request)
            versions = [_shown(self._versions[name]) for name in shown]
        return types.ListSecretVersionsResponse(versions=versions, next_page_token=token, total_size=len(names))

    def _set_state(self, name: str, state: Any) -> types.SecretVersion:
        with self._lock:
            kept = self._version(name)
            if State(kept["state"]) is State.DESTROYED:
                raise failed_precondition(f"Secret Version [{kept['name']}] is in DESTROYED state.")
            changed = {**kept, "state": state.value}
            if state is State.DESTROYED:
                changed |= {"data": "", "destroy_time": datetime.now(UTC).isoformat()}
            self._versions[kept["name"]] = changed
            return _shown(changed)


def _number(version_name: str) -> int:
    return int(version_name.rsplit("/", 1)[-1])


def _crc32c(data: bytes) -> int:
    return int(google_crc32c.value(data))  # type: ignore[no-untyped-call,unused-ignore]  # ships no stubs


def _shown(kept: dict[str, Any]) -> types.SecretVersion:
    times = {key: datetime.fromisoformat(kept[key]) for key in ("create_time", "destroy_time") if kept.get(key)}
    return types.SecretVersion(name=kept["name"], state=State(kept["state"]), **times)
