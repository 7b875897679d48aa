"""`GET /api/orders/{ref}/why`: for those who are asked "I paid, why does it say pending?"."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Router, Schema
from pydantic import StringConstraints

from orders.access import Scope
from orders.api.authentication import Principal
from orders.api.schemas import Problem
from orders.support import explain
from orders.support.explanation import Explanation, PaymentStory, ReceiptStory, StandingFlag

router = Router()
ERRORS: dict[int, Any] = dict.fromkeys((400, 401, 403, 404, 422, 429, 503), Problem)


class WhyOut(Schema):
    ref: str
    state: str
    since: datetime
    event: str
    source: str
    actor: str
    said_by: str
    why: str
    flags: list[StandingFlag]
    payments: list[PaymentStory]
    receipts: list[ReceiptStory]


@router.get(
    "/orders/{ref}/why",
    response={200: WhyOut, **ERRORS},
    summary="Why is this order in this state?",
)
def why(
    request: HttpRequest, ref: Path[Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]]
) -> Explanation:
    """What is known of the order, its source and when; when each payment is checked next, and why then. In English.

    For services and staff who may read every order: it shows more than a customer should see.
    """
    principal: Principal = request.auth  # type: ignore[attr-defined]
    principal.need(Scope.READ_ORDERS)
    principal.visible(ref)
    return explain.explain(ref)
