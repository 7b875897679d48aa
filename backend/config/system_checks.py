"""What `manage.py check --deploy` asks besides Django's own questions, in the words of our variables."""

from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from backend.config import provider_accounts


@checks.register(checks.Tags.security, deploy=True)
def is_public_address_safe(**_options: Any) -> list[checks.CheckMessage]:
    """Cookies, redirects and HSTS follow from the public address, so Django's four warnings have this one cause."""
    if settings.ORDERCAST_PUBLIC_URL.startswith("https://"):
        return []
    hint = "for example ORDERCAST_PUBLIC_URL=https://pay.example.com"
    said = f"ORDERCAST_PUBLIC_URL is {settings.ORDERCAST_PUBLIC_URL}, which anybody on the way can read."
    return [checks.Warning(said, hint=hint, id="ordercast.W001")]


@checks.register(checks.Tags.security, deploy=True)
def can_providers_be_made(**_options: Any) -> list[checks.CheckMessage]:
    """A secret that makes no sense is found before a web process that would not start."""
    try:
        provider_accounts.warm()
    except ImproperlyConfigured as wrong:
        return [checks.Error(str(wrong), id="ordercast.E001")]
    return []
