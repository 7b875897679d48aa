"""The chapters: each is one thing that happens to people who take payments."""

from typing import Any

import httpx

from tests.story.backoffice import BackOffice
from tests.story.shop import Order, Page, Shop
from tests.story.teller import chapter


async def _pay(shop: Shop, order: Order, page: Page, action: str = "pay") -> dict[str, Any]:
    """Begin a payment and press a button at the checkout."""
    payment = await shop.step("payment begun at the provider", shop.begin(order))
    await shop.step("page: awaiting payment", page.becomes("awaiting_payment"))
    await shop.step(f"customer presses {action!r}", shop.at_checkout(payment, action))
    return payment


def _expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise AssertionError(f"{what}: {found!r}, not {wanted!r}")


@chapter("Paid, and the callback tells")
async def paid_by_callback(shop: Shop) -> None:
    order = await shop.step("order made", shop.order(1_250))
    async with shop.page(order) as page:
        await _pay(shop, order, page)
        await shop.step("page: paid", page.becomes("paid"))
    _expect("source", (await shop.events(order))[-1]["source"], "callback")


@chapter("Paid synchronously, within the call")
async def paid_synchronously(shop: Shop) -> None:
    order = await shop.step("order made", shop.order(2_000))
    async with shop.page(order) as page:
        payment = await shop.step("payment made, mode sync", shop.begin(order, mode="sync"))
        _expect("payment", payment["status"], "captured")
        await shop.step("page: paid", page.becomes("paid"))


@chapter("Declined, then paid at the second try")
async def declined_then_paid(shop: Shop) -> None:
    order = await shop.step("order made", shop.order(990))
    async with shop.page(order) as page:
        first = await _pay(shop, order, page, "decline")
        await shop.step("page: failed", page.becomes("failed"))
        second = await _pay(shop, order, page)
        await shop.step("page: paid", page.becomes("paid"))
    _expect("attempts", first["ref"] != second["ref"], True)


@chapter("The callback comes twice")
async def callback_doubled(shop: Shop) -> None:
    order = await shop.step("order made", shop.order(500, faults=["callback_doubled"]))
    async with shop.page(order) as page:
        await _pay(shop, order, page)
        await shop.step("page: paid", page.becomes("paid"))
    paid = [e for e in await shop.events(order) if e["event"] == "payment.captured"]
    _expect("times that it was paid", len(paid), 1)


@chapter("The callbacks come out of order")
async def callbacks_out_of_order(shop: Shop) -> None:
    order = await shop.step("order made", shop.order(700, faults=["callback_out_of_order"]))
    async with shop.page(order) as page:
        await _pay(shop, order, page)
        await shop.step("page: paid", page.becomes("paid"))
    seen = await shop.step("still paid when asked", shop.state(order))
    _expect("state and flags", (seen["state"], seen["flags"]), ("paid", []))


@chapter("The callback is lost, and the reconciler heals it")
async def callback_lost(shop: Shop) -> None:
    order = await shop.step("order made", shop.order(4_200, faults=["callback_lost"]))
    async with shop.page(order) as page:
        await _pay(shop, order, page)
        await shop.step("page: paid, with nobody's help", page.becomes("paid"))
    _expect("source", (await shop.events(order))[-1]["source"], "reconciler")


@chapter("A forged callback is refused")
async def callback_forged(shop: Shop) -> None:
    order = await shop.step("order made", shop.order(1_000_000))
    payment = await shop.step("payment begun at the provider", shop.begin(order))
    before = await shop.events(order)
    answer = await shop.step("forged callback sent", _forge(shop, payment))
    _expect("answer", answer.status_code, 400)
    after = await shop.step("nothing has changed", shop.events(order))
    _expect("events", after, before)


async def _forge(shop: Shop, payment: dict[str, Any]) -> httpx.Response:
    import time

    told = {"merchant_ref": payment["ref"], "status": "captured", "captured": payment["amount"]}
    headers = {
        "webhook-id": "evt_forged",
        "webhook-timestamp": str(int(time.time())),
        "webhook-signature": "v1,Zm9yZ2VkIGJ5IHNvbWVvbmUgd2l0aG91dCB0aGUgc2VjcmV0IQ==",
    }
    body = {"type": "payment.captured", "data": told}
    return await shop.browser.post(f"{shop.url}/callbacks/house/", json=body, headers=headers)


@chapter("A callback with a wrong amount is flagged, and does not pay")
async def wrong_amount(shop: Shop) -> None:
    fault = {"fault": "callback_wrong_amount", "amount": 1}
    order = await shop.step("order made", shop.order(8_800, faults=[fault]))
    async with shop.page(order) as page:
        await _pay(shop, order, page)
        flagged = await shop.step("page: someone looks at it", page.sees("order.flagged"))
    _expect("state", flagged["state"], "awaiting_payment")
    seen = await shop.step("the reason is kept", shop.state(order))
    _expect("flags", seen["flags"], ["mismatch"])


@chapter("Staff force a refresh in the admin")
async def staff_refresh(shop: Shop, office: BackOffice) -> None:
    order = await shop.step("order made", shop.order(3_300, faults=["callback_lost"]))
    async with shop.page(order) as page:
        await _pay(shop, order, page)
        await shop.step("staff log in", office.log_in())
        await shop.step("staff press 'Force refresh'", office.force_refresh(order.ref))
        await shop.step("page: paid", page.becomes("paid"))


@chapter("A page that was away gets what it missed")
async def page_resumes(shop: Shop) -> None:
    order = await shop.step("order made", shop.order(1_999))
    async with shop.page(order) as page:
        payment = await shop.step("payment begun at the provider", shop.begin(order))
        await shop.step("page: awaiting payment", page.becomes("awaiting_payment"))
        epoch, version = page.epoch, page.version
    await shop.step("while it is away: paid", shop.at_checkout(payment, "pay"))
    async with shop.page(order) as other:
        await other.becomes("paid")
    async with shop.page(order, epoch, version) as back:
        await shop.step("page is back: paid", back.becomes("paid"))
    _expect("mode", back.mode, "tail")
    _expect("first event after its own", back.events[0]["version"], version + 1)


@chapter("Part of the money goes back, then the rest")
async def refunded(shop: Shop) -> None:
    order = await shop.step("order made", shop.order(5_000))
    async with shop.page(order) as page:
        await _pay(shop, order, page)
        await shop.step("page: paid", page.becomes("paid"))
        refunds = f"orders/{order.ref}/refunds"
        body = {"amount": 1_500, "reason": "one cup was broken"}
        await shop.step("refund of 15.00", shop.call("POST", refunds, body))
        await shop.step("page: partially refunded", page.becomes("partially_refunded"))
        await shop.step("refund of the rest", shop.call("POST", refunds, {}))
        await shop.step("page: refunded", page.becomes("refunded"))
        _expect("given back", page.events[-1]["data"]["refunded"], 5_000)


@chapter("The customer disputes the payment")
async def disputed(shop: Shop) -> None:
    fault = {"fault": "dispute_later", "seconds": 0.5}
    order = await shop.step("order made", shop.order(6_100, faults=[fault]))
    async with shop.page(order) as page:
        await _pay(shop, order, page)
        await shop.step("page: paid", page.becomes("paid"))
        await shop.step("page: disputed", page.becomes("disputed"))
        _expect("disputed", page.events[-1]["data"]["disputed"], 6_100)
