"""The scored candidates of a mined directory as an SQL table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from hnmine.directories.parts import check_types
from hnmine.errors import damage_explained
from hnmine.names import in_order, score_of
from hnmine.ragged import Floats
from hnmine.schema import SCORES

if TYPE_CHECKING:
    import pyarrow.dataset as ds

    from hnmine.directories.mined import Mined

POSITIVE, NEGATIVE, KEPT, DROPPED = "positive", "negative", "kept", "dropped"
"""Values of `kind`: a positive or a negative of the training data; kept but not chosen; dropped."""

KIND = (
    f"case when label = 1 then '{POSITIVE}' when selected then '{NEGATIVE}' "
    f"when is_positive or is_query then null when keep then '{KEPT}' else '{DROPPED}' end"
)
MARGIN = "positive_score - score"
NEEDED = (
    *("query_id", "doc_id", "rank", "is_positive", "is_query", "score", "positive_score"),
    *("keep", "reason", "selected", "label", "relevance"),
)

Row = dict[str, Any]
"""A row by column."""


class ScoredView:
    """The SQL table `scored`: scored/ with the column `kind` added. `Mined.sql` opens it.

    Attributes:
        mined: the directory.
        dataset: scored/ as an Arrow dataset.
        columns: of scored/.
    """

    def __init__(self, mined: Mined, connection: duckdb.DuckDBPyConnection) -> None:
        import pyarrow.dataset as ds  # It imports pandas.

        self.mined, self._connection = mined, connection
        for file in mined.parts:
            with damage_explained(file):
                check_types(pq.read_schema(file), NEEDED)
        self._scored = mined.path / "scored"
        with damage_explained(self._scored):
            self.dataset = ds.dataset(mined.parts, format="parquet")
        self.columns: list[str] = self.dataset.schema.names
        self._register(self.dataset, "scored")

    def _register(self, dataset: ds.Dataset, name: str) -> None:
        self._connection.register(f"raw_{name}", dataset)
        self._connection.execute(f"create view {name} as select *, {KIND} as kind from raw_{name}")

    def attach(self, other: ScoredView, name: str) -> None:
        """Make the table of another mined directory known here, under a name."""
        self._register(other.dataset, name)

    @cached_property
    def sources(self) -> list[str]:
        """The sources that found the candidates, in the order of their columns."""
        return in_order(self.mined.sources, self.columns)

    @property
    def judges(self) -> list[str]:
        """The columns of the judges, among them the cross-encoder's."""
        return [name for name in self.mined.manifest.judges if name in self.columns]

    @cached_property
    def scores(self) -> list[str]:
        """The score columns that hold a value, first the one that the rules compared."""
        own = SCORES.get(self.mined.manifest.settings.score or "")
        of_models = {*SCORES.values(), *map(score_of, self.sources)}
        all_scores = [column for column in self.columns if column in of_models]
        counts = ", ".join(f"count({quoted(column)})" for column in all_scores)
        known = self.ask(f"select {counts} from scored")
        found = [c for c, count in zip(all_scores, known[0], strict=True) if count]
        return [own, *(c for c in found if c != own)] if own in found else ["score", *found]

    def ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with damage_explained(self._scored):
            return self._connection.execute(sql, values).fetchall()

    def rows(self, sql: str, *values: object) -> list[Row]:
        """Return the rows of a query, each by column."""
        with damage_explained(self._scored):
            found = self._connection.execute(sql, values)
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def arrays(self, sql: str) -> Mapping[str, Floats]:
        """Return the columns of a query as arrays."""
        with damage_explained(self._scored):
            return self._connection.execute(sql).fetchnumpy()

    def add(self, table: str, rows: pa.Table) -> None:
        """Add rows to a table that `ask` created."""
        self._connection.register("added", rows)
        self._connection.execute(f"insert into {table} by name select * from added")
        self._connection.unregister("added")


def quoted(column: str) -> str:
    """Return a column's name as SQL has it."""
    return '"' + column.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"
