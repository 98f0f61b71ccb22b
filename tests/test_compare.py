"""`hnmine compare`: every number of the table against a plain reading of the same directories."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import Counter, defaultdict
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import ENCODER, hnmine, rows, write
from faults import write_inputs

import hnmine as api
from hnmine.config import CompareSettings
from hnmine.directories.mined import Mined
from hnmine.errors import InputError, UsageError
from hnmine.report.comparing import PAGE, VALUES, Comparison
from hnmine.runner.manifest import markers_of, record

QUIET = {"progress": False, "threads": 1}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two choices from the same candidates, one from others, one of other queries, one of BM25."""
    root = tmp_path_factory.mktemp("compare")
    inputs = write_inputs(root / "inputs")
    corpus, pairs = str(inputs / "corpus.parquet"), str(inputs / "pairs.parquet")
    given = {"corpus": corpus, "pairs": pairs, **QUIET}
    api.build_index(index=root / "i", encoder=ENCODER, max_length=32, **given)
    api.build_index(index=root / "words", dense=False, corpus=corpus, **QUIET)
    few = pairs_of(root / "few.parquet", rows(inputs / "pairs.parquet")[4:])
    for index, pairs_file, name, top_k in (
        ("i", pairs, "c", 12), ("i", pairs, "deep", 20), ("i", few, "few", 12),
        ("words", pairs, "words", 12),
    ):  # fmt: skip
        api.mine(
            index=root / index, pairs=pairs_file, output=root / f"c-{name}", top_k=top_k, **QUIET
        )
    for name, candidates, settings in (
        ("a", "c", {"depth": 3}),
        ("b", "c", {"where": ["rank % 2 = 0"], "num_negatives": 5}),
        ("deep", "deep", {"order": "-rank"}),
        ("few", "few", {"order": "rank"}),
        ("words", "words", {}),
        ("none", "c", {"where": ["rank > 999"]}),
    ):
        given = {"num_negatives": 3, **QUIET, **settings}
        api.filter_negatives(
            candidates=root / f"c-{candidates}", output=root / name / "mined", **given
        )
    return root


def pairs_of(file, table):
    return str(write(file, **{name: [row[name] for row in table] for name in table[0]}))


def of(root, *names):
    return [root / name / "mined" for name in names]


def changed(directory: Path, name: str, text: str) -> None:
    """Write a file of a directory anew, with its checksum."""
    (directory / name).write_text(text)
    for path in markers_of(directory):
        marker = json.loads(path.read_text())
        if name in marker["outputs"]:
            marker["outputs"][name] = record(directory / name)
            path.write_text(json.dumps(marker))


def as_before(source: Path, to: Path) -> Path:
    """Copy a directory as a version wrote it that recorded neither rank nor shortcuts nor uses."""
    shutil.copytree(source, to)
    found = json.loads((to / "hardness.json").read_text())
    for name in ("rank", "shortcuts", "most_uses"):
        found.pop(name, None)
    changed(to, "hardness.json", json.dumps(found))
    return to


def auc_of_bm25(table):
    """Each query counts the same; ties count half."""
    by_query = defaultdict(lambda: ([], []))
    for row in table:
        if row["label"] is not None and row["bm25_score"] is not None:
            by_query[row["query_id"]][row["label"]].append(row["bm25_score"])
    shares = [
        np.mean([(p > n) + (p == n) / 2 for p in positives for n in negatives])
        for negatives, positives in by_query.values()
        if positives and negatives
    ]
    return max(np.mean(shares), 1 - np.mean(shares)) if shares else None


class TestNumbers:
    def test_each_is_that_of_a_plain_reading(self, root, tmp_path):
        names = ["a", "b", "deep", "few", "words", "none"]
        places = [as_before(*of(root, name), tmp_path / name) for name in names]
        found = api.compare(places)
        for name, place, one in zip(names, places, found.directories, strict=True):
            table = rows(place / "scored")
            chosen = [row for row in table if row["selected"]]
            short = rows(place / "shortfall.parquet")
            asked = len(chosen) + sum(row["asked"] - row["found"] for row in short)
            assert one.path == str(place)
            assert (one.queries, one.negatives, one.asked) == (
                len({row["query_id"] for row in table}), len(chosen), asked,
            )  # fmt: skip
            uses = Counter(row["doc_id"] for row in chosen)
            assert one.most_uses == max(uses.values(), default=None)
            ranks = [row["rank"] for row in chosen]
            assert one.rank == (pytest.approx(np.mean(ranks)) if ranks else None)
            known = [row["relevance"] for row in chosen if row["relevance"] is not None]
            doubtful = np.mean([value > 0 for value in known]) if known else None
            assert one.doubtful == (None if doubtful is None else pytest.approx(doubtful))
            auc = auc_of_bm25(table)
            assert one.shortcuts == ({} if auc is None else {"bm25": pytest.approx(auc)}), name
            hardness = json.loads((place / "hardness.json").read_text())
            for measure in ("loss", "push", "easy", "overtaken"):
                assert getattr(one, measure) == hardness.get(measure)

    def test_what_filter_recorded_is_shown_where_every_directory_has_it(self, root, tmp_path):
        places = [as_before(*of(root, name), tmp_path / name) for name in ("a", "b")]
        measured = [one.shortcuts for one in api.compare(places).directories]
        for n, place in enumerate(places):
            found = json.loads((place / "hardness.json").read_text())
            found |= {"rank": 7.0 + n, "shortcuts": {"bm25": 0.9, "length": 0.6}, "most_uses": 99}
            changed(place, "hardness.json", json.dumps(found))
            shown = api.compare(places).directories
            if n == 0:
                assert [one.shortcuts for one in shown] == measured
        assert [one.rank for one in shown] == [7.0, 8.0]
        assert {one.most_uses for one in shown} == {99}
        assert all(one.shortcuts == {"bm25": 0.9, "length": 0.6} for one in shown)

    def test_shared_negatives_are_counted_on_shared_queries(self, root):
        names = ["a", "b", "deep", "few"]
        found = api.compare(of(root, *names)).overlap
        tables = [rows(root / name / "mined" / "scored") for name in names]
        asked = [{row["query_id"] for row in table} for table in tables]
        chosen = [
            {(r["query_id"], r["doc_id"]) for r in table if r["selected"]} for table in tables
        ]
        assert found.in_all == len(set.intersection(*asked)) < len(asked[0])
        for one in range(len(names)):
            for other in range(len(names)):
                both = asked[one] & asked[other]
                own = {pair for pair in chosen[one] if pair[0] in both}
                assert found.queries[one][other] == len(both)
                share = len(own & chosen[other]) / len(own)
                assert found.negatives[one][other] == pytest.approx(share)

    def test_no_shared_query_leaves_the_overlap_unknown(self, root, tmp_path):
        table = rows(root / "inputs" / "pairs.parquet")
        for row in table:
            row["query_id"] += "-other"
        api.mine(
            index=root / "i", pairs=pairs_of(tmp_path / "p.parquet", table),
            output=tmp_path / "c", top_k=12, **QUIET,
        )  # fmt: skip
        api.filter_negatives(candidates=tmp_path / "c", output=tmp_path / "m", **QUIET)
        found = api.compare([*of(root, "a"), tmp_path / "m"])
        assert found.overlap.in_all == 0
        assert found.overlap.negatives == [[1.0, None], [None, 1.0]]
        said = "\n".join(found.lines())
        assert re.search(r"also in A +unknown$", said, re.M)
        assert "0 queries are in every directory" in said

    def test_the_unknown_is_never_a_number(self, root):
        found = api.compare(of(root, "words", "none"))
        table = {row.name: row.cells for row in found.table.rows}
        for name in ("initial loss", "gradient", "too easy", "overtaken", "false"):
            assert table[name] == ["unknown", "unknown"]
        for name in ("mean rank", "AUC of BM25", "most uses", "doubtful", "also in A"):
            assert table[name][1] == "unknown", name
        assert table["yield"][1] == "0.0 %"
        said = "\n".join(found.lines())
        assert "A: Hardness: unknown, because no bi-encoder scored the candidates." in said
        assert "B: Hardness: unknown, because no positive has a negative." in said
        assert "NaN" not in json.dumps(found.as_json())


class TestJudged:
    def test_a_sheet_beside_the_directory_gives_the_rate_that_report_gives(self, root, tmp_path):
        place = shutil.copytree(*of(root, "a"), tmp_path / "a")
        sheet = tmp_path / "a-review.csv"
        api.audit(mined=place, candidates=root / "c-c", sample=20, sheet=sheet)
        other = of(root, "b")[0]
        found = api.compare([place, other]).directories
        assert found[0].false is None
        assert found[0].notes == [f"The sheet {sheet} has no verdict on a negative."]
        judge(sheet, relevant=3)
        found = api.compare([place, other]).directories
        expected = api.audit(mined=place, verdicts=str(sheet), shortcuts=False).estimates[
            "verdicts"
        ]
        false = found[0].false
        assert false, (found[0].notes, sheet.read_text())
        assert (false.basis, false.judged) == ("verdicts", 20)
        assert (false.rate, false.low, false.high) == (expected.rate, expected.low, expected.high)
        assert false.rate > 0
        assert found[1].false is None

    def test_a_proof_is_a_bound(self, root, tmp_path):
        place = shutil.copytree(*of(root, "a"), tmp_path / "a")
        manifest = json.loads((place / "manifest.json").read_text())
        manifest["settings"]["max_false"] = 0.02
        changed(place, "manifest.json", json.dumps(manifest))
        step = {
            "highest_relevance": None, "negatives": 30, "mean_depth": 3.0, "of_asked": 1.0,
            "judged": 150, "relevant": 0, "proved": True,
        }  # fmt: skip
        proof = {"max_false": 0.02, "confidence": 0.95, "seed": 0, "steps": [step]}
        proof |= {"refuted": [], "judges": ["a person"]}
        (place / "guarantee.json").write_text(json.dumps(proof))
        found = api.compare([place, *of(root, "b")])
        false = found.directories[0].false
        assert (false.basis, false.rate, false.high, false.judged) == ("proof", None, 0.02, 150)
        assert "at most 2.0 %" in "\n".join(found.lines())

    def test_an_unusable_sheet_is_said_and_harms_nothing(self, root, tmp_path):
        place = shutil.copytree(*of(root, "a"), tmp_path / "a")
        (tmp_path / "a-verdicts.parquet").write_bytes(b"no parquet")
        found = api.compare([place, *of(root, "b")])
        assert found.directories[0].false is None
        assert any(line.startswith("A: The verdicts in ") for line in found.lines())


def judge(sheet, relevant):
    """Fill a sheet: the first rows are relevant."""
    with sheet.open(newline="") as file:
        table = list(csv.DictReader(file))
    for n, row in enumerate(table):
        row["verdict"] = "1" if n < relevant else "0"
    with sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


class TestSaid:
    def test_other_candidates_and_indexes(self, root, tmp_path):
        def notes(*names):
            return "\n".join(api.compare(of(root, *names)).table.notes)

        assert notes("a", "b") == ""
        assert "different candidates" in notes("a", "deep")
        assert "indexes" not in notes("a", "deep")
        assert "mined from different indexes" in notes("a", "words")
        assert "8 queries are in every directory" in notes("a", "few")
        away = shutil.copytree(*of(root, "deep"), tmp_path / "deep")
        run = json.loads((away / "run.json").read_text())
        (away / "run.json").write_text(json.dumps(run | {"candidates": str(tmp_path / "gone")}))
        found = api.compare([*of(root, "a"), away])
        assert found.directories[1].index is None
        assert any("Not every index can be opened" in note for note in found.table.notes)

    def test_nothing_is_marked_as_best(self, root):
        said = "\n".join(api.compare(of(root, "a", "b", "deep")).lines())
        assert "No directory is better by these numbers alone." in said
        assert not re.search(r"[*★✓]|best", said)

    def test_only_two_have_changes(self, root):
        two, three = (api.compare(of(root, *names)) for names in (("a", "b"), ("a", "b", "deep")))
        assert two.changes.gained and three.changes is None
        assert any("Queries that changed most" in line for line in two.lines())
        assert sum(two.changes.gained.values()) > 0
        (few,) = (api.compare(of(root, "a", "b"), queries=1).changes,)
        assert len(few.most) == 1

    def test_the_command_line_takes_any_number_both_ways(self, root):
        places = of(root, "a", "b", "few")
        done = hnmine("compare", *places)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[:3] == [f"{'ABC'[n]}  {p}" for n, p in enumerate(places)]
        flags = [word for place in places for word in ("--mined", place)]
        assert hnmine("compare", *flags).stdout == done.stdout
        found = json.loads(hnmine("compare", *places, "--json").stdout)
        assert found == json.loads(json.dumps(api.compare(places).as_json()))

    def test_nothing_is_written_unless_asked(self, root, tmp_path):
        before = {file: file.stat().st_mtime_ns for file in sorted(root.rglob("*"))}
        hnmine("compare", *of(root, "a", "b"), cwd=tmp_path)
        assert {file: file.stat().st_mtime_ns for file in sorted(root.rglob("*"))} == before
        assert list(tmp_path.iterdir()) == []


class Page(HTMLParser):
    """The tags, ids and links of a page, and whether every tag is closed in its turn."""

    VOID = ("meta", "link", "br", "img", "input")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.links, self.cells = [], Counter(), [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags[tag] += 1
        if tag not in self.VOID:
            self.open.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[name] for name in ("href", "src") if name in given]
        if tag == "th":
            assert given.get("scope") in ("row", "col")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.cells.append(data.strip())


class TestPage:
    @pytest.fixture(scope="class")
    def written(self, root, tmp_path_factory):
        output = tmp_path_factory.mktemp("page") / "new" / "compared"
        return api.compare(of(root, "a", "b"), output=output)

    def test_it_is_whole_stands_alone_and_holds_the_table(self, written):
        text = (Path(written.output) / PAGE).read_text("utf-8")
        page = Page(text)
        assert page.open == [] and page.tags["script"] == 0
        assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
        assert len(page.ids) == len(set(page.ids))
        for row in written.table.rows:
            assert {row.name, row.meaning, *filter(None, row.cells)} <= set(page.cells)
        assert "prefers-color-scheme: dark" in text and "default-src 'none'" in text
        assert f"Page: {Path(written.output) / PAGE}" in list(written.lines())
        first = next(iter(written.changes.most))
        assert written.changes.texts[first] in page.cells

    def test_its_values_are_read_back(self, written):
        assert Comparison.read(Path(written.output)) == written

    def test_ids_and_paths_are_escaped(self, root, tmp_path):
        place = shutil.copytree(*of(root, "a"), tmp_path / "<script>\x1b[2J")
        api.compare([place, *of(root, "b")], output=tmp_path / "o")
        text = (tmp_path / "o" / PAGE).read_text("utf-8")
        assert "<script>" not in text and "&lt;script&gt;" in text and "\x1b" not in text
        done = hnmine("compare", place, *of(root, "b"))
        assert "\x1b" not in done.stdout

    def test_report_has_a_section(self, root, written):
        places = of(root, "a", "b")
        for place in places:
            found = api.report(place, compare=written.output, html=False)
            said = "\n".join(found.lines())
            assert "\n".join(written.table.lines()) in said
            assert found.as_json()["compared"]["overlap"]["in_all"] == written.overlap.in_all
        output = root / "page.html"
        api.report(places[0], compare=written.output, output=output)
        page = Page(output.read_text("utf-8"))
        assert page.open == [] and "compared" in page.ids and "#compared" in page.links
        assert "also in B" in page.cells
        api.report(places[0], output=output)
        assert "compared" not in Page(output.read_text("utf-8")).ids
        assert "compared" not in api.report(places[0], html=False).as_json()

    def test_a_report_refuses_a_comparison_of_others(self, root, written):
        with pytest.raises(InputError, match="is not of"):
            api.report(*of(root, "deep"), compare=written.output, html=False)
        with pytest.raises(InputError, match=f"has no {VALUES}"):
            api.report(*of(root, "a"), compare=root, html=False)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda found: [],
            lambda found: {},
            lambda found: found | {"directories": 3},
            lambda found: found | {"directories": found["directories"][:1]},
            lambda found: found | {"directories": [{"path": 3}] * 2},
            lambda found: found | {"overlap": {"queries": [[1]], "in_all": 1, "negatives": [[]]}},
            lambda found: found | {"overlap": found["overlap"] | {"negatives": [[1.0, "x"]] * 2}},
            lambda found: found | {"changes": {"most": {"q": [1]}}},
        ],
    )
    def test_a_damaged_comparison_is_an_error_about_its_file(self, root, written, tmp_path, damage):
        values = json.loads((Path(written.output) / VALUES).read_text())
        (tmp_path / VALUES).write_text(json.dumps(damage(values)))
        with pytest.raises(InputError, match=f"{VALUES} is damaged"):
            api.report(*of(root, "a"), compare=tmp_path, html=False)
        for text in ("", "{", "[" * 100_000, "NaN"):
            (tmp_path / VALUES).write_text(text)
            with pytest.raises(InputError, match=f"{VALUES} is damaged"):
                Comparison.read(tmp_path)


class TestErrors:
    @pytest.mark.parametrize(
        ("names", "said"),
        [
            ([], "Missing required option --mined."),
            (["a"], "Missing a directory to compare with: give two or more, or --train"),
            (["a", "a"], "comes twice"),
            (["a", "b", "b/../a"], "comes twice"),
            (["a"] * 27, "at most 26"),
        ],
    )
    def test_what_cannot_be_compared_is_a_usage_error(self, root, names, said):
        places = [root / "a" / "mined" / ".." / ".." / name / "mined" for name in names]
        done = hnmine("compare", *places)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr.splitlines()[0]

    def test_a_link_to_a_directory_is_that_directory(self, root, tmp_path):
        (tmp_path / "link").symlink_to(*of(root, "a"))
        with pytest.raises(UsageError, match="comes twice"):
            CompareSettings.parse({"mined": [*of(root, "a"), tmp_path / "link"]})

    def test_a_directory_that_is_none_is_named(self, root, tmp_path):
        unfinished = shutil.copytree(*of(root, "b"), tmp_path / "u")
        (unfinished / "manifest.json").unlink()
        for place, said in (
            (tmp_path / "nothing", "There is no directory "),
            (unfinished, "has not ended"),
            (root / "c-c", "is a candidates directory, not a mined"),
            (root / "inputs" / "pairs.parquet", "not a"),
        ):
            for order in ([*of(root, "a"), place], [place, *of(root, "a")]):
                done = hnmine("compare", *order)
                assert (done.returncode, done.stdout) == (3, ""), done.stderr
                assert said in done.stderr and str(place) in done.stderr

    @pytest.mark.parametrize("output", ["page.html", "x.JSON", "s3://bucket/compared"])
    def test_the_output_is_a_folder_here(self, root, tmp_path, output):
        done = hnmine("compare", *of(root, "a", "b"), "--output", output, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert "output: " in done.stderr
        assert list(tmp_path.iterdir()) == []

    def test_training_needs_a_place_and_its_settings_need_training(self, root):
        places = of(root, "a", "b")
        for words, said in (
            (["--train", "m"], "Missing option --output"),
            (["--held-out", "h"], "Missing option --train"),
            (["--steps", "3"], "Missing option --train"),
        ):
            done = hnmine("compare", *places, *words)
            assert done.returncode == 2 and said in done.stderr


def test_a_directory_at_a_url_is_read_as_by_the_other_commands(root, tmp_path, monkeypatch):
    monkeypatch.setenv("HNMINE_CACHE", str(tmp_path / "cache"))
    url = CompareSettings.parse({"mined": ["s3://bucket/a/mined", *of(root, "b")]})
    assert url.mined[0] == tmp_path / "cache" / "runs" / "s3" / "bucket" / "a" / "mined"
    with pytest.raises(UsageError, match="comes twice"):
        CompareSettings.parse({"mined": ["s3://bucket/a/mined", "s3://bucket/a/mined/"]})
    copied = shutil.copytree(*of(root, "a"), tmp_path / "copied")
    found = api.compare([f"file://{copied}", *of(root, "b")])
    assert found.directories[0].hash == Mined(copied).hash
