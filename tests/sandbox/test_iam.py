"""The IAM check in front of a private service."""

from __future__ import annotations

import stat
from pathlib import Path

import jwt
import pytest

from sandbox.iam import Issuer, invoker_check

URL = "http://127.0.0.1:8080"
OPERATOR = "operator@sandbox-project.iam.gserviceaccount.com"


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer.of(tmp_path)


def test_a_token_says_whose_it_is(issuer: Issuer) -> None:
    assert issuer.email(issuer.token(OPERATOR, URL), URL) == OPERATOR


def test_the_key_is_kept_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    token = Issuer.of(tmp_path).token(OPERATOR, URL)
    assert Issuer.of(tmp_path).email(token, URL) == OPERATOR
    assert stat.S_IMODE((tmp_path / "iam.key").stat().st_mode) == 0o600


def test_another_world_s_token_is_refused(issuer: Issuer, tmp_path: Path) -> None:
    with pytest.raises(jwt.InvalidTokenError):
        issuer.email(Issuer.of(tmp_path / "other").token(OPERATOR, URL), URL)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Bearer", 401),
        ("Bearer nonsense", 401),
        ("Basic b3BlcmF0b3I6", 401),
    ],
)
def test_no_valid_token_is_401(issuer: Issuer, authorization: str | None, status: int) -> None:
    refused = invoker_check(issuer, lambda: URL, {OPERATOR})(authorization)
    assert refused is not None
    assert refused[0] == status


def test_expired_or_for_another_service_is_401(issuer: Issuer) -> None:
    check = invoker_check(issuer, lambda: URL, {OPERATOR})
    for token in (issuer.token(OPERATOR, URL, lifetime_seconds=-60), issuer.token(OPERATOR, "http://127.0.0.1:1")):
        refused = check(f"Bearer {token}")
        assert refused is not None
        assert refused[0] == 401


def test_a_stranger_is_403_and_an_invoker_passes(issuer: Issuer) -> None:
    check = invoker_check(issuer, lambda: URL, {OPERATOR})
    stranger = check(f"Bearer {issuer.token('stranger@sandbox-project.iam.gserviceaccount.com', URL)}")
    assert stranger is not None
    assert stranger[0] == 403
    assert check(f"Bearer {issuer.token(OPERATOR, URL)}") is None
