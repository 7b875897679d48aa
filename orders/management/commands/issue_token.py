"""`manage.py issue_token`: a token for a user, for single orders, or for a service. Prints the token alone."""

import re
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from orders import access
from orders.access.tokens import GRANT_LIFETIME, MAX_LIFETIME, SERVICE_LIFETIME, USER_LIFETIME
from orders.models import Order

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Command(BaseCommand):
    help = "Issue a token: --user NAME, --order REF…, or --service NAME --scope SCOPE…"

    def add_arguments(self, parser: CommandParser) -> None:
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--user", metavar="NAME", help="a token that acts as this Django user")
        whose.add_argument(
            "--order", nargs="+", metavar="REF", help="a grant: whoever has it may see these orders"
        )
        whose.add_argument(
            "--service", metavar="NAME", help="a token for another service, with --scope"
        )
        parser.add_argument(
            "--scope",
            nargs="+",
            default=[],
            choices=sorted(access.ALL_SCOPES),
            help="what the service may do",
        )
        parser.add_argument("--lifetime", metavar="90s|30m|12h|30d", help="how long it is valid")

    def handle(self, *args: Any, **options: Any) -> str:
        if options["service"]:
            return self._service(options)
        if options["scope"]:
            raise CommandError("--scope needs --service")
        if options["user"]:
            return self._user(options)
        known = set(Order.objects.filter(ref__in=options["order"]).values_list("ref", flat=True))
        if unknown := [ref for ref in options["order"] if ref not in known]:
            raise CommandError(f"there is no order {', '.join(unknown)}")
        return access.issue_grant(known, _lifetime(options, GRANT_LIFETIME))

    def _service(self, options: dict[str, Any]) -> str:
        if not options["scope"]:
            raise CommandError(
                f"--scope is missing; choose from {', '.join(sorted(access.ALL_SCOPES))}"
            )
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", options["service"]):
            raise CommandError(
                "a service's name may have letters, digits, dots, dashes and underscores, 64 at most"
            )
        lifetime = _lifetime(options, SERVICE_LIFETIME)
        return access.issue_service_token(options["service"], options["scope"], lifetime)

    def _user(self, options: dict[str, Any]) -> str:
        users = get_user_model().objects.filter(username=options["user"], is_active=True)
        if (user := users.first()) is None:
            raise CommandError(f"there is no active user {options['user']!r}")
        return access.issue_user_token(user, _lifetime(options, USER_LIFETIME))


def _lifetime(options: dict[str, Any], default: timedelta) -> timedelta:
    text = options["lifetime"]
    if text is None:
        return default
    match = re.fullmatch(r"(\d{1,9})([smhd])", text)
    lifetime = timedelta(seconds=int(match[1]) * _UNITS[match[2]]) if match else timedelta()
    if not timedelta() < lifetime <= MAX_LIFETIME:
        raise CommandError(
            f"--lifetime {text!r} is not valid: use 90s, 30m, 12h or 30d, at most {MAX_LIFETIME.days}d"
        )
    return lifetime
