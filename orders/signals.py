"""Signals that this package sends. Handlers live in the packages that depend on it."""

from django.dispatch import Signal

order_event_recorded = Signal()
"""An event was appended; the transaction is still open. Sent with `sender=Order`, `record: events.EventRecord`.

A handler that has an effect outside the database waits for `transaction.on_commit`.
"""

refresh_wanted = Signal()
"""Staff want orders to be asked about; the transaction is still open. Sent with `sender=RefreshRun`, `run_id: int`.

A hint: whoever hears it may be away, and then `orders.commands.refresh_runs` is asked for what is open.
"""
