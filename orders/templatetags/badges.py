"""`{{ order.state|badge }}` in the admin's templates."""

from django import template

from orders.admin.base import badge

register = template.Library()
register.filter("badge", badge)
