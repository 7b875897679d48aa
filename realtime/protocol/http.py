"""The protocol's close codes as HTTP statuses, for as long as a stream has not begun."""

from realtime.protocol.messages import Close

# The status, and the `code` of the problem+json.
STATUS = {
    Close.NO_CREDENTIALS: (401, "unauthenticated"),
    Close.TOKEN_EXPIRED: (401, "token_expired"),
    Close.FORBIDDEN: (404, "order_not_found"),
    Close.TOO_MANY: (429, "too_many_connections"),
    Close.DRAINING: (503, "draining"),
    Close.INTERNAL: (503, "unavailable"),
}
