"""An identity provider for tests: keys, tokens signed by them, and its key set over real HTTP."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

ISSUER = "https://login.example.com/"


def rsa(bits: int = 2048) -> RSAPrivateKey:
    return generate_private_key(public_exponent=65_537, key_size=bits)


def ed25519() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def key_set(**keys: Any) -> str:
    """A JWKS document with the public half of each key, by its id."""
    documents = []
    for name, key in keys.items():
        is_rsa = isinstance(key, RSAPrivateKey)
        algorithm: Any = RSAAlgorithm if is_rsa else OKPAlgorithm
        public = json.loads(algorithm.to_jwk(key.public_key()))
        documents.append(
            {**public, "kid": name, "use": "sig", "alg": "RS256" if is_rsa else "EdDSA"}
        )
    return json.dumps({"keys": documents})


def token(key: Any, name: str, **claims: Any) -> str:
    """A user's token as the identity provider makes it, whole seconds and all."""
    said = {"aud": "ordercast", "iss": ISSUER, "exp": int(time.time()) + 600, **claims}
    algorithm = "RS256" if isinstance(key, RSAPrivateKey) else "EdDSA"
    return jwt.encode(said, key, algorithm=algorithm, headers={"kid": name})


def forged_with(public: bytes, name: str, **claims: Any) -> str:
    """A token whose shared secret is what everybody knows. By hand: no library makes one."""
    said = {"aud": "ordercast", "iss": ISSUER, "exp": int(time.time()) + 600, **claims}
    parts = [
        urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", "typ": "JWT", "kid": name}, said)
    ]
    mark = hmac.digest(public, b".".join(parts), "sha256")
    return b".".join([*parts, urlsafe_b64encode(mark).rstrip(b"=")]).decode()


class KeyServer:
    """Serves `document`; while `is_down`, every answer is a 503. `asked` counts the requests."""

    def __init__(self, document: str) -> None:
        self.document, self.is_down, self.asked = document, False, 0
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.asked += 1
                self.send_response(503 if served.is_down else 200)
                self.end_headers()
                self.wfile.write(b"" if served.is_down else served.document.encode())

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks.json"

    @contextmanager
    def running(self) -> Iterator["KeyServer"]:
        thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()
