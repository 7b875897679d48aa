"""What a look at a provider, or a callback, came to: said to staff."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

FOUND: Mapping[str, str | Promise] = {
    "applied": _("Something new, and applied"),
    "nothing_new": _("Nothing new"),
    "asking": _("Out of step; the provider is asked again at once"),
    "conflict": _("Makes no sense from here; flagged"),
    "mismatch": _("Another amount, currency or reference; flagged"),
    "unmatched": _("Still no payment that it is about"),
    "not_found": _("The provider does not know the payment"),
    "refused": _("The provider refused"),
    "rate_limited": _("The provider asks us to wait"),
    "unavailable": _("The provider is away"),
    "ambiguous": _("No answer in time; the outcome is open"),
    "malformed": _("The answer made no sense"),
    "error": _("A defect, or a provider that is not configured"),
}
HARMLESS = frozenset({"applied", "nothing_new"})
