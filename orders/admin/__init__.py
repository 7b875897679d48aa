"""Django's admin: everything can be seen and traced, nothing in the journal can be edited.

Staff change an order through actions, which ask for a reason and go through the same commands as everybody else.
"""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from orders.admin import access, logs, names, order, receipts, refreshes

__all__ = ["access", "logs", "order", "receipts", "refreshes"]

names.apply()

admin.site.site_header = admin.site.site_title = "Ordercast"
admin.site.index_template = "orders/admin/index.html"
admin.site.index_title = _("Orders and payments")
