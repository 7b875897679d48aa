"""How long things may take, and how many there may be. Seconds, unless a name says otherwise.

`settings.ORDERCAST_REALTIME`, a dict, changes single values: the environment's, and those of tests and benches.
"""

from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True, kw_only=True)
class Timing:
    check: float = 3.0  # between two position checks
    # A page waits so long for its topic's group; then it is read, and checked again later.
    join: float = 0.25
    access_check: float = 2.0  # between two re-authorizations of all connections
    linger: float = 30.0  # a topic that nobody watches is kept so long: pages come back
    echo: float = 1.0  # between two messages of the process to itself through the channel layer
    deaf: float = 3.0  # without such an echo the channel layer counts as away
    write: float = 10.0  # a client that reads nothing for so long is closed
    close_grace: float = 10.0  # a closed connection that does not go is cut after this
    ping: float = 25.0
    silence: float = 60.0  # of a client that has pinged before
    hello: float = 5.0  # until a socket without credentials must have said who it is
    sse_ping: float = 15.0
    max_age: float = 3_600.0  # then a socket is asked to come anew, ±10 %
    drain: float = 5.0  # the longest time over which sockets are sent away at a stop
    max_connections: int = 20_000  # in one process
    per_grant: int = 50  # connections of one grant in one process
    per_user: int = 500
    per_address: int = 500
    orders: float = (
        1_000.0  # that a grant or user may ask for in a second; an address ten times as many
    )
    direct: bool = True  # what is committed in this process goes straight to its own pages

    def connections(self) -> dict[str, int]:
        """How many each may hold, by the kind of its name."""
        return {"grant": self.per_grant, "user": self.per_user, "address": self.per_address}

    def order_rates(self) -> dict[str, float]:
        """How many orders a second each may ask for, by the kind of its name."""
        return {"grant": self.orders, "user": self.orders, "address": 10 * self.orders}


def timing() -> Timing:
    """The values in force. Raises `TypeError` for a name that does not exist."""
    return Timing(**getattr(settings, "ORDERCAST_REALTIME", {}))
