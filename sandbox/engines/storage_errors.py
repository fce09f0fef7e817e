"""Errors of the Storage engine, in the form in which Cloud Storage's JSON API reports them."""

from __future__ import annotations

from typing import Any

README = "sandbox/engines/README.md"
"""Where it is written what the engines emulate and what they do not."""


class ApiError(Exception):
    """An answer other than success. ``code`` is the HTTP status, ``reason`` Google's word for it."""

    def __init__(self, code: int, reason: str, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after_seconds = retry_after_seconds

    def body(self) -> dict[str, Any]:
        """The JSON body that Google's API sends with this error."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "errors": [{"message": self.message, "domain": "global", "reason": self.reason}],
            }
        }


def invalid(message: str) -> ApiError:
    """400: the request makes no sense."""
    return ApiError(400, "invalid", message)


def not_found(message: str) -> ApiError:
    """404: no such bucket, object or upload."""
    return ApiError(404, "notFound", message)


def conflict(message: str) -> ApiError:
    """409: the bucket exists, or is not empty."""
    return ApiError(409, "conflict", message)


def precondition_failed() -> ApiError:
    """412: an ifGenerationMatch (or its kin) does not hold."""
    return ApiError(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")


def not_emulated(what: str) -> ApiError:
    """501: real, but not emulated here. Loud, because a call that does nothing would be a false green."""
    return ApiError(501, "notImplemented", f"The sandbox's Storage engine does not emulate {what}; see {README}.")
