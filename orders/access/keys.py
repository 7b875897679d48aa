"""The keys that sign and verify tokens. The first of ours signs; all verify, so one can be put in before it is used.

Each token is held to the algorithms of the key that it names: a public key is never taken for a shared secret.
"""

import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import jwt
from django.conf import settings
from jwt.algorithms import HMACAlgorithm

from orders.access.jwks import ALGORITHMS, keyring

OURS = "HS256"


class _Hmac(HMACAlgorithm):
    """PyJWT looks at each secret anew, whether it is not a public key, a certificate or a JWK: once is enough."""

    def prepare_key(self, key: str | bytes) -> bytes:
        return _prepared(key)

    def check_key_length(self, key: bytes) -> str | None:
        return _too_short(key)


_plain = HMACAlgorithm(HMACAlgorithm.SHA256)
_prepared = lru_cache(maxsize=16)(_plain.prepare_key)
_too_short = lru_cache(maxsize=16)(_plain.check_key_length)

jwt.unregister_algorithm(OURS)
jwt.register_algorithm(OURS, _Hmac(HMACAlgorithm.SHA256))


@lru_cache(maxsize=16)
def key_id(secret: str) -> str:
    """A name for a secret that says nothing about it."""
    return hashlib.sha256(f"ordercast key id {secret}".encode()).hexdigest()[:8]


def signing() -> tuple[str, str]:
    """The secret that signs what we issue, and its name."""
    secret = secrets()[0]
    return secret, key_id(secret)


def verifying(header: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    """Each key that a token with this header may have been signed with, and the one algorithm to hold it to."""
    named = header.get("kid", "")
    algorithm = header.get("alg")
    if algorithm == OURS:
        for secret in secrets():
            if named in {"", key_id(secret)}:
                yield secret, OURS
    elif algorithm in ALGORITHMS and settings.ORDERCAST_TOKEN_JWKS and isinstance(named, str):
        key = keyring(settings.ORDERCAST_TOKEN_JWKS).get(named)
        if key is not None:
            yield key.key, str(key.algorithm_name)


def secrets() -> list[str]:
    """Ours, the one that signs first."""
    return settings.ORDERCAST_TOKEN_KEYS or [settings.SECRET_KEY]
