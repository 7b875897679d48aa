"""Takes out of texts what must not be kept: tokens, keys, passwords, and card data.

Limit: it knows secrets by their names and shapes. A card number in words, or a password that a stranger put into a
field of another name, passes.

Strangers write these texts, so each pattern takes time in proportion to the text (`tests/patterns.py`): it gives back
nothing that it has taken (`++`, `*+`), and begins only where a word begins.
"""

import re

GONE = "[redacted]"

_NAMES = (
    "authorization|proxy-authorization|cookie|set-cookie|password|passwd|passphrase|secret|client_secret|"
    "api[_-]?key|access[_-]?token|refresh[_-]?token|id[_-]?token|token|grant|return_code|private[_-]?key|sessionid|csrftoken|"
    "cvv2?|cvc2?|csc|card[_-]?number|cardnumber|card[_-]?no|pan|track[12]?|pin|iban|account[_-]?number"
)
# A member of a JSON object, whatever its value is of text or number.
_MEMBER = re.compile(
    rf'("(?:{_NAMES})"\s*+:\s*+)("(?:[^"\\]++|\\.)*+"?|-?[0-9][0-9.eE+-]*+)', re.IGNORECASE
)
# A field of a form or of an address.
_FIELD = re.compile(rf"\b((?:{_NAMES})=)[^&\s\"']++", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer|basic)(\s++)[A-Za-z0-9._~+/=-]{6,}+", re.IGNORECASE)
# The first `eyJ` of a word, and once for each word: from every `eyJ` on, `eyJ-eyJ-…` would be read to its end.
_JWT = re.compile(
    r"(?<![A-Za-z0-9_-])((?>[A-Za-z0-9_-]*?(?=eyJ)))eyJ[A-Za-z0-9_-]{5,}+\.[A-Za-z0-9_-]{5,}+\.[A-Za-z0-9_-]*+"
)
_KEY = re.compile(r"\b(sk|rk|pk|whsec)_(?:live_|test_)?[A-Za-z0-9+/=]{8,}+")
# 13 to 19 digits that begin as card numbers do, in one piece or grouped.
_CARD = re.compile(r"(?<![\w.-])[2-6](?:[ -]?[0-9]){12,18}(?![\w-]|\.[0-9])")


def redact(text: str) -> str:
    """The text without secrets and card data. What it is about stays readable."""
    text = _MEMBER.sub(rf'\1"{GONE}"', text)
    text = _FIELD.sub(rf"\1{GONE}", text)
    text = _BEARER.sub(rf"\1\2{GONE}", text)
    text = _JWT.sub(rf"\1{GONE}", text)
    text = _KEY.sub(rf"\1_{GONE}", text)
    return _CARD.sub(_unless_a_card, text)


def clipped(text: str, most: int) -> str:
    """At most `most` characters of the text, and how many are missing. To be called before `redact`: what nobody will
    read need not be searched."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} characters more)"


def _unless_a_card(match: re.Match[str]) -> str:
    return GONE if is_card_number(match[0]) else match[0]


def is_card_number(text: str) -> bool:
    """Whether the digits pass the check of ISO/IEC 7812-1 (Luhn), as one number in ten does by chance."""
    digits = [int(c) for c in text if c.isdecimal()]
    doubled = [2 * d - 9 if d > 4 else 2 * d for d in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
