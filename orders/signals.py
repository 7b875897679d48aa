"""Signals that this package sends. Handlers live in the packages that depend on it."""

from django.dispatch import Signal

order_event_recorded = Signal()
"""An event was appended; the transaction is still open. Sent with `sender=Order`, `record: journal.EventRecord`.

A handler that has an effect outside the database waits for `transaction.on_commit`.
"""
