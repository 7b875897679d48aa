"""The public keys of an identity provider, from a file or an address (JWKS, RFC 7517), kept through its outages.

Limit: a key that the provider has withdrawn is believed until the next fetch, `FRESH` at most while it answers, and for
as long as it does not.
"""

import asyncio
import logging
import threading
import time
from functools import lru_cache
from pathlib import Path

import httpx
import jwt

from orders.payments import outgoing

log = logging.getLogger(__name__)

ALGORITHMS = frozenset({"RS256", "ES256", "EdDSA"})
FRESH = 300.0  # seconds until a known set is fetched again
PAUSE = 10.0  # seconds between two fetches, whatever keys are asked for
TIMEOUT = 2.0  # seconds, for each phase of a fetch
MAX_SET = 256 * 1024  # bytes
LEAST_RSA_BITS = 2048


class Keyring:
    """One set of keys. Safe from any thread, and from an event loop, which is never made to wait for a fetch."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._keys: dict[str, jwt.PyJWK] = {}
        self._lock = threading.Lock()
        self._tried_at = self._fetched_at = float("-inf")

    def get(self, key_id: str) -> jwt.PyJWK | None:
        """The key of that id; the only one there is where the token names none.

        An unknown one is fetched, except on an event loop: there it is unknown until the fetch that begins now is over.
        """
        found = self._find(key_id)
        is_old = time.monotonic() - self._fetched_at > FRESH
        if (found is not None and not is_old) or self._is_too_soon():
            return found
        if found is None and not _is_on_a_loop():
            self._fetch()
            return self._find(key_id)
        # Whoever has a good key need not wait for a provider that is away.
        threading.Thread(target=self._fetch, name="jwks", daemon=True).start()
        return found

    def _find(self, key_id: str) -> jwt.PyJWK | None:
        keys = self._keys
        if not key_id and len(keys) == 1:
            return next(iter(keys.values()))
        return keys.get(key_id)

    def _is_too_soon(self) -> bool:
        return time.monotonic() - self._tried_at < PAUSE

    def _fetch(self) -> None:
        with self._lock:
            # Asked inside the lock: of many that wait for one key, the first fetches for all.
            if self._is_too_soon():
                return
            self._tried_at = time.monotonic()
            try:
                self._keys = _usable(self._read())
            except (OSError, httpx.HTTPError, ValueError, jwt.PyJWTError) as error:
                log.warning(
                    "fetching JWKS from %s failed, keeping %d cached keys: %s",
                    self.source,
                    len(self._keys),
                    error,
                )
            else:
                self._fetched_at = time.monotonic()

    def _read(self) -> bytes:
        if not self.source.startswith(("https://", "http://")):
            return Path(self.source).read_bytes()
        with outgoing.client(timeout=TIMEOUT) as http, http.stream("GET", self.source) as answer:
            answer.raise_for_status()
            body = b""
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > MAX_SET:
                    raise ValueError(f"the key set is larger than {MAX_SET} bytes")
            return body


def _is_on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _usable(body: bytes) -> dict[str, jwt.PyJWK]:
    """The set's signature keys by id. Symmetric and weak ones are left out: a public secret signs for everybody."""
    keys = jwt.PyJWKSet.from_json(body.decode()).keys
    return {
        key.key_id or "": key
        for key in keys
        if key.algorithm_name in ALGORITHMS
        and key.public_key_use in {None, "sig"}
        and getattr(key.key, "key_size", LEAST_RSA_BITS)
        >= (256 if key.key_type == "EC" else LEAST_RSA_BITS)
    }


@lru_cache(maxsize=4)
def keyring(source: str) -> Keyring:
    """The one ring of this process for `source`."""
    return Keyring(source)
