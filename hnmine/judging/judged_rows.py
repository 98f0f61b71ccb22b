"""The rows of a sheet as several judges see them: what to ask, and whose verdict counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from hnmine.judges.verdict_file import DRAWN
from hnmine.judging.controls import POSITIVE, RANDOM
from hnmine.judging.machine_judge import Answer, Item
from hnmine.ragged import Bools, Floats
from hnmine.sheets.draw import EVEN
from hnmine.sheets.machine_verdicts import OWN, machine_verdicts, numbers_in, settled
from hnmine.sheets.sheet import PERSON

AND = " + "
"""Between the names of judges that agree."""


class JudgedRows:
    """The rows of a sheet.

    Attributes:
        table: the sheet.
        person: whether a person gave the verdict that a row has.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        given, judges = self.numbers("verdict"), self.texts("judge")
        by_machines = settled(self.machines.values(), len(given))
        ours = np.isclose(given, by_machines, rtol=0, atol=1e-9)
        known = self.machines.keys()
        ours |= [
            judge not in (None, "", PERSON, *known) and not set(str(judge).split(AND)) <= known
            for judge in judges
        ]
        not_person = np.array([judge != PERSON for judge in judges], bool)
        # A machine's verdict stays its own without its name or its column. One that was changed in
        # the sheet is a person's, no matter who is named.
        self.person: Bools = np.isfinite(given) & ~(not_person & ours)

    @property
    def machines(self) -> dict[str, Floats]:
        """The verdicts of each machine judge, by its name; NaN without one."""
        return machine_verdicts(self.table)

    @property
    def items(self) -> list[Item]:
        """The texts of each row."""
        queries, documents = self.texts("query"), self.texts("document")
        return [Item(q or "", d or "") for q, d in zip(queries, documents, strict=True)]

    def drawn(self, *kinds: str) -> Bools:
        """Return which rows were drawn in one of these ways."""
        return np.array([how in kinds for how in self.texts(DRAWN)], bool)

    @property
    def even(self) -> Bools:
        """Which rows are an even sample of the negatives."""
        return self.drawn(EVEN)

    @property
    def controls(self) -> Bools:
        """Which rows have a known truth."""
        return self.drawn(POSITIVE, RANDOM)

    def numbers(self, name: str) -> Floats:
        """Return a column of numbers; NaN where it is null, or missing."""
        return numbers_in(self.table, name)

    def texts(self, name: str) -> list[str | None]:
        """Return a column of texts; None where it is null, or missing."""
        if name not in self.table.column_names:
            return [None] * self.table.num_rows
        found: list[str | None] = self.table[name].cast(pa.string()).to_pylist()
        return found

    def with_answers(
        self, name: str, answers: Sequence[Answer | None], verdicts: Floats
    ) -> JudgedRows:
        """Return the rows with the verdicts of a machine judge, all of them.

        Args:
            name: of the judge.
            answers: of each row; None without one, which keeps the reason that another judge gave.
            verdicts: of each row; NaN without one.
        """
        kinds = {"grade": pa.float64(), "score": pa.float64(), "reason": pa.string()}
        columns: dict[str, pa.Array] = {OWN + name: _column(verdicts)}
        for field, kind in kinds.items():
            before = self.texts(field) if field == "reason" else self.numbers(field).tolist()
            now = [
                old if answer is None else getattr(answer, field)
                for old, answer in zip(before, answers, strict=True)
            ]
            columns[field] = pa.array(now, kind, from_pandas=True)
        machines = self.machines | {name: verdicts}
        together = settled(machines.values(), len(verdicts))
        columns["verdict"] = _column(np.where(self.person, self.numbers("verdict"), together))
        judges = [
            PERSON
            if person
            else AND.join(n for n, own in machines.items() if np.isfinite(own[row]))
            if np.isfinite(together[row])
            else None
            for row, person in enumerate(self.person)
        ]
        columns["judge"] = pa.array(judges, pa.string())
        table = self.table
        for column, values in columns.items():
            if column in table.column_names:
                table = table.set_column(table.column_names.index(column), column, values)
            else:
                table = table.append_column(column, values)
        return JudgedRows(table)


def _column(verdicts: Floats) -> pa.Array:
    return pa.array(verdicts, pa.float64(), from_pandas=True)
