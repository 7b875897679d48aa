"""Times in templates."""

from datetime import UTC, datetime

from django import template
from django.utils import dateformat
from django.utils.html import format_html
from django.utils.safestring import SafeString

from realtime.pages import texts

register = template.Library()


@register.simple_tag
def instant(at: datetime, css_class: str = "") -> SafeString:
    """A `<time>` as the active language writes it, in UTC; the page's script puts it into the reader's own zone."""
    at = at.astimezone(UTC)
    return format_html(
        '<time{} datetime="{}">{} UTC</time>',
        format_html(' class="{}"', css_class) if css_class else "",
        at.isoformat(),
        dateformat.format(at, str(texts.INSTANT)),
    )
