from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from html.parser import HTMLParser
from itertools import groupby, pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ENCODER, ROOT, hnmine, rows, write

import hnmine as api
from hnmine import printable
from hnmine.audit.auditing import audit
from hnmine.audit.estimate import of_sums
from hnmine.config import AuditSettings, CompareSettings, InspectSettings, ReportSettings
from hnmine.errors import InputError, UsageError
from hnmine.index.tokenise import Tokeniser
from hnmine.printable import clean, shortened
from hnmine.report import comparing
from hnmine.report.highlight import Matcher
from hnmine.report.inspecting import inspect
from hnmine.report.reporting import report
from hnmine.runner.atomic import write_text

HOSTILE = '<script>alert("x")</script> & <b> \x1b[31mred\x1b[0m \u202eevil'

TERMINAL = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "PATH": ""}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, stdlib):
    """Both sources and what was learned; a margin of its own; as sentence-transformers does."""
    root = tmp_path_factory.mktemp("report")
    pairs, corpus = str(stdlib / "pairs.parquet"), str(stdlib / "corpus.parquet")
    api.build_index(corpus=corpus, pairs=pairs, encoder=ENCODER, max_length=64, index=root / "i")
    api.mine(index=root / "i", pairs=pairs, output=root / "c", top_k=10)
    api.filter(candidates=root / "c", output=root / "both", num_negatives=3, depth=5)
    api.filter(candidates=root / "c", output=root / "margin", num_negatives=3, relative_margin=0.3)
    api.filter(candidates=root / "c", output=root / "none", where=["rank > 999"])
    api.mine(index=root / "i", pairs=pairs, output=root / "d", source=["dense"], top_k=40)
    api.filter(
        candidates=root / "d",
        output=root / "dense",
        num_negatives=2,
        compat="sentence-transformers",
    )
    return root


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """BM25 alone, and texts that mean something to a browser and to a terminal."""
    root = tmp_path_factory.mktemp("hostile")
    ids = [f"d{n}" for n in range(12)]
    texts = [f"{HOSTILE} fox number {n} runs" + " and runs" * n for n in range(12)]
    texts[1:] = [text + " far away" * n for n, text in enumerate(texts[1:], 4)]
    corpus = write(root / "c.parquet", _id=ids, text=texts)
    pairs = write(
        root / "p.parquet",
        query_id=["<q>"],
        query=[f"{HOSTILE} which foxes run"],
        positive_id=["d0"],
        positive=[texts[0]],
    )
    api.build_index(corpus=str(corpus), dense=False, index=root / "i")
    api.mine(index=root / "i", pairs=str(pairs), output=root / "c")
    api.filter(candidates=root / "c", output=root / "mined", near_copy=2)
    return root


def look(mined, **settings):
    return report(ReportSettings.parse({"mined": mined, "html": False, **settings})).facts


def look_at(mined, **settings):
    return report(ReportSettings.parse({"mined": mined, "html": False, **settings}))


def ask(mined, **settings):
    return inspect(InspectSettings.parse({"mined": mined, **settings}))


def compare(before, after):
    return comparing.compare(CompareSettings.parse({"mined": [before, after]}))


class TestFacts:
    """Against a plain reading of the same tables."""

    def test_the_funnel_adds_up(self, runs):
        facts = look(runs / "both")
        table = rows(runs / "both" / "scored")
        candidates = [row for row in table if not row["is_positive"]]
        dropped = Counter(row["reason"] for row in candidates if not row["keep"])
        steps = dict(facts.funnel)
        assert steps.pop("candidates") == len(candidates)
        assert steps.pop("chosen") == sum(row["selected"] for row in table)
        assert steps.pop("kept") == sum(row["keep"] for row in table)
        assert {name: -count for name, count in steps.items()} == dict(dropped)

    def test_the_shortfall_is_that_of_the_table(self, runs):
        facts = look(runs / "none")
        table = rows(runs / "none" / "shortfall.parquet")
        missing = sum(row["asked"] - row["found"] for row in table)
        assert facts.shortfall == {"rank > 999": (len(table), missing)}
        assert missing == facts.counts["negatives_missing"] > 0

    def test_every_score_is_in_one_bin(self, runs):
        facts = look(runs / "both")
        table = rows(runs / "both" / "scored")
        assert [one.name for one in facts.scores] == ["cosine", "BM25"]
        for histogram, column in zip(facts.scores, ("dense_score", "bm25_score"), strict=True):
            for group, wanted in {
                "positive": lambda row: row["label"] == 1,
                "negative": lambda row: row["selected"],
                "kept": lambda row: row["keep"] and not row["selected"],
            }.items():
                values = [row[column] for row in table if wanted(row)]
                expected, _ = np.histogram(values, histogram.edges)
                assert histogram.spread[group].count == len(values) == sum(expected)
                assert histogram.spread[group].mean == pytest.approx(np.mean(values))
                # A value on an edge may fall on either side of it.
                assert np.abs(np.cumsum(expected - histogram.counts[group])).max() <= 1

    def test_relevance_is_a_score_like_others(self, runs):
        facts = look(runs / "both")
        values = [row["relevance"] for row in rows(runs / "both" / "scored") if row["selected"]]
        assert facts.relevance.spread["negative"].mean == pytest.approx(np.mean(values))
        assert sum(facts.relevance.counts["negative"]) == len(values)

    def test_margins_ranks_and_lengths(self, runs, stdlib):
        facts = look(runs / "both")
        chosen = [row for row in rows(runs / "both" / "scored") if row["selected"]]
        margins = [row["positive_score"] - row["score"] for row in chosen]
        assert facts.margins.spread["negative"].mean == pytest.approx(np.mean(margins))
        ranks = Counter(row["rank"] for row in chosen)
        edges, counts = facts.ranks.edges, facts.ranks.counts["negative"]
        found = zip(edges, counts, strict=False)
        assert {int(edge): n for edge, n in found if n} == dict(ranks)
        texts = {row["id"]: row["text"] for row in rows(stdlib / "corpus.parquet")}
        lengths = [len(texts[row["doc_id"]]) for row in chosen]
        assert facts.lengths.spread["negative"].mean == pytest.approx(np.mean(lengths))
        assert sum(facts.lengths.counts["negative"]) == len(lengths)

    def test_sources_are_counted_by_what_they_found_together(self, runs):
        table = [
            r for r in rows(runs / "both" / "scored") if not (r["is_positive"] or r["is_query"])
        ]

        def sources(row):
            return tuple(s for s in ("bm25", "dense") if row[f"{s}_rank"] is not None)

        facts = look(runs / "both")
        found = {tuple(mix.sources): (mix.candidates, mix.negatives) for mix in facts.mixes}
        chosen = Counter(sources(row) for row in table if row["selected"])
        assert found == {k: (n, chosen[k]) for k, n in Counter(map(sources, table)).items()}
        assert {("bm25",), ("dense",), ("bm25", "dense")} == set(found)

    def test_hubs_are_the_documents_of_most_queries(self, runs):
        hubness = look(runs / "margin").hubness
        table = rows(runs / "margin" / "scored")
        uses = Counter(row["doc_id"] for row in table if row["selected"])
        assert {hub.doc_id: hub.uses for hub in hubness.most} == {
            doc: uses[doc]
            for doc in sorted((d for d in uses if uses[d] > 1), key=lambda d: (-uses[d], d))[:15]
        }
        considered = {
            r["doc_id"]
            for r in table
            if r["label"] != 1 and not r["is_positive"] and not r["is_query"]
        }
        assert (hubness.used, hubness.documents) == (len(uses), len(considered))
        assert sum(hubness.bands.values()) == len(uses)
        n = np.array([uses[doc] for doc in considered], dtype=float)
        centred = n - n.mean()
        assert hubness.skewness == pytest.approx((centred**3).mean() / (centred**2).mean() ** 1.5)
        top = sorted(uses.values(), reverse=True)[: -(-len(uses) // 100)]
        assert hubness.top_share == pytest.approx(sum(top) / sum(uses.values()))

    def test_many_queries_have_the_interval_that_resampling_tends_to(self):
        rng = np.random.default_rng(1)
        counts = rng.integers(1, 6, 5001)
        sums = rng.binomial(counts, 0.1).astype(float)
        many = of_sums(sums, counts, int(counts.sum()))
        drawn = rng.multinomial(len(sums), [1 / len(sums)] * len(sums), 2000)
        low, high = np.percentile((drawn @ sums) / (drawn @ counts), [2.5, 97.5])
        assert (many.low, many.high) == pytest.approx((low, high), abs=6e-4)

    def test_examples_are_those_at_the_margin(self, runs):
        facts = look(runs / "margin")
        table = rows(runs / "margin" / "scored")
        dropped = [row for row in table if row["reason"] == "relative-margin"]
        nearest = max(dropped, key=lambda row: row["positive_score"] - row["score"])
        example = next(one for one in facts.examples if one.verdict == "relative-margin")
        assert example.candidate.doc_id == nearest["doc_id"]
        assert example.margin == pytest.approx(nearest["positive_score"] - nearest["score"])
        assert example.query
        assert example.positive.text
        assert example.positive.rank is None
        for _, group in groupby(facts.examples, key=lambda one: (one.kind, one.verdict)):
            queries = [one.query_id for one in group]
            assert len(set(queries)) == len(queries)

    def test_hard_negatives_come_first_and_look_unlike_positives(self, runs):
        facts = look(runs / "both")
        chosen = [row for row in rows(runs / "both" / "scored") if row["selected"]]
        low = np.quantile([row["relevance"] for row in chosen], 0.25)
        unlike = [row for row in chosen if row["relevance"] <= low]
        first = facts.examples[0]
        assert first.kind == "hard negative"
        assert first.candidate.doc_id in {row["doc_id"] for row in unlike}
        hard = [one for one in facts.examples if one.kind == "hard negative"]
        assert max(one.relevance for one in hard) <= low
        nearness = [(len(one.sources), one.candidate.scores["dense_score"]) for one in hard]
        assert nearness == sorted(nearness, reverse=True)
        assert len(hard[0].sources) == max(
            (row["bm25_rank"] is not None) + (row["dense_rank"] is not None) for row in unlike
        )
        assert {one.verdict for one in facts.examples if "negative" in one.kind} == {"negative"}

    @pytest.mark.parametrize("layout", ["triplet", "n-tuple", "labeled-pair", "labeled-list"])
    def test_rows_of_training_data_are_explained(self, runs, tmp_path, layout):
        api.filter(
            candidates=runs / "c", output=tmp_path / "m", format=layout, num_negatives=3,
            relative_margin=0.3, relabel="rank = 0",
        )  # fmt: skip
        said = look(tmp_path / "m").rows
        assert f"train/ has {len(rows(tmp_path / 'm' / 'train')):,} rows" in said[0]
        table = rows(tmp_path / "m" / "scored")
        positives = Counter(row["query_id"] for row in table if row["label"] == 1)
        negatives = Counter(row["query_id"] for row in table if row["label"] == 0)
        several = sum(positives[query] > 1 for query in negatives)
        assert several
        assert any(one.startswith(f"{several:,} queries have") for one in said) == (
            layout != "labeled-pair"
        )
        without = {"n-tuple": lambda n: n < 3, "triplet": lambda n: n == 0}.get(layout)
        if without:
            short = sum(without(negatives[query]) for query in positives)
            assert any(one.startswith(f"{short:,} queries have no row") for one in said) == (
                short > 0
            )

    @pytest.mark.parametrize("name", ["dense", "none"])
    def test_what_is_not_known_is_left_out(self, runs, name):
        facts = look(runs / name)
        assert (facts.hubness is None) == (not facts.counts["negatives"])
        json.loads(json.dumps(facts.as_json(), allow_nan=False))


VOID = {"meta", "br", "hr", "img", "input", "link", "use", "path", "rect"}


class Page(HTMLParser):
    """A page's elements; it fails where one is not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes), list(self.open)))
        if tag not in VOID or self.get_starttag_text().endswith("/>"):
            self.open.append(tag)
        if tag in VOID and tag in self.open:
            self.open.pop()

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes), list(self.open)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes, _ in self.found if name == tag]


class TestPage:
    @pytest.fixture(scope="class", params=["both", "margin", "none", "dense", "hostile"])
    def page(self, request, runs, hostile, tmp_path_factory):
        mined = hostile / "mined" if request.param == "hostile" else runs / request.param
        path = tmp_path_factory.mktemp("page") / "deeper" / "r.html"
        found = report(ReportSettings.parse({"mined": mined, "output": path}))
        assert found.page == path
        return path.read_text(encoding="utf-8")

    def test_it_needs_nothing_else(self, page):
        parsed = Page(page)
        for tag in ("link", "img", "iframe", "object"):
            assert parsed.all(tag) == []
        for _, attributes, _ in parsed.found:
            assert not attributes.keys() & {"src", "srcset", "onload", "onclick"}
            for name in ("href", "xlink:href"):
                assert attributes.get(name, "#").startswith("#")
        assert not re.search(r"url\((?!#)|@import", page)
        policy = next(a for a in parsed.all("meta") if "http-equiv" in a)["content"]
        (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
        assert parsed.all("script") == [{}]
        assert policy.split("; ") == [
            "default-src 'none'",
            "style-src 'unsafe-inline'",
            f"script-src 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
        assert not re.search(r"fetch|XMLHttp|innerHTML|import|eval|https?:", script)

    def test_ids_are_unique_and_links_lead_to_them(self, page):
        parsed = Page(page)
        ids = [attributes["id"] for _, attributes, _ in parsed.found if "id" in attributes]
        assert [name for name, count in Counter(ids).items() if count > 1] == []
        for _, attributes, _ in parsed.found:
            for name in ("href", "xlink:href"):
                if name in attributes:
                    assert attributes[name][1:] in ids
            assert attributes.get("aria-labelledby", ids[0]) in ids
        assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)

    def test_it_can_be_read_aloud_and_by_keyboard(self, page):
        parsed = Page(page)
        assert parsed.all("html") == [{"lang": "en"}]
        assert all(svg["role"] == "img" and svg["aria-label"] for svg in parsed.all("svg"))
        levels = [int(tag[1]) for tag, _, _ in parsed.found if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        regions = [a for a in parsed.all("div") if a.get("class") == "scroll"]
        assert len(regions) == len(parsed.all("table")) > 0
        for region in regions:
            assert (region["tabindex"], region["role"]) == ("0", "region")
            assert region["aria-label"]
        assert parsed.all("a")[0]["href"] == "#main"
        assert all("scope" in attributes for attributes in parsed.all("th"))

    def test_figures_take_the_colours_of_the_theme(self, page):
        figures = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
        assert "var(--ink)" in figures
        assert not re.search(r"#[0-9a-f]{3,8}\b|rgb|black|white", re.sub(r">[^<]*<", "><", figures))
        assert "prefers-color-scheme: dark" in page
        assert "@media print" in page

    def test_a_text_is_nothing_but_a_text(self, hostile, tmp_path):
        path = tmp_path / "r.html"
        report(ReportSettings.parse({"mined": hostile / "mined", "output": path}))
        page = path.read_text()
        assert page.count("<script") == 1
        marks = [json.loads(one["data-row"]) for one in Page(page).all("article")]
        assert marks
        assert all(row.startswith('"<q>",') for row in marks)
        assert all('<script>alert(""x"")</script>' in row for row in marks)
        assert "\x1b" not in page
        assert "\u202e" not in page
        assert "alert" in "".join(Page(page).texts)

    def test_marks_are_rows_of_a_sheet_that_the_commands_read(self, runs, tmp_path):
        path = tmp_path / "r.html"
        found = report(ReportSettings.parse({"mined": runs / "both", "output": path}))
        parsed = Page(path.read_text("utf-8"))
        header = next(one["data-header"] for one in parsed.all("div") if "data-header" in one)
        lines = [json.loads(one["data-row"]) for one in parsed.all("article")]
        assert len(lines) == len(found.facts.examples)
        sheet = tmp_path / "marks.csv"
        sheet.write_text("\n".join([header, *(f'{line},1,"person"' for line in lines)]) + "\n")
        negatives = [one for one in found.facts.examples if one.verdict == "negative"]
        table = list(csv.DictReader(sheet.open()))
        assert [(row["query_id"], row["doc_id"]) for row in table] == [
            (one.query_id, one.candidate.doc_id) for one in found.facts.examples
        ]
        audited = look_at(runs / "both", verdicts=str(sheet)).audit.estimates["verdicts"]
        assert (audited.known, audited.relevant) == (len(negatives), len(negatives))
        assert np.isnan(audited.rate), "marks are no random sample"
        api.filter(
            candidates=runs / "c", output=tmp_path / "m", num_negatives=3, judge=[str(sheet)]
        )
        chosen = {
            (row["query_id"], row["doc_id"]) for row in rows(tmp_path / "m" / "scored")
            if row["selected"]
        }  # fmt: skip
        assert not chosen & {(row["query_id"], row["doc_id"]) for row in table}
        review = hnmine("review", runs / "both", "--sheet", sheet, "--no-page")
        assert (review.returncode, review.stderr) == (0, "")

    def test_words_of_the_query_are_marked_and_every_shortcut_has_its_auc(self, runs, tmp_path):
        path = tmp_path / "r.html"
        found = report(ReportSettings.parse({"mined": runs / "margin", "output": path}))
        page = path.read_text()
        assert len(Page(page).all("mark")) > 3
        for name, auc in found.audit.shortcuts.items():
            assert f'<th scope="row">{name}</th><td class="n">{auc:.3g}</td>' in page
        assert len(found.audit.shortcuts) == 4

    def test_the_same_facts_are_the_same_page(self, runs, tmp_path):
        pages = [tmp_path / f"{n}.html" for n in range(2)]
        for path in pages:
            report(ReportSettings.parse({"mined": runs / "both", "output": path, "threads": 1}))
        assert pages[0].read_bytes() == pages[1].read_bytes()


def test_a_plain_install_writes_the_page(runs, tmp_path):
    """No package of an extra is needed, and none that hnmine doesn't name."""
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    optional = project[project.index("[project.optional-dependencies]") :].split("\n[")[0]
    packages = re.findall(r'"([\w-]+)[^"]*[>=]', optional)
    assert {"onnxruntime", "openvino", "ray", "hypothesis"} <= set(packages)
    absent = [*(name.replace("-", "_") for name in packages), "matplotlib", "PIL"]
    script = f"import sys; sys.modules |= dict.fromkeys({absent}); "
    script += "from hnmine.cli import main; main()"
    command = [sys.executable, "-c", script, "report", runs / "both", "--output", tmp_path / "r"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(Page((tmp_path / "r").read_text("utf-8")).all("svg")) >= 9
    plain = project[: project.index("[project.optional-dependencies]")]
    assert '"jinja2' in plain
    assert "\nreport = []" in project, "pip install 'hnmine[report]' was the way once"


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    target = tmp_path / "report.html"
    write_text(target, "one")
    with pytest.raises(TypeError):
        write_text(target, None)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="is a directory"):
        write_text(tmp_path / "folder", "two")
    assert target.read_text() == "one"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder", "report.html"]


def test_on_the_command_line(runs, tmp_path):
    done = hnmine("report", runs / "both", "--output", tmp_path / "r.html")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"{tmp_path / 'r.html'}\n")
    assert "How many negatives are false is unknown: a rate needs judgements." in done.stdout
    assert f"`hnmine judge {runs / 'both'} --endpoint URL --llm NAME`" in done.stdout
    assert re.search(r"  wording +0\.\d\d", done.stdout)
    found = json.loads(hnmine("report", runs / "both", "--no-html", "--json").stdout)
    assert found["page"] is None
    assert found["audit"] == audit(AuditSettings.parse({"mined": runs / "both"})).as_json()
    done = hnmine("report")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "error: Missing required option --mined.",
    )
    with pytest.raises(InputError, match="is a candidates directory, not a mined"):
        look(runs / "c")


class TestVerdict:
    def test_nothing_chosen_is_bad_and_names_the_rule(self, runs):
        found = look_at(runs / "none").verdict
        assert found.level == "bad"
        assert "nothing to train on" in found.words
        assert "--reason 'rank > 999'" in found.steps[0][1]
        assert not any("load_dataset" in command for _, command in found.steps)

    def test_what_filter_said_stands_out_on_the_page_and_in_the_terminal(self, runs, tmp_path):
        mined, path = tmp_path / "m", tmp_path / "r.html"
        api.filter(candidates=runs / "c", output=mined, num_negatives=3, where=["rank < 2"])
        found = look_at(mined, html=True, output=path)
        missing = found.facts.counts["negatives_missing"]
        assert missing > 0.05 * found.facts.counts["negatives_asked"]
        assert (found.verdict.level, found.verdict.judged) == ("check", "not judged")
        said = "\n".join(found.lines())
        page = "".join(Page(path.read_text("utf-8")).texts)
        for text in (said, page):
            assert "What stands out" in text
            assert f"{missing:,} of" in text
            assert "negatives are missing: mine deeper" in text
            assert f"hnmine review {mined}" in text
            assert f"--output {mined}-2" in text

    def test_many_false_ones_are_bad_and_few_are_not(self, runs, tmp_path):
        chosen = [row for row in rows(runs / "both" / "scored") if row["selected"]]
        for grade, level in ((1, "bad"), (0, None)):
            file = write(
                tmp_path / f"{grade}.parquet",
                query_id=[row["query_id"] for row in chosen],
                corpus_id=[row["doc_id"] for row in chosen],
                score=[grade] * len(chosen),
            )
            found = look_at(runs / "both", qrels=str(file)).verdict
            assert (found.level == "bad") == (level == "bad")
            assert "not judged" not in found.words
            assert found.judged == ("100.0 %" if grade else found.judged)
        assert found.judged.startswith("at most")

    def test_it_is_the_same_without_the_candidates(self, runs, tmp_path):
        moved = tmp_path / "moved"
        shutil.copytree(runs / "none", moved)
        run = json.loads((moved / "run.json").read_text())
        (moved / "run.json").write_text(json.dumps(run | {"candidates": str(tmp_path / "x")}))
        found, known = look_at(moved).verdict, look_at(runs / "none").verdict
        assert (found.level, found.findings[0]) == (known.level, known.findings[0])
        assert not any("hnmine filter" in command for _, command in found.steps)


class TestTerminal:
    def test_a_table_fits_and_cuts_only_texts(self, monkeypatch):
        monkeypatch.setattr(printable, "line_width", lambda: 40)
        table = [("query", "document", "n"), ("long words " * 9, "d" * 50, "1,234")]
        found = list(printable.fitted(table, "<<>"))
        assert max(map(len, found)) == 40
        assert found[1].endswith("1,234")
        assert found[1].count("…") == 2

    def test_a_sentence_breaks_between_words_and_never_within_a_command(self):
        line = "Get them with `hnmine judge runs/mined --endpoint URL` or with another command."
        found = printable.wrapped(line, 30)
        assert " ".join(found) == line
        assert "`hnmine judge runs/mined --endpoint URL`" in found
        assert printable.wrapped("    " + line, 30) == ["    " + line]

    def test_queries_are_shown_by_their_text(self, runs):
        done = hnmine("report", runs / "both", "--no-html").stdout
        first = look_at(runs / "both").audit.doubtful[0]
        assert first.query[:20] in done
        assert first.query_id not in done
        assert (
            max(
                map(len, done.split("most doubtful negatives")[1].split("hardness")[0].splitlines())
            )
            <= 100
        )
        changes = compare(runs / "both", runs / "margin").changes
        said = "\n".join(changes.lines())
        assert not any(query in said for query in changes.most)
        assert all(changes.texts[query][:20] in said for query in changes.most)


def test_candidates_that_are_gone_cost_the_texts_alone(runs, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(runs / "both", moved)
    run = json.loads((moved / "run.json").read_text())
    run["candidates"] = str(tmp_path / "nowhere")
    (moved / "run.json").write_text(json.dumps(run))
    facts = look(moved)
    assert "nowhere" in facts.no_texts
    assert facts.lengths is None
    assert facts.examples[0].query is None
    page = report(ReportSettings.parse({"mined": moved})).page.read_text()
    assert "Texts are left out." in page
    assert '<th scope="row">bm25</th>' in page, "as `filter` recorded it"
    assert Page(page).all("svg")
    assert look(moved, candidates=runs / "c").lengths is not None
    with pytest.raises(InputError, match="is not the one that"):
        look(moved, candidates=runs / "d")
    with pytest.raises(InputError, match="texts cannot be read"):
        ask(moved, text="a")
    assert ask(moved).queries[0].text is None


class TestInspect:
    def test_a_query_has_all_its_candidates(self, runs):
        table = rows(runs / "both" / "scored")
        query_id = table[0]["query_id"]
        (query,) = ask(runs / "both", query=[query_id]).queries
        mine = [row for row in table if row["query_id"] == query_id]
        assert {one.document.doc_id for one in query.documents} == {row["doc_id"] for row in mine}
        fates = {one.document.doc_id: one.fate for one in query.documents}
        assert [doc for doc, fate in fates.items() if fate == "negative"] == [
            row["doc_id"] for row in mine if row["selected"]
        ]
        assert query.documents[0].fate == "positive"
        ranks = [one.document.rank for one in query.documents if one.fate != "positive"]
        assert ranks == sorted(ranks)

    def test_by_text_the_shortest_that_holds_it(self, runs, stdlib):
        texts = rows(stdlib / "pairs.parquet")
        word = "return"
        holding = sorted(len(row["query"]) for row in texts if word in row["query"].lower())
        found = ask(runs / "both", text=word.upper(), limit=4).queries
        assert [len(query.text) for query in found] == holding[:4]

    def test_by_reason_those_that_lost_most(self, runs):
        lost = Counter(
            row["query_id"]
            for row in rows(runs / "margin" / "scored")
            if row["reason"] == "relative-margin"
        )
        found = ask(runs / "margin", reason="relative-margin", limit=2).queries
        assert [lost[q.query_id] for q in found] == [n for _, n in lost.most_common(2)]
        for query in found:
            assert {one.reason for one in query.documents} <= {"relative-margin", "positive"}

    def test_the_worst_are_those_with_the_most_doubtful_negative(self, runs):
        most = {}
        for row in rows(runs / "both" / "scored"):
            if row["selected"]:
                most[row["query_id"]] = max(row["relevance"], most.get(row["query_id"], -np.inf))
        found = [query.query_id for query in ask(runs / "both", worst=3).queries]
        assert found == sorted(most, key=most.get, reverse=True)[:3]

    @pytest.mark.parametrize(
        ("asked", "error", "says"),
        [
            ({"query": ["nobody"]}, InputError, "There is no query 'nobody'"),
            ({"text": "no such words"}, InputError, "No query contains"),
            ({"reason": "nope"}, UsageError, "Reasons in .*: .*relative-margin"),
            ({"text": "a", "worst": 2}, UsageError, "give one of them"),
        ],
    )
    def test_what_is_not_there_is_explained(self, runs, asked, error, says):
        with pytest.raises(error, match=says):
            ask(runs / "margin", **asked)

    def test_candidates_below_the_last_negative_are_counted(self, runs):
        (query,) = (found := ask(runs / "margin")).queries
        last = max(n for n, one in enumerate(query.documents) if one.fate == "negative")
        rest = len(query.documents) - last - 1
        assert rest > 1
        lines = found.lines()
        heads = [
            line for line in lines if re.match(r"(positive|negative|kept|dropped\S*.*?)  ", line)
        ]
        assert len(heads) == last + 1
        assert f"{rest} candidates ranked below the last negative: see --json" in lines
        assert len(found.as_json()["queries"][0]["documents"]) == len(query.documents)

    def test_in_a_terminal_and_in_a_file(self, runs, hostile):
        plain = hnmine("inspect", runs / "margin").stdout
        assert "\x1b" not in plain
        assert re.search(r"\*\w+\*", plain)
        coloured = hnmine("inspect", runs / "margin", env=TERMINAL).stdout
        assert "\x1b[1;34mpositive" in coloured
        assert "\x1b[1;4m" in coloured
        bare = hnmine("inspect", runs / "margin", env={**TERMINAL, "NO_COLOR": "1"}).stdout
        assert "\x1b[1mpositive" in bare
        assert not re.search(r"\x1b\[[0-9;]*3[0-9]", bare)
        shown = hnmine("inspect", hostile / "mined").stdout
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "<script>" in shown
        assert json.loads(json.dumps(ask(hostile / "mined").as_json()))["queries"]


def test_words_match_as_bm25_matches_them():
    matcher = Matcher(Tokeniser(), frozenset({"the"}))
    text = "The Foxes, running past the foxhole: FOX."
    found = matcher.split(text, "the fox runs")
    assert "".join(piece for piece, _ in found) == text
    assert [piece for piece, hit in found if hit] == ["Foxes", "running", "FOX"]
    assert matcher.split(None, "fox") == []
    assert matcher.split("fox", None) == [("fox", False)]


def test_what_steers_a_terminal_is_taken_out():
    assert clean("a\x1b[2Jb\n c\u202ed\u0000") == "a [2Jb c d "
    assert shortened("word " * 50, 21) == "word word word word …"
    assert shortened("word " * 4, 20) == "word word word word"


class TestChanges:
    def test_it_is_the_difference_of_two_sets(self, runs):
        def chosen(name):
            table = rows(runs / name / "scored")
            return {(row["query_id"], row["doc_id"]) for row in table if row["selected"]}

        def states(name):
            return {
                (row["query_id"], row["doc_id"]): "kept, not chosen"
                if row["keep"]
                else row["reason"]
                for row in rows(runs / name / "scored")
            }

        one, other = chosen("both"), chosen("margin")
        found = compare(runs / "both", runs / "margin").changes
        assert found.same == len(one & other)
        assert found.gained == dict(Counter(states("both")[pair] for pair in other - one))
        assert found.lost == dict(Counter(states("margin")[pair] for pair in one - other))
        by_query = Counter(query for query, _ in one ^ other)
        assert found.changed == len(by_query)
        assert {q: sum(pair) for q, pair in found.most.items()} == {
            q: n for q, n in sorted(by_query.items(), key=lambda item: (-item[1], item[0]))[:10]
        }
        assert found.same_candidates
        assert any("relative_margin" in difference for difference in found.settings)
        relevance = [r["relevance"] for r in rows(runs / "both" / "scored") if r["selected"]]
        assert found.means["mean relevance"][0] == pytest.approx(np.mean(relevance))

    def test_nothing_changes_from_a_run_to_its_copy(self, runs, tmp_path):
        found = compare(runs / "both", shutil.copytree(runs / "both", tmp_path / "copy")).changes
        assert (found.gained, found.lost, found.changed, found.settings) == ({}, {}, 0, [])

    def test_other_candidates_are_said(self, runs):
        found = compare(runs / "both", runs / "dense")
        assert not found.changes.same_candidates
        assert any("different candidates" in line for line in found.lines())
        table = rows(runs / "both" / "scored")
        there = {(row["query_id"], row["doc_id"]) for row in table}
        new = [
            row
            for row in rows(runs / "dense" / "scored")
            if row["selected"] and (row["query_id"], row["doc_id"]) not in there
        ]
        assert found.changes.gained.get("no candidate", 0) == len(new)

    def test_on_the_command_line(self, runs):
        done = hnmine("compare", runs / "both", runs / "margin")
        assert (done.returncode, done.stderr) == (0, "")
        assert re.search(r"\+ previously kept, not chosen\s+\d", done.stdout)
        found = compare(runs / "both", runs / "margin").as_json()
        assert json.loads(json.dumps(found))["changes"]["same_candidates"] is True


def test_an_empty_folder_of_scores_is_damaged(runs, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(runs / "both", broken, ignore=shutil.ignore_patterns(".hnmine"))
    for file in (broken / "scored").glob("*"):
        file.unlink()
    with pytest.raises(InputError, match="has no file in scored/"):
        look(broken)
    assert pq.read_table(broken / "shortfall.parquet").num_columns == 5
