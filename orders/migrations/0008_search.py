"""What support finds orders by, and when they were made. Nothing here rewrites or locks the table of orders for long."""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

from orders.payments.money import THREE_DECIMAL, ZERO_DECIMAL

BATCH = 5_000

_FILL = """
INSERT INTO orders_ordersearch (order_id, words)
SELECT id, jsonb_to_tsvector('simple', metadata, '["string", "numeric"]') || to_tsvector('simple',
       round(total::numeric / power(10::numeric, d), d)::text || ' ' || currency)
  FROM (SELECT id, metadata, total, currency,
               CASE WHEN currency = ANY(%s) THEN 0 WHEN currency = ANY(%s) THEN 3 ELSE 2 END AS d
          FROM orders_order WHERE id > %s AND id <= %s) AS chunk
    ON CONFLICT (order_id) DO NOTHING
"""


def fill(apps, schema_editor):
    """In batches, each a transaction of its own: orders go on moving meanwhile."""
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM orders_order")
        last = cursor.fetchone()[0]
        for after in range(0, last, BATCH):
            cursor.execute(_FILL, [sorted(ZERO_DECIMAL), sorted(THREE_DECIMAL), after, after + BATCH])


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("orders", "0007_clock")]

    operations = [
        migrations.CreateModel(
            name="OrderSearch",
            fields=[
                ("order", models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name="search", serialize=False, to="orders.order")),
                ("words", django.contrib.postgres.search.SearchVectorField()),
            ],
            options={"indexes": [django.contrib.postgres.indexes.GinIndex(fields=["words"], name="order_words")]},
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        AddIndexConcurrently(
            model_name="order",
            index=django.contrib.postgres.indexes.BrinIndex(autosummarize=True, fields=["created_at"], name="order_created", pages_per_range=16),
        ),
    ]
