"""Stripe, by its SDK: hosted Checkout for customers, a PaymentIntent where we charge at once. See docs/providers.md."""

from orders.payments.stripe.provider import Stripe

__all__ = ["Stripe"]
