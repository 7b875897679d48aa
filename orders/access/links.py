"""Addresses that are given to customers."""

from urllib.parse import urlencode

from django.conf import settings


def page_url(ref: str, grant: str = "") -> str:
    """The address of the order's live page."""
    query = f"?{urlencode({'grant': grant})}" if grant else ""
    return f"{settings.ORDERCAST_PUBLIC_URL}/orders/{ref}/{query}"
