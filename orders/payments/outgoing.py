"""The HTTP client of every call that leaves this installation: whom it trusts, and which way it takes.

Variables that other programs read too (`SSL_CERT_FILE`, `HTTPS_PROXY`, …) count for nothing: whoever sets them for a
shell must not decide where card payments go. `ORDERCAST_OUTGOING_CA`, `…_PROXY` and `…_DIRECT` do.
"""

import ssl
from functools import lru_cache
from typing import Any

import httpx
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def client(**options: Any) -> httpx.Client:
    """An `httpx.Client` with these options, which takes the way that the settings say."""
    context = _context(settings.ORDERCAST_OUTGOING_CA)
    proxy = settings.ORDERCAST_OUTGOING_PROXY
    direct: dict[str, httpx.BaseTransport | None] = {
        f"all://{_in_address(host)}": None for host in settings.ORDERCAST_OUTGOING_DIRECT
    }
    return httpx.Client(
        verify=context,
        trust_env=False,
        proxy=_proxy(proxy, context) if proxy else None,
        mounts=direct if proxy else None,
        **options,
    )


def _proxy(url: str, context: ssl.SSLContext) -> httpx.Proxy:
    is_tls = url.startswith("https://")
    return httpx.Proxy(url, ssl_context=context if is_tls else None)


def _in_address(host: str) -> str:
    """`.example.com` holds what is below it; IPv6 addresses stand in brackets."""
    if host.startswith("."):
        return f"*{host}"
    return f"[{host}]" if ":" in host else host


@lru_cache(maxsize=4)
def _context(ca: str) -> ssl.SSLContext:
    """Public certificate authorities, and those of the file. Raises `ImproperlyConfigured`."""
    context = httpx.create_ssl_context(trust_env=False)
    if ca:
        try:
            context.load_verify_locations(cafile=ca)
        except OSError as wrong:  # also what is no PEM
            raise ImproperlyConfigured(
                f"ORDERCAST_OUTGOING_CA must be a file of certificates in PEM (it is {ca!r}: {wrong}); "
                "for example ORDERCAST_OUTGOING_CA=/etc/ssl/company-ca.pem"
            ) from wrong
    return context
