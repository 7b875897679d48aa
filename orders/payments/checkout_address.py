"""Where a provider sends the customer to pay: an address that a browser opens, so its scheme decides what it can do."""

from urllib.parse import urlsplit

from orders.payments.base import Provider

# Whatever a provider says: these run in a page of ours, or read what is near.
_NEVER = frozenset({"about", "blob", "data", "file", "javascript", "vbscript", "view-source"})


def is_allowed(address: str, provider: Provider) -> bool:
    """Whether the address has one of the schemes that the provider's class declares (`checkout_schemes`)."""
    try:
        scheme = urlsplit(address).scheme  # in small letters, and without what browsers pass over
    except ValueError:
        return False
    return scheme in provider.checkout_schemes and scheme not in _NEVER
