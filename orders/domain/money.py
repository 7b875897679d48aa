"""How an amount in minor units is written for people. How many decimals a currency has, `payments.money` knows."""

from dataclasses import dataclass

from django.utils.formats import get_format
from django.utils.translation import pgettext, pgettext_lazy

from orders.payments.money import exponent

# Translators: only a sign that means this one currency to your readers; otherwise the code, in three letters.
_SIGNS = {
    "EUR": pgettext_lazy("EUR", "€"),
    "USD": pgettext_lazy("USD", "$"),
    "GBP": pgettext_lazy("GBP", "£"),
    "JPY": pgettext_lazy("JPY", "¥"),
    "CNY": pgettext_lazy("CNY", "CNY"),
    "RUB": pgettext_lazy("RUB", "RUB"),
    "INR": pgettext_lazy("INR", "₹"),
    "KRW": pgettext_lazy("KRW", "₩"),
    "ILS": pgettext_lazy("ILS", "₪"),
}


@dataclass(frozen=True, kw_only=True)
class Spelling:
    """How amounts of one currency are written in the active language. The browser gets the same five values."""

    digits: int
    decimal: str
    group: str
    before: str
    after: str

    def write(self, amount: int) -> str:
        whole, rest = divmod(abs(amount), 10**self.digits)
        point = f"{self.decimal}{rest:0{self.digits}d}" if self.digits else ""
        number = f"{whole:,}".replace(",", self.group)
        return f"{'−' if amount < 0 else ''}{self.before}{number}{point}{self.after}"


def spelling(currency: str) -> Spelling:
    """The spelling of a currency (ISO 4217) in the active language."""
    sign = str(_SIGNS.get(currency, currency))
    pattern = (
        # Translators: where the sign stands; "{n}\u00a0{sign}" puts it behind.
        pgettext("amount", "{sign}{n}").replace("{sign}", sign)
        if sign != currency
        # Translators: the same for a three-letter currency code.
        else pgettext("amount", "{code}\u00a0{n}").replace("{code}", currency)
    )
    before, _, after = pattern.partition("{n}")
    return Spelling(
        digits=exponent(currency),
        decimal=str(get_format("DECIMAL_SEPARATOR")),
        # Django has none for Chinese, where bills have the comma all the same.
        group=str(get_format("THOUSAND_SEPARATOR")) or ",",
        before=before,
        after=after,
    )


def written(amount: int, currency: str) -> str:
    """`1250, "EUR"` is "€12.50"; `500, "JPY"` is "¥500"; `1250, "KWD"` is "KWD 1.250"."""
    return spelling(currency).write(amount)
