"""`manage.py revoke`: revoke tokens. Their API calls end at once, their live pages within three seconds."""

import getpass
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from orders.access import BadToken, read_token, revocation


class Command(BaseCommand):
    help = "Revoke a token, or all tokens so far of a user, of a service, or for an order."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--token", metavar="TOKEN", help="this token only")
        what.add_argument(
            "--user", metavar="NAME", help="all of the user's tokens and sessions so far"
        )
        what.add_argument("--service", metavar="NAME", help="all of the service's tokens so far")
        what.add_argument("--order", metavar="REF", help="all grants so far that include the order")
        parser.add_argument("--reason", default="", help="recorded with the revocation")

    def handle(self, *args: Any, **options: Any) -> str:
        why: dict[str, Any] = {
            "actor": f"shell:{getpass.getuser()}",
            "reason": options["reason"][:500],
        }
        if options["token"]:
            return self._token(options["token"], why)
        if options["user"]:
            return self._user(options["user"], why)
        name = (
            revocation.service(options["service"])
            if options["service"]
            else revocation.order(options["order"])
        )
        return f"Revoked up to now: {revocation.revoke(name, **why).what}"

    def _token(self, token: str, why: dict[str, Any]) -> str:
        try:
            credentials = read_token(token)
        except BadToken as bad:
            raise CommandError(f"nothing to revoke: {bad}") from None
        if not credentials.token_id:
            raise CommandError(
                "the token has no id (`jti`); the configured service token is revoked by changing "
                "ORDERCAST_SERVICE_TOKEN, any other by --user, --service or --order"
            )
        what = revocation.token_of(credentials)
        made = revocation.revoke(what, **why, until=credentials.expires_at)
        return f"Revoked: {made.what} ({credentials.actor})"

    def _user(self, name: str, why: dict[str, Any]) -> str:
        user = get_user_model().objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"there is no user {name!r}")
        made = revocation.revoke(revocation.user(user.pk), **why)
        ended = revocation.end_sessions(user.pk)
        return f"Revoked up to now: {made.what}; {ended} sessions ended"
