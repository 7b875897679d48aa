"""Orders in every state, made as a shop, its customers and a misbehaving provider make them."""

import time
from dataclasses import dataclass
from typing import Any

import httpx

PATIENCE = 90.0  # seconds; an order expires a minute after it was made at the earliest
TOKEN, PROVIDER_KEY = "demo-service-token", "demo-house-key"
DEMO_USER = 1  # the demo's only one, who gets the orders of "my orders"

# What is done at the provider so that an order gets there.
ACTS = {
    "awaiting_payment": (),
    "processing": ("process",),
    "authorised": ("authorise",),
    "paid": ("pay",),
    "failed": ("decline",),
    "disputed": ("pay", "dispute"),
    "charged_back": ("pay", "dispute", "lose_dispute"),
}


@dataclass
class Scene:
    ref: str
    grant: str
    payment: str = ""
    checkout_url: str = ""

    @property
    def path(self) -> str:
        return f"/orders/{self.ref}/?grant={self.grant}"

    @property
    def receipt(self) -> str:
        return f"/orders/{self.ref}/receipt/?grant={self.grant}"


class Stage:
    """One running stack, and the keys to its shop and its provider."""

    def __init__(self, url: str, sandbox_url: str) -> None:
        self.url, self.sandbox_url = url, sandbox_url
        self._shop = _client(url, TOKEN)
        self._provider = _client(sandbox_url, PROVIDER_KEY)

    def order(self, title: str, amount: int = 4_250, currency: str = "EUR", **more: Any) -> Scene:
        faults = more.pop("faults", [])
        metadata = {"title": title, **({"sandbox": {"faults": faults}} if faults else {})}
        body = {"amount": amount, "currency": currency, "metadata": metadata, **more}
        made = _said(self._shop.post("/api/orders", json=body))
        return Scene(made["ref"], made["grant"])

    def begin(self, scene: Scene) -> Scene:
        """Begin to pay."""
        answer = _said(self._shop.post(f"/api/orders/{scene.ref}/payments", json={}))
        scene.payment = answer["payment"]["ref"]
        scene.checkout_url = answer["payment"]["checkout_url"]
        return scene

    def faults(self, scene: Scene, *faults: dict[str, Any]) -> None:
        path = f"/control/payments/{scene.payment}/faults"
        _said(self._provider.put(path, json={"faults": faults}))

    def act(self, scene: Scene, *actions: str) -> None:
        for action in actions:
            path = f"/control/payments/{scene.payment}/act"
            _said(self._provider.post(path, json={"action": action}))

    def tell(self, scene: Scene, **changes: Any) -> None:
        """Let the provider send a callback that its own books do not justify."""
        path = f"/control/payments/{scene.payment}/callbacks"
        _said(self._provider.post(path, json={"type": "payment.captured", "changes": changes}))

    def order_that_is(self, state: str, title: str, *amount: Any, **more: Any) -> Scene:
        scene = self.begin(self.order(title, *amount, **more))
        for number, action in enumerate(ACTS[state]):
            self.act(scene, action)
            if number == 0 and len(ACTS[state]) > 1:
                self.until(scene, state="paid")
        return self.until(scene, state=state)

    def refund(self, scene: Scene, amount: int | None = None) -> None:
        body = {} if amount is None else {"amount": amount}
        _said(self._shop.post(f"/api/orders/{scene.ref}/refunds", json=body))

    def cancel(self, scene: Scene) -> None:
        _said(
            self._shop.post(f"/api/orders/{scene.ref}/cancel", json={"reason": "changed my mind"})
        )

    def until(self, scene: Scene, **wanted: Any) -> Scene:
        """Wait until the order's API says so: `state="paid"`, `refunded=300`."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            seen = _said(self._shop.get(f"/api/orders/{scene.ref}"))
            if all(seen[name] == value for name, value in wanted.items()):
                return scene
            time.sleep(0.1)
        raise AssertionError(f"order {scene.ref} is {seen}, not {wanted}")

    def until_told(self, scene: Scene, event: str) -> None:
        """Wait until the order's history holds such an event."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            page = _said(self._shop.get(f"/api/orders/{scene.ref}/events?after=0"))
            if any(each["event"] == event for each in page["events"]):
                return
            time.sleep(0.1)
        raise AssertionError(f"order {scene.ref} never told {event}")


def play(stage: Stage) -> dict[str, Scene]:
    """One order for each state, and for what customers see beside the states."""
    expired = stage.order("Lamp", 8_900, expires_in=60, customer=DEMO_USER)
    scenes = {
        "created": stage.order("Two bags of coffee, ground", expires_in=40 * 60),
        "awaiting_payment": stage.order_that_is(
            "awaiting_payment", "Two bags of coffee, ground", 4_250, "EUR", expires_in=40 * 60
        ),
        "processing": stage.order_that_is(
            "processing", "Bicycle", 89_900, "USD", customer=DEMO_USER
        ),
        "authorised": stage.order_that_is("authorised", "Hotel, two nights", 24_800),
        "paid": stage.order_that_is("paid", "Two bags of coffee, ground", customer=DEMO_USER),
        "yen": stage.order_that_is("paid", "Tin of tea", 4_800, "JPY", customer=DEMO_USER),
        "failed": stage.order_that_is("failed", "Headphones", 12_900, customer=DEMO_USER),
        "partially_refunded": _partly_refunded(stage),
        "refunded": stage.order_that_is("paid", "Umbrella", 2_990, customer=DEMO_USER),
        "disputed": stage.order_that_is("disputed", "Watch", 45_000),
        "charged_back": stage.order_that_is("charged_back", "Camera", 61_000),
        "cancelled": stage.order("Book", 1_800, customer=DEMO_USER),
        "cancelling": _cancelling(stage),
        "review": _flagged(stage),
        "late": _late(stage),
        "expired": expired,
    }
    stage.refund(scenes["refunded"])
    stage.cancel(scenes["cancelled"])
    stage.until(scenes["refunded"], state="refunded")
    stage.until(expired, state="expired")
    return scenes


def _partly_refunded(stage: Stage) -> Scene:
    """Of three refunds one has arrived, one is under way and one has failed."""
    scene = stage.order_that_is("paid", "Set of six cups", 9_600, customer=DEMO_USER)
    stage.refund(scene, 1_600)
    stage.until(scene, refunded=1_600)
    stage.faults(scene, {"fault": "refund_pending", "seconds": 3_600, "count": 2})
    stage.refund(scene, 3_200)
    stage.act(scene, "fail_refund")
    stage.until_told(scene, "refund.failed")
    stage.refund(scene, 800)
    return scene


def _cancelling(stage: Stage) -> Scene:
    scene = stage.order_that_is("awaiting_payment", "Concert ticket", 5_400)
    stage.faults(scene, {"fault": "answer_503", "seconds": 3_600, "count": 100})
    stage.cancel(scene)
    return scene


def _flagged(stage: Stage) -> Scene:
    wrong = {"fault": "callback_wrong_amount", "amount": 1}
    scene = stage.begin(stage.order("Desk", 8_800, faults=[wrong]))
    stage.faults(scene, wrong, {"fault": "answer_503", "seconds": 3_600, "count": 100})
    stage.act(scene, "pay")
    return stage.until(scene, needs_review=True)


def _late(stage: Stage) -> Scene:
    scene = stage.order_that_is("awaiting_payment", "Concert ticket", 5_400)
    stage.cancel(scene)
    stage.until(scene, state="cancelled")
    stage.tell(scene, status="captured", captured=5_400)
    return stage.until(scene, captured=5_400)


def _client(url: str, token: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False)


def _said(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise AssertionError(
            f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}"
        )
    return answer.json()
