"""Fills `OrderSearch`, so that support finds an order by its title, the shop's own number, or its amount."""

from django.db import connection

from orders.models import Order
from orders.payments.money import major

# 'simple' changes nothing but case: titles come in any language.
_INDEX = """
INSERT INTO orders_ordersearch (order_id, words)
SELECT id, jsonb_to_tsvector('simple', metadata, '["string", "numeric"]') || to_tsvector('simple', %s)
  FROM orders_order WHERE id = %s
    ON CONFLICT (order_id) DO UPDATE SET words = excluded.words
"""


def add(order: Order) -> None:
    """In the transaction that made the order."""
    amount = f"{major(order.total, order.currency)} {order.currency}"
    with connection.cursor() as cursor:
        cursor.execute(_INDEX, [amount, order.pk])
