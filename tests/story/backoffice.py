"""Staff, who have a log-in and Django's admin, and press its real buttons."""

import re
from html.parser import HTMLParser

import httpx


class Forms(HTMLParser):
    """The fields of a page's forms: what a browser would send along."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "input" and values.get("type") == "hidden" and values.get("name"):
            self.fields[str(values["name"])] = values.get("value") or ""


class BackOffice:
    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url.rstrip("/")
        self.user, self.password = user, password
        self.browser = httpx.AsyncClient(
            base_url=self.url, follow_redirects=True, timeout=30, trust_env=False
        )

    async def close(self) -> None:
        await self.browser.aclose()

    async def log_in(self) -> None:
        page = await self._get("/admin/login/?next=/admin/")
        form = {**page.fields, "username": self.user, "password": self.password}
        await self._post("/admin/login/?next=/admin/", form)

    async def force_refresh(self, ref: str) -> None:
        """Choose the order in the admin's list, run the action, and give the reason that it asks for."""
        listing = f"/admin/orders/order/?q={ref}"
        page = await self._get(listing)
        chosen = re.search(r'name="_selected_action" value="(\d+)"', page.rawdata_of)
        if chosen is None:
            raise AssertionError(f"the admin's list does not show order {ref}")
        form = {
            **page.fields,
            "action": "force_refresh",
            "_selected_action": chosen[1],
            "index": "0",
        }
        asked = await self._post(listing, form)
        await self._post(
            listing, {**asked.fields, "reason": "the customer says that it is paid", "confirm": "1"}
        )

    async def _get(self, path: str) -> "_Page":
        return _Page(await self.browser.get(path))

    async def _post(self, path: str, form: dict[str, str]) -> "_Page":
        headers = {"Referer": self.url + path}
        return _Page(await self.browser.post(path, data=form, headers=headers))


class _Page(Forms):
    def __init__(self, answer: httpx.Response) -> None:
        if answer.is_error:
            raise AssertionError(f"{answer.request.method} {answer.url}: {answer.status_code}")
        self.rawdata_of = answer.text
        super().__init__(answer.text)
