"""What support finds an order by besides its references."""

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from orders.models.order import Order


class OrderSearch(models.Model):
    """The words and numbers of an order's metadata, and its amount; written once, with the order.

    A table of its own: an index on the order's own row would be written anew with each of its events.
    """

    order = models.OneToOneField(
        Order, primary_key=True, on_delete=models.CASCADE, related_name="search"
    )
    words = SearchVectorField()

    class Meta:
        indexes = [GinIndex(fields=["words"], name="order_words")]

    def __str__(self) -> str:
        return f"what {self.order_id} is found by"
