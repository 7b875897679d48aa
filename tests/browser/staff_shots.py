"""Which pictures are taken of staff's pages, for `make screenshots`."""

from tests.browser.screenshots.shots import DESK, PHONE, Shot

_BOARD = Shot(
    name="staff-board",
    path="/board/",
    size=(1280, 1300),
    as_demo=True,
    wait_for='[data-board-connection="live"]',
)

SHOTS = (
    _BOARD,
    Shot(**{**vars(_BOARD), "name": "staff-board-dark", "scheme": "dark"}),
    Shot(**{**vars(_BOARD), "name": "staff-board-phone", "size": PHONE}),
    Shot(**{**vars(_BOARD), "name": "staff-board-de", "language": "de"}),
    Shot(name="admin-orders", path="/admin/orders/order/", size=DESK, as_demo=True),
    Shot(name="admin-review", path="/admin/orders/order/?review=yes", size=DESK, as_demo=True),
    Shot(name="admin-receipts", path="/admin/orders/callbackreceipt/", size=DESK, as_demo=True),
    Shot(
        name="admin-schedule",
        path="/admin/django_celery_beat/periodictask/",
        size=DESK,
        as_demo=True,
    ),
    *(
        Shot(
            name=f"admin-order-{number}",
            path=f"/admin/orders/order/{number}/change/",
            size=(1280, 1500),
            as_demo=True,
        )
        for number in (4, 8)
    ),
)
