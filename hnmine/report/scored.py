"""A mined directory, opened for questions in SQL, and the texts behind it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from hnmine.directories.candidates import Candidates
from hnmine.directories.mined import Mined
from hnmine.directories.parts import check_types
from hnmine.errors import HnmineError, damage_explained
from hnmine.names import in_order, score_of, sources_of
from hnmine.printable import STEERING
from hnmine.report.facts import DROPPED, KEPT, NEGATIVE, POSITIVE
from hnmine.runner.manifest import RUN, read_json
from hnmine.schema import SCORES

MEMORY = "2GB"
"""What DuckDB may hold; beyond that it writes to a temporary folder."""

KIND = (
    f"case when label = 1 then '{POSITIVE}' when selected then '{NEGATIVE}' "
    f"when is_positive or is_query then null when keep then '{KEPT}' else '{DROPPED}' end"
)
MARGIN = "positive_score - score"
NEEDED = (
    *("query_id", "doc_id", "rank", "is_positive", "is_query", "score", "positive_score"),
    *("keep", "reason", "selected", "label", "p_relevant"),
)

_CONTROL = re.compile(f"[{STEERING}]+")

QUERY_CHARACTERS = 4000
"""Of a query, at most, that are shown."""


class Scored:
    """The scored candidates as the SQL table `scored`, with the column `kind` added.

    Attributes:
        path: the mined directory.
        manifest, run: its manifest and run.json.
        columns: of the table.
        texts: its candidates directory, opened; None if it cannot be.
        no_texts: why it cannot be; else empty.
    """

    def __init__(self, mined: Mined, connection: duckdb.DuckDBPyConnection) -> None:
        self._mined, self._connection = mined, connection
        self.path = path = mined.path
        self.manifest = mined.manifest
        self.run = read_json(path / RUN) or {}
        files = mined.parts
        for file in files:
            with damage_explained(file):
                check_types(pq.read_schema(file), NEEDED)
        with damage_explained(path / "scored"):
            self.dataset = ds.dataset(files, format="parquet")
        self.columns: list[str] = self.dataset.schema.names
        self.texts: Candidates | None = None
        self.no_texts = ""
        connection.register("raw", self.dataset)
        connection.execute(f"create view scored as select *, {KIND} as kind from raw")

    @classmethod
    @contextmanager
    def open(
        cls, path: Path, candidates: Path | None, index: Path | None, threads: int
    ) -> Iterator[Scored]:
        """Open a mined directory.

        Args:
            path: what `hnmine filter` wrote.
            candidates: where they are now; by default where they were.
            index: where it is now; by default where it was.
            threads: for SQL.

        Raises:
            InputError: it is not finished, or the candidates or the index given are others.
        """
        with tempfile.TemporaryDirectory(prefix="hnmine-") as temporary:
            connection = duckdb.connect(
                config={"threads": threads, "memory_limit": MEMORY, "temp_directory": temporary}
            )
            connection.execute("set enable_external_access = false")
            try:
                scored = cls(Mined(path, candidates, index), connection)
                scored._open_texts(given=bool(candidates or index))
                yield scored
            finally:
                connection.close()

    def _open_texts(self, *, given: bool) -> None:
        """Open the candidates; where they are not `given` and not there, do without texts."""
        try:
            self.texts = self._mined.candidates
        except HnmineError as error:
            if given:
                raise
            self.no_texts = error.what

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of `filter`."""
        settings: dict[str, Any] = self.manifest["settings"]
        return settings

    @cached_property
    def sources(self) -> list[str]:
        """The sources that found the candidates, by what their columns begin with."""
        manifest = self.manifest
        if "sources" not in manifest and self.texts is not None:
            manifest = self.texts.manifest
        return in_order(sources_of(manifest), self.columns)

    @property
    def judges(self) -> list[str]:
        """The columns of the judges, the cross-encoder's among them."""
        return [name for name in self.manifest.get("judges", {}) if name in self.columns]

    @cached_property
    def scores(self) -> list[str]:
        """The columns of scores that know something; that which the rules compared first."""
        own = SCORES.get(self.settings["score"])
        of_models = {*SCORES.values(), *map(score_of, self.sources)}
        all_scores = [column for column in self.columns if column in of_models]
        known = self.ask(f"select {', '.join(f'count({quoted(c)})' for c in all_scores)} from raw")
        found = [c for c, count in zip(all_scores, known[0], strict=True) if count]
        return [own, *(c for c in found if c != own)] if own in found else ["score", *found]

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows that answer a question."""
        with damage_explained(self.path / "scored"):
            return self._connection.execute(sql, values).fetchall()

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Return the rows that answer a question, each by column."""
        with damage_explained(self.path / "scored"):
            found = self._connection.execute(sql, values)
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def arrays(self, sql: str) -> dict[str, Any]:
        """Return the columns that answer a question as arrays."""
        with damage_explained(self.path / "scored"):
            return self._connection.execute(sql).fetchnumpy()

    def add(self, table: str, rows: pa.Table) -> None:
        """Add rows to a table that was made by `ask`."""
        self._connection.register("added", rows)
        self._connection.execute(f"insert into {table} by name select * from added")
        self._connection.unregister("added")

    def attach(self, other: Scored, name: str) -> None:
        """Make the table of another mined directory known here, under a name."""
        self._connection.register(f"raw_{name}", other.dataset)
        self._connection.execute(f"create view {name} as select *, {KIND} as kind from raw_{name}")

    def document(self, doc_id: str, characters: int) -> str | None:
        """Return the beginning of a document; None if it cannot be read."""
        if self.texts is None:
            return None
        documents = self.texts.index.documents
        return shortened(documents.texts(documents.find_ids([doc_id]))[0], characters)

    def query(self, query_id: str) -> str | None:
        """Return a query's text, or its beginning; None if it cannot be read."""
        if self.texts is None:
            return None
        queries = self.texts.queries.texts
        return shortened(queries.texts(queries.find_ids([query_id]))[0], QUERY_CHARACTERS)


def quoted(column: str) -> str:
    """Return a column's name as SQL has it."""
    return '"' + column.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def clean(text: str) -> str:
    """Return a text on one line, without what would steer a terminal or turn a line round."""
    return _CONTROL.sub(" ", " ".join(text.split()))


def shortened(text: str, characters: int) -> str:
    """Return the beginning of a text on one line."""
    plain = clean(text[: 4 * characters])
    return plain if len(plain) <= characters else plain[: characters - 2].rstrip() + " …"
