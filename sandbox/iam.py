"""Cloud Run's IAM check in front of a private service: signed identity tokens, and who may invoke.

In the cloud Google signs the tokens (https://cloud.google.com/run/docs/authenticating/service-to-service); here each world
has a key of its own under its home. The claims are the same ones: ``iss``, ``aud``, ``email``, ``iat``, ``exp``.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Collection
from pathlib import Path

import jwt

ISSUER = "https://accounts.google.com"
LIFETIME_SECONDS = 3600
_ALGORITHM = "HS256"


class Issuer:
    """Signs and judges the identity tokens of one world."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of(cls, home: Path) -> Issuer:
        """The issuer of a home; makes its key (readable by its owner alone) at first use."""
        path = home / "iam.key"
        try:
            return cls(path.read_bytes())
        except FileNotFoundError:
            pass
        home.mkdir(parents=True, exist_ok=True)
        key = secrets.token_hex(32).encode()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key)
        return cls(key)

    def token(self, email: str, audience: str, *, lifetime_seconds: float = LIFETIME_SECONDS) -> str:
        """An identity token of ``email`` for the service at the URL ``audience``."""
        now = time.time()
        claims = {
            "iss": ISSUER,
            "aud": audience,
            "email": email,
            "email_verified": True,
            "sub": email,
            "iat": int(now),
            "exp": int(now + lifetime_seconds),
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def email(self, token: str, audience: str) -> str:
        """Whose token it is. Raises ``jwt.InvalidTokenError``: not ours, for another audience, or expired."""
        claims = jwt.decode(
            token,
            self._key,
            algorithms=[_ALGORITHM],
            audience=audience,
            issuer=ISSUER,
            options={"require": ["exp", "aud", "email"]},
        )
        return str(claims["email"])


def invoker_check(
    issuer: Issuer, audience: Callable[[], str], invokers: Collection[str]
) -> Callable[[str | None], tuple[int, str] | None]:
    """The check of a private service: 401 without a valid token, 403 for an identity that is not among ``invokers``.

    ``audience`` is called at each request, because a service's URL is known only after it listens.
    """

    def check(authorization: str | None) -> tuple[int, str] | None:
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return 401, "This service is private: send an identity token (Authorization: Bearer ...)."
        try:
            email = issuer.email(token.strip(), audience())
        except jwt.InvalidTokenError as error:
            return 401, f"The identity token is not valid: {error}."
        if email not in invokers:
            return 403, f"{email} may not invoke this service."
        return None

    return check
