"""Which pictures are taken. Staff's pages stand in `staff_shots`, where there is one."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Literal

from tests.browser.screenshots.scenes import Scene

PHONE, NARROW, DESK, A4 = (390, 844), (320, 640), (1280, 800), (794, 1123)


@dataclass(frozen=True, kw_only=True)
class Shot:
    """`path` is below the stack's address. `as_demo` is logged in as the demo's user, who is staff as well."""

    name: str
    path: str
    size: tuple[int, int] = PHONE
    scheme: Literal["light", "dark"] = "light"
    language: str = "en"
    is_rtl: bool = False
    is_print: bool = False
    as_demo: bool = False
    wait_for: str = ""  # a selector that must be there before the picture is taken


STATES = (
    "created", "awaiting_payment", "processing", "authorised", "paid", "failed", "partially_refunded", "refunded",
    "disputed", "charged_back", "cancelled", "cancelling", "expired", "late", "review",
)  # fmt: skip
_LIVE = '[data-connection="live"]'


def shots(scenes: dict[str, Scene]) -> Iterator[Shot]:
    for state in STATES:
        yield Shot(name=f"order-{state.replace('_', '-')}", path=scenes[state].path, wait_for=_LIVE)
    paid = Shot(name="order-paid-desk", path=scenes["paid"].path, size=DESK, wait_for=_LIVE)
    partly = replace(
        paid, name="order-partially-refunded-desk", path=scenes["partially_refunded"].path
    )
    yield paid
    yield partly
    yield replace(partly, name="order-partially-refunded-desk-dark", scheme="dark")
    yield replace(
        paid, name="order-failed-dark", path=scenes["failed"].path, size=PHONE, scheme="dark"
    )
    yield replace(paid, name="order-yen-320", path=scenes["yen"].path, size=NARROW)
    for language in ("de", "ru", "zh-hans"):
        yield replace(partly, name=f"order-partially-refunded-{language}", language=language)
        waits = scenes["awaiting_payment"].path
        yield replace(
            paid, name=f"order-waiting-{language}", path=waits, size=PHONE, language=language
        )
    yield replace(partly, name="order-partially-refunded-rtl", is_rtl=True)
    yield replace(
        paid, name="order-failed-rtl", path=scenes["failed"].path, size=NARROW, is_rtl=True
    )
    receipt = Shot(name="receipt", path=scenes["partially_refunded"].receipt, size=DESK)
    yield receipt
    yield replace(receipt, name="receipt-print", size=A4, is_print=True)
    yield replace(receipt, name="receipt-print-ru", size=A4, is_print=True, language="ru")
    yield replace(partly, name="order-print", size=A4, is_print=True, wait_for="")
    orders = Shot(name="my-orders", path="/orders/", as_demo=True, size=DESK, wait_for=_LIVE)
    yield orders
    yield replace(orders, name="my-orders-phone-dark", size=PHONE, scheme="dark")
    yield replace(orders, name="my-orders-zh-hans", size=PHONE, language="zh-hans")
    yield Shot(name="start", path="/", size=DESK)
    yield Shot(name="log-in", path="/login/")
    yield Shot(name="log-in-de", path="/login/", language="de")
    yield Shot(name="embed", path="/embed/", size=DESK)
    yield Shot(name="no-order", path="/orders/nothing/")
    yield Shot(name="no-page", path="/nothing/")
    yield from _staff()


def _staff() -> Iterator[Shot]:
    if find_spec("tests.browser.staff_shots"):
        yield from import_module("tests.browser.staff_shots").SHOTS
