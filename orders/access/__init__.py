"""Who may see and move what: Django log-ins, and tokens for users, single orders (grants) and services.

`authenticate(token)` says who a bearer is, `of_session(user, session_key)` who has logged in; `invalidated(many)` which
of many are valid no longer; `visible_to(credentials, refs)` what they may see.
"""

from orders.access.credentials import (
    ALL_SCOPES,
    BadToken,
    Credentials,
    Kind,
    Scope,
    TokenExpired,
    TokenRevoked,
    of_session,
)
from orders.access.revocation import (
    Invalidation,
    authenticate,
    invalidated,
    read_grant,
    revoke,
)
from orders.access.tokens import (
    GRANT_LIFETIME,
    issue_grant,
    issue_service_token,
    issue_user_token,
    narrowed,
    read_token,
)
from orders.access.visibility import still_seen, visible_refs, visible_to

__all__ = [
    "ALL_SCOPES",
    "GRANT_LIFETIME",
    "BadToken",
    "Credentials",
    "Invalidation",
    "Kind",
    "Scope",
    "TokenExpired",
    "TokenRevoked",
    "authenticate",
    "invalidated",
    "issue_grant",
    "issue_service_token",
    "issue_user_token",
    "narrowed",
    "of_session",
    "read_grant",
    "read_token",
    "revoke",
    "still_seen",
    "visible_refs",
    "visible_to",
]
