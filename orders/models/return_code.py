"""The way back from a checkout."""

from django.db import models

from orders.models.payment import Payment


class ReturnCode(models.Model):
    """What brings a customer back from a payment's checkout to the order's page, once and for a while.

    The code itself stands nowhere here; `orders.access.return_codes` makes it. `token_id`, `issued_at` and `expires_at`
    are those of the grant that it is exchanged for, so that it is revoked and expires with the one that began to pay.
    """

    payment = models.OneToOneField(Payment, on_delete=models.PROTECT, related_name="return_code")
    code_hash = models.CharField(max_length=64, unique=True)
    good_until = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True, blank=True)
    token_id = models.CharField(max_length=500, blank=True)
    issued_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"the way back from {self.payment_id}"
