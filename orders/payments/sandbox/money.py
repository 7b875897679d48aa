"""How an amount in minor units is written for people."""

# ISO 4217: the currencies whose minor unit is not a hundredth.
ZERO_DECIMAL = frozenset({
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG",
    "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF",
})  # fmt: skip
THREE_DECIMAL = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})


def decimals(currency: str) -> int:
    """How many digits stand behind the point."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def written(amount: int, currency: str) -> str:
    """`1250, "EUR"` is "12.50 EUR"; `500, "JPY"` is "500 JPY"."""
    digits = decimals(currency)
    whole, rest = divmod(amount, 10**digits)
    point = f".{rest:0{digits}d}" if digits else ""
    return f"{whole:,}{point} {currency}"
