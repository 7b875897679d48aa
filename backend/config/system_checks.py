"""What `manage.py check --deploy` asks besides Django's own questions, in the words of our variables."""

from typing import Any

from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from backend.config import provider_accounts


@checks.register(checks.Tags.security, deploy=True)
def can_providers_be_made(**_options: Any) -> list[checks.CheckMessage]:
    """A secret that makes no sense is found before a web process that would not start."""
    try:
        provider_accounts.warm()
    except ImproperlyConfigured as wrong:
        return [checks.Error(str(wrong), id="ordercast.E001")]
    return []
