"""What the tests of access need besides: a provider that answers."""

from tests.providing import provider, provider_process

__all__ = ["provider", "provider_process"]
