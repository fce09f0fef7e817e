"""What a scheduler job does when it fires: publish a message, or make an HTTP call."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import grpc
from google.cloud.scheduler_v1 import types

from sandbox.engines import outbound

Job: TypeAlias = Any
"""A scheduler_v1 Job. Its annotations claim protobuf's Timestamp where proto-plus gives datetime, so they do not help."""

DEFAULT_ATTEMPT_DEADLINE_SECONDS = 180.0

Publish = Callable[[str, bytes, Mapping[str, str]], object]
"""Called with topic (``projects/P/topics/T``), data and attributes; raises when it could not publish."""


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One HTTP request that a job makes. ``headers`` include the bearer token if the job asks for one."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout_seconds: float


Post = Callable[[HttpCall], int]
"""Makes the request and returns the answer's status; raises OSError or http.client.HTTPException."""


def send(call: HttpCall) -> int:
    """The real :data:`Post`."""
    return outbound.send(call.method, call.url, call.body, call.headers, call.timeout_seconds)


def seconds(duration: Any, default: float) -> float:
    """A duration of proto-plus in seconds; ``default`` when it is not set, which proto-plus shows as None or as zero."""
    return duration.total_seconds() if isinstance(duration, timedelta) and duration else default


class Targets:
    """Carries out one attempt of a job."""

    def __init__(self, publish: Publish, post: Post, token: outbound.TokenSource | None) -> None:
        self._publish, self._post, self._token = publish, post, token

    def attempt(self, job: Job) -> tuple[grpc.StatusCode, str]:
        """How the attempt ended, as the job's ``status`` shows it: a code and, unless OK, what went wrong."""
        try:
            if "pubsub_target" in job:
                target = job.pubsub_target
                self._publish(target.topic_name, target.data, dict(target.attributes))
                return grpc.StatusCode.OK, ""
            status = self._post(self._http_call(job))
        except (OSError, http.client.HTTPException) as error:
            return grpc.StatusCode.UNAVAILABLE, f"{type(error).__name__}: {error}"
        except Exception as error:  # a callback may raise anything; the job has failed and says so
            return grpc.StatusCode.UNKNOWN, f"{type(error).__name__}: {error}"
        if 200 <= status < 300:
            return grpc.StatusCode.OK, ""
        return grpc.StatusCode.INTERNAL, f"{job.http_target.uri} answered {status}"

    def _http_call(self, job: Job) -> HttpCall:
        target = job.http_target
        headers = {
            "User-Agent": "Google-Cloud-Scheduler",
            "X-CloudScheduler": "true",
            "X-CloudScheduler-JobName": job.name.rsplit("/", 1)[-1],
            "X-CloudScheduler-ScheduleTime": (job.schedule_time or datetime.now(UTC)).isoformat(),
            **dict(target.headers),
        }
        if target.body:
            headers.setdefault("Content-Type", "application/octet-stream")
        if "oidc_token" in target:
            if self._token is None:
                raise RuntimeError("the job asks for an OIDC token, and the engine has no source of them")
            audience = target.oidc_token.audience or target.uri
            headers["Authorization"] = f"Bearer {self._token(target.oidc_token.service_account_email, audience)}"
        method = types.HttpMethod(target.http_method or types.HttpMethod.POST).name
        timeout_seconds = seconds(job.attempt_deadline, DEFAULT_ATTEMPT_DEADLINE_SECONDS)
        return HttpCall(method, target.uri, headers, target.body, timeout_seconds)
