"""Amounts in texts: in the currency's major unit, whoever reads them."""

import re
from pathlib import Path

import pytest

import orders
from orders.payments.money import plain

ROOT = Path(orders.__file__).parents[1]
# An amount put into a text right beside its currency, as `{taken} {order.currency}`.
_RAW = re.compile(r"\{[\w.]+(?: - [\w.]+)?\} \{[\w.]*currency[\w.()]*\}")
# Where amounts are written out, so that what stands there is in the major unit already.
_WRITERS = {"orders/payments/money.py", "orders/payments/sandbox/money.py"}


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1_250, "EUR", "12.50 EUR"),
        (5, "EUR", "0.05 EUR"),
        (0, "EUR", "0.00 EUR"),
        (500, "JPY", "500 JPY"),
        (1_250, "KWD", "1.250 KWD"),
        (-1_250, "EUR", "-12.50 EUR"),
    ],
)
def test_an_amount_is_written_with_the_digits_of_its_currency(
    amount: int, currency: str, text: str
) -> None:
    assert plain(amount, currency) == text


def test_no_text_has_an_amount_in_minor_units_beside_its_currency() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for room in ("orders", "realtime", "workers", "backend")
        for path in (ROOT / room).rglob("*.py")
        for line in path.read_text().splitlines()
        if _RAW.search(line) and path.relative_to(ROOT).as_posix() not in _WRITERS
    ]

    assert found == []
