"""PostgreSQL as the applications use it: the Django backend, the errors of an outage, and what one row may hold up.

A leaf: it knows no model. Only this package touches the insides of Django's and psycopg's connections and cursors.
"""

from orders.database.errors import RETRY_AFTER, UNAVAILABLE, Busy, ReadOnly, Reason, reason

__all__ = ["RETRY_AFTER", "UNAVAILABLE", "Busy", "ReadOnly", "Reason", "reason"]
