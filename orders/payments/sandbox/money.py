"""How an amount in minor units is written for people. The table of currencies is one for all; it knows no Django."""

from orders.payments.money import exponent as decimals

__all__ = ["decimals", "written"]


def written(amount: int, currency: str) -> str:
    """`1250, "EUR"` is "12.50 EUR"; `500, "JPY"` is "500 JPY"."""
    digits = decimals(currency)
    whole, rest = divmod(amount, 10**digits)
    point = f".{rest:0{digits}d}" if digits else ""
    return f"{whole:,}{point} {currency}"
