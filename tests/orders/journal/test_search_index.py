"""What support finds orders by, for orders that were there before the table of it."""

from importlib import import_module
from types import SimpleNamespace

from django.db import connection

from orders.models import OrderSearch
from tests.builders import an_order


def test_orders_that_were_there_before_get_the_same_words(database: None) -> None:
    for total, currency in ((1_250, "EUR"), (4_800, "JPY"), (1_234_567, "KWD"), (5, "USD")):
        an_order(total=total, currency=currency, metadata={"title": "Zwei Tüten", "number": 778899})
    written = dict(OrderSearch.objects.values_list("pk", "words"))
    OrderSearch.objects.all().delete()

    import_module("orders.migrations.0008_search").fill(
        None, SimpleNamespace(connection=connection)
    )

    assert dict(OrderSearch.objects.values_list("pk", "words")) == written
    assert len(written) == 4
