"""Rows read and written by statements that are composed once, where the ORM would compose them for each row anew.

For the few statements that every callback takes; everything else is the ORM's. They are prepared: planning took longer
than all else that PostgreSQL does for them (unless `ORDERCAST_PREPARED_STATEMENTS` is off).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from django.db import connection, models

M = TypeVar("M", bound=models.Model)
Parameters = Sequence[Any] | Mapping[str, Any]


def fetch(statement: str, parameters: Parameters) -> Sequence[Any] | None:
    """The first row, if there is one."""
    with connection.bound_cursor() as cursor:  # type: ignore[attr-defined] # of orders.database
        cursor.execute(statement, parameters)
        return cursor.fetchone()  # type: ignore[no-any-return]


def execute(statement: str, parameters: Parameters) -> int:
    """Returns how many rows it concerned."""
    with connection.bound_cursor() as cursor:  # type: ignore[attr-defined] # of orders.database
        cursor.execute(statement, parameters)
        return cursor.rowcount  # type: ignore[no-any-return]


class Rows(Generic[M]):
    """The table of a model, called by an alias in statements written out."""

    def __init__(self, model: type[M], alias: str) -> None:
        meta = model._meta  # noqa: SLF001 — the name that Django documents
        self._model, self._table = model, meta.db_table
        self.columns = ", ".join(f'{alias}."{field.column}"' for field in meta.concrete_fields)
        self._names = [field.attname for field in meta.concrete_fields]
        self._converted = [
            (place, field)
            for place, field in enumerate(meta.concrete_fields)
            if hasattr(field, "from_db_value")
        ]

    def take(self, row: Iterator[Any]) -> M:
        """The instance that the next values of a row make, in the order of `columns`."""
        values = [next(row) for _ in self._names]
        for place, field in self._converted:
            values[place] = field.from_db_value(values[place], None, connection)
        return self._model.from_db("default", self._names, values)

    def update(self, names: Iterable[str]) -> str:
        """The statement that saves these fields of the row `%(id)s`, from parameters called `new_<field>`."""
        sets = ", ".join(f'"{name}" = %(new_{name})s' for name in names)
        return f'UPDATE "{self._table}" SET {sets} WHERE id = %(id)s'  # noqa: S608 — names of ours, values apart
