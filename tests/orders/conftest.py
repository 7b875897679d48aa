"""A real provider process for the domain to talk with."""

from tests.providing import provider, provider_process, reach, take_away

__all__ = ["provider", "provider_process", "reach", "take_away"]
