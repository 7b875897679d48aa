"""How long ago, or in how long: as one phrase, since languages inflect what Django's `timesince` leaves as it is."""

from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def ago(span: timedelta) -> str:
    """`17 min 12 s` is "17 minutes ago", in the active language; "just now" below a second."""
    if span < SECOND:
        return _("just now")
    if span < MINUTE:
        n = span // SECOND
        return ngettext("%(n)d second ago", "%(n)d seconds ago", n) % {"n": n}
    if span < HOUR:
        n = span // MINUTE
        return ngettext("%(n)d minute ago", "%(n)d minutes ago", n) % {"n": n}
    if span < DAY:
        n = span // HOUR
        return ngettext("%(n)d hour ago", "%(n)d hours ago", n) % {"n": n}
    n = span // DAY
    return ngettext("%(n)d day ago", "%(n)d days ago", n) % {"n": n}


def ahead(span: timedelta) -> str:
    """`52.5 s` is "in 52 seconds", in the active language; "now" below a second."""
    if span < SECOND:
        return _("now")
    if span < MINUTE:
        n = span // SECOND
        return ngettext("in %(n)d second", "in %(n)d seconds", n) % {"n": n}
    if span < HOUR:
        n = span // MINUTE
        return ngettext("in %(n)d minute", "in %(n)d minutes", n) % {"n": n}
    if span < DAY:
        n = span // HOUR
        return ngettext("in %(n)d hour", "in %(n)d hours", n) % {"n": n}
    n = span // DAY
    return ngettext("in %(n)d day", "in %(n)d days", n) % {"n": n}
