"""Amounts as different systems count them: ours are in the minor unit of ISO 4217, and not every provider's are."""

# ISO 4217: the currencies whose minor unit is not a hundredth.
ZERO_DECIMAL = frozenset({
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG",
    "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF",
})  # fmt: skip
THREE_DECIMAL = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})


class NotRepresentable(ValueError):
    """The amount has more digits than the other system can write."""


def exponent(currency: str) -> int:
    """How many digits of an amount in minor units stand behind the point of the major unit."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def rescaled(amount: int, *, from_exponent: int, to_exponent: int) -> int:
    """The same money, counted in another unit. Raises `NotRepresentable` rather than rounding."""
    if to_exponent >= from_exponent:
        return amount * _power(to_exponent - from_exponent)
    whole, rest = divmod(amount, _power(from_exponent - to_exponent))
    if rest:
        raise NotRepresentable(f"{amount} has digits that would be lost")
    return whole


def _power(digits: int) -> int:
    return int(10**digits)


def major(amount: int, currency: str) -> str:
    """For providers that want `12.50`: `1250, "EUR"` is "12.50", `500, "JPY"` is "500"."""
    digits = exponent(currency)
    whole, rest = divmod(amount, 10**digits)
    return f"{whole}.{rest:0{digits}d}" if digits else str(whole)


def plain(amount: int, currency: str) -> str:
    """`1250, "EUR"` is "12.50 EUR": for what is stored, logged or answered, and so the same in every language.

    Pages write amounts in the reader's language (`orders.domain.money.written`).
    """
    sign = "-" if amount < 0 else ""
    return f"{sign}{major(abs(amount), currency)} {currency}"


def minor(text: str, currency: str) -> int:
    """The other way round. Raises `ValueError` for anything but plain digits with at most one point."""
    whole, point, rest = text.partition(".")
    if not (whole + rest).isascii() or not (whole + rest).isdigit() or (point and not rest):
        raise ValueError(f"{text[:40]!r} is not an amount")
    return rescaled(int(whole + rest), from_exponent=len(rest), to_exponent=exponent(currency))
