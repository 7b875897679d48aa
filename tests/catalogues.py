"""`make messages`: finds every text that people read, brings `locale/` in step, and compiles it.

By Babel, because a bare machine has no gettext tools. Found is what `gettext` and its kin mark, in code and templates.
"""

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

from backend.config.paths import BASE_DIR

LANGUAGES = ("de", "ru", "zh_Hans")
ROOMS = ("backend", "orders", "realtime", "workers")
# The sandbox is somebody else's server, and it speaks to developers.
_FOREIGN = ("orders/payments/sandbox/", "orders/migrations/")
_KEYWORDS: dict[str, Any] = {
    **DEFAULT_KEYWORDS,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext_lazy": ((1, "c"), 2, 3),
}
_PLURALS = {
    "de": (2, "(n != 1)"),
    "zh_Hans": (1, "0"),
    "ru": (
        3,
        "(n%10==1 && n%100!=11 ? 0 : n%10>=2 && n%10<=4 && (n%100<12 || n%100>14) ? 1 : 2)",
    ),
}


def file_of(language: str, ending: str) -> Path:
    return BASE_DIR / "locale" / language / "LC_MESSAGES" / f"django.{ending}"


def marked() -> Catalog:
    """A catalogue without translations: every marked text, with where it stands."""
    found = Catalog(project="Ordercast")
    for path in sorted(_files()):
        name = path.relative_to(BASE_DIR).as_posix()
        for _line, text, comments, context in _texts(path):
            found.add(text, locations=[(name, 0)], auto_comments=comments, context=context)
    return found


def read(language: str) -> Catalog:
    with file_of(language, "po").open("rb") as file:
        return read_po(file, locale=language)


def compiled(catalogue: Catalog) -> bytes:
    file = BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def messages(catalogue: Catalog) -> Iterator[Message]:
    """All but the header."""
    return (message for message in catalogue if message.id)


def is_translated(message: Message) -> bool:
    forms = message.string if isinstance(message.string, list | tuple) else (message.string,)
    return all(forms) and not message.fuzzy


def _files() -> Iterator[Path]:
    for room in ROOMS:
        for path in (BASE_DIR / room).rglob("*"):
            name = path.relative_to(BASE_DIR).as_posix()
            if path.suffix in {".py", ".html"} and not name.startswith(_FOREIGN):
                yield path


def _texts(path: Path) -> Iterator[tuple[int, Any, list[str], str | None]]:
    source = path.read_text()
    if path.suffix == ".html":
        # Django's own way of making a template into something that looks like code; its indents mean nothing.
        source = "\n".join(line.strip() for line in templatize(source).splitlines())
    yield from extract(
        "python",
        BytesIO(source.encode()),
        keywords=_KEYWORDS,
        comment_tags=["Translators:"],
        strip_comment_tags=True,
    )


def update(language: str, template: Catalog) -> list[str]:
    """Bring one language in step with the code. Returns what still needs a translation."""
    path = file_of(language, "po")
    path.parent.mkdir(parents=True, exist_ok=True)
    catalogue = read(language) if path.exists() else Catalog(locale=language, project="Ordercast")
    # Babel's own rule for Russian names a form for fractions, which Django never asks for.
    vars(catalogue).update(zip(("_num_plurals", "_plural_expr"), _PLURALS[language], strict=True))
    made = catalogue.creation_date
    catalogue.update(template, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    # What changes with each run would hide what has changed.
    catalogue.creation_date, catalogue.revision_date = made, made
    catalogue.header_comment, catalogue.fuzzy = (
        "# Made by `make messages`; translations are edited here.",
        False,
    )
    catalogue.last_translator = catalogue.language_team = catalogue.msgid_bugs_address = "Ordercast"
    with path.open("wb") as file:
        write_po(file, catalogue, width=120, omit_header=False, include_lineno=False)
    catalogue = read(language)
    file_of(language, "mo").write_bytes(compiled(catalogue))
    return [str(message.id) for message in messages(catalogue) if not is_translated(message)]


def main() -> int:
    template = marked()
    missing = {language: update(language, template) for language in LANGUAGES}
    for language, texts in missing.items():
        print(f"{language}: {len(texts)} without a translation", *texts, sep="\n    ")
    return int(any(missing.values()))


if __name__ == "__main__":
    sys.exit(main())
