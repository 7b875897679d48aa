"""Schemathesis against the API's own description: every operation, with data that fits it and data that does not."""

import json
import random
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import requests
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure, FailureGroup

from orders.api import strict_json
from tests.fuzz.tally import Tally
from tests.fuzz.target import TOKEN, Target

# A request can fit the description and still be refused for what an order is, or while a provider is away.
_CONFIG = {
    "checks": {
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", 304, 401, 403, 404, 409, 422, 503]
        },
        "negative_data_rejection": {
            "expected-statuses": [400, 401, 403, 404, 405, 409, 413, 415, 422]
        },
    }
}


def run(target: Target, tally: Tally, count: int, seed: int) -> None:
    """Send about `count` requests: a third as schemathesis makes them, the others made of those, byte by byte."""
    schema = schemathesis.openapi.from_url(
        f"{target.url}/api/openapi.json", config=SchemathesisConfig.from_dict(_CONFIG)
    )
    operations: list[Any] = [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]
    each = max(1, count // (12 * len(operations)))  # a check of its own sends another one or two
    upto = tally.requests + count
    with _Counting(tally) as session:
        sender = _Sender(target, tally, session, random.Random(seed))
        for operation in operations:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                _try(operation, mode, each, sender)
        while tally.requests < upto:
            sender.send_changed()


class _Counting(requests.Session):
    """Counts what goes out, also what schemathesis's checks send by themselves."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self.trust_env, self._tally = False, tally

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        self._tally.requests += 1
        return super().send(request, **options)


def _try(operation: Any, mode: GenerationMode, count: int, sender: "_Sender") -> None:
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Case[Any]) -> None:
        # What fits the description is refused for its JSON alone where that is too deep, or a number too long.
        assume(mode is GenerationMode.NEGATIVE or _is_taken(case.body))
        sender.send(case)

    with suppress(Unsatisfiable):  # nothing about this operation can be wrong in this way
        run()


def _is_taken(body: Any) -> bool:
    try:
        strict_json.loads(json.dumps(body).encode())
    except ValueError:
        return False
    except TypeError:  # no body at all
        return True
    return True


class _Sender:
    def __init__(
        self, target: Target, tally: Tally, session: requests.Session, rng: random.Random
    ) -> None:
        self._target, self._tally, self._session, self._rng = target, tally, session, rng
        self._sent: list[tuple[requests.PreparedRequest, frozenset[str]]] = []

    def send(self, case: Case[Any]) -> None:
        # A list of one is on the line what its item is, and fits.
        query = case.query if isinstance(case.query, dict) else {}
        assume(not any(isinstance(value, list) and len(value) < 2 for value in query.values()))
        self._aim(case)
        where = f"{case.method} {case.operation.path}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        try:
            answer = case.call_and_validate(session=self._session, headers=headers, timeout=30)
        except FailureGroup as group:
            for failure in group.exceptions:
                self._blame(where, failure)
        except Failure as failure:
            self._blame(where, failure)
        except requests.RequestException as error:
            # What no HTTP client can send is no finding.
            if not isinstance(error, requests.exceptions.InvalidHeader):
                self._tally.blame("crashes", f"{where}: {type(error).__name__}")
        else:
            if b"Traceback" in answer.content:
                self._tally.blame("crashes", f"{where}: a traceback in the answer")
            if len(self._sent) < 2_000:
                documented = frozenset(case.operation.definition.raw["responses"])
                self._sent.append((answer.request, documented))

    def _aim(self, case: Case[Any]) -> None:
        """Mostly at orders that there are: what nobody can find is refused before anything is tried."""
        given = str((case.path_parameters or {}).get("ref", ""))
        if len(given) == 32 and given.isalnum() and self._rng.random() < 0.8:
            case.path_parameters["ref"] = self._rng.choice(self._target.refs)

    def send_changed(self) -> None:
        """One that went out before, with some bytes of its body or its address changed."""
        earlier, documented = self._rng.choice(self._sent)
        changed = earlier.copy()
        body = changed.body.encode() if isinstance(changed.body, str) else changed.body
        if isinstance(body, bytes) and body and self._rng.random() < 0.8:
            changed.body = self._mutated(body)
            changed.headers["Content-Length"] = str(len(changed.body))
        else:
            base, _, path = (changed.url or "").partition("/api/")
            changed.url = f"{base}/api/{quote(self._mutated(path.encode()), safe='/?&=%')}"
        is_elsewhere = (changed.url or "").split("?")[0] != (earlier.url or "").split("?")[0]
        try:
            answer = self._session.send(changed, timeout=30, allow_redirects=False)
        except requests.RequestException as error:
            self._tally.blame("crashes", f"{changed.method}: {type(error).__name__}")
            return
        where = f"{changed.method} {(earlier.url or '').split('/api/')[-1][:40]}, changed"
        kind = answer.headers.get("content-type", "")
        if answer.status_code >= 500 and answer.status_code != 503:
            self._tally.blame("server_errors", f"{where}: {answer.status_code}")
        elif is_elsewhere:
            return  # no operation of the description any more; it is enough that it was no error of ours
        elif str(answer.status_code) not in documented:
            self._tally.blame("undocumented", f"{where}: {answer.status_code}")
        elif answer.status_code >= 400 and kind != "application/problem+json":
            self._tally.blame("undocumented", f"{where}: {answer.status_code} as {kind}")

    def _mutated(self, data: bytes) -> bytes:
        for _ in range(self._rng.choice((1, 1, 2, 8))):
            at = self._rng.randrange(len(data) + 1)
            cut = self._rng.choice((0, 0, 1, 1, 4))
            new = self._rng.choice(
                (b"", b'"', b"{", b"\x00", b"9" * 40, b"-", b"\xff", self._rng.randbytes(1))
            )
            data = data[:at] + new + data[at + cut :]
        return data

    def _blame(self, where: str, failure: BaseException) -> None:
        kind = "server_errors" if "server error" in str(failure).lower() else "undocumented"
        said = " ".join(str(failure).split())[:300]
        self._tally.blame(kind, f"{where}: {type(failure).__name__}: {said}")
