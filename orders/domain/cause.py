"""Why something happens to an order: by which way, and by whom."""

from dataclasses import dataclass
from enum import StrEnum


class Source(StrEnum):
    API = "api"
    CALLBACK = "callback"
    RECONCILER = "reconciler"
    STAFF = "staff"
    SYSTEM = "system"


@dataclass(frozen=True)
class Cause:
    """`actor` is who: a staff user's name, a service's name, or a provider's."""

    source: Source
    actor: str = ""
    reason: str = ""
