"""Computed columns of documents, queries and pairs: each against a slow version of its formula."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ENCODER, write

import hnmine as api
from hnmine.directories.index import Index
from hnmine.errors import UsageError
from hnmine.index import outliers
from hnmine.inputs import boilerplate
from hnmine.inputs.boilerplate import MANY, boilerplate_shares, pieces_of

FOOTER = "Subscribe to our newsletter and follow us for daily updates."
GIBBERISH = ["zxq qqv vvkk jjxz wqzk", "0x9f 0x3b;; ]]>> {{%$ @@", "lorem kjh asdf qwer zxcv ggg"]


@pytest.fixture(scope="module")
def data(stdlib, tmp_path_factory):
    """A corpus of docstrings, six with one footer, and three texts of gibberish."""
    folder = tmp_path_factory.mktemp("columns")
    corpus = pq.read_table(stdlib / "corpus.parquet").slice(0, 120).to_pydict()
    pairs = pq.read_table(stdlib / "pairs.parquet").to_pylist()
    known = set(corpus["id"])
    pairs = [pair for pair in pairs if pair["positive_id"] in known][:12]
    texts = [f"{text}\n{FOOTER}" if n < 6 else text for n, text in enumerate(corpus["text"])]
    ids = corpus["id"] + [f"gibberish-{n}" for n in range(len(GIBBERISH))]
    write(folder / "corpus.parquet", id=ids, text=texts + GIBBERISH)
    changed = dict(zip(ids, texts, strict=False))
    write(
        folder / "pairs.parquet",
        query=[pair["query"] for pair in pairs],
        positive_id=[pair["positive_id"] for pair in pairs],
        positive=[changed[pair["positive_id"]] for pair in pairs],
    )
    corpus_path = str(folder / "corpus.parquet")
    api.build_index(corpus=corpus_path, index=folder / "index", encoder=ENCODER)
    return folder


def mine(data, output, **settings):
    given = {"index": data / "index", "pairs": str(data / "pairs.parquet"), "top_k": 20}
    api.mine(**(given | settings), output=output)
    parts = sorted((output / "candidates").glob("*.parquet"))
    return pa.concat_tables(map(pq.read_table, parts)).to_pylist()


class TestOutliers:
    def test_they_are_mahalanobis_distances(self, data, tmp_path, monkeypatch):
        monkeypatch.setattr(outliers, "BLOCK", 32)  # Several blocks.
        rows = mine(data, tmp_path / "c", attribute={"outlier": "doc.outlier"})
        index = Index(data / "index")
        vectors = index.vectors(1)
        points = vectors.directions(np.arange(vectors.count)).astype(np.float64)
        covariance = np.cov(points.T, bias=True)
        n, d = points.shape
        mu = np.trace(covariance) / d
        squares = np.trace(covariance @ covariance)
        share = ((1 - 2 / d) * squares + (mu * d) ** 2) / ((n + 1 - 2 / d) * (squares - d * mu**2))
        inverse = np.linalg.inv((1 - min(1, share)) * covariance + min(1, share) * mu * np.eye(d))
        for row in rows:
            (at,) = index.documents.slots(index.documents.find_ids([row["doc_id"]]))
            away = points[at] - points.mean(axis=0)
            assert row["outlier"] == pytest.approx(np.sqrt(away @ inverse @ away / d), rel=1e-4)

    def test_gibberish_is_farthest_and_a_constraint_keeps_it_out(self, data, tmp_path):
        everything = {"source": ["random:400"], "attribute": {"outlier": "doc.outlier"}}
        rows = mine(data, tmp_path / "all", **everything)
        score = {row["doc_id"]: row["outlier"] for row in rows}
        worst = sorted(score, key=score.get)[-10:]
        assert {f"gibberish-{n}" for n in range(len(GIBBERISH))} <= set(worst)
        limit = min(score[f"gibberish-{n}"] for n in range(len(GIBBERISH)))
        kept = mine(data, tmp_path / "kept", constraint=[f"doc.outlier < {limit}"])
        assert kept and not any(row["doc_id"].startswith("gibberish") for row in kept)
        result = api.filter_negatives(
            candidates=tmp_path / "all",
            output=tmp_path / "mined",
            where=[f"outlier < {limit}"],
            index=data / "index",
        )
        assert result.counts["negatives"]
        scored = pq.read_table(next((tmp_path / "mined" / "scored").glob("*.parquet"))).to_pylist()
        assert all(row["outlier"] < limit for row in scored if row["selected"])

    def test_they_are_computed_once_and_only_if_asked_for(self, data, tmp_path, monkeypatch):
        def refuse(vectors):
            raise AssertionError

        mine(data, tmp_path / "first", attribute={"outlier": "doc.outlier"})
        monkeypatch.setattr("hnmine.sources.computed.outlier_scores", refuse)
        mine(data, tmp_path / "without")
        again = mine(data, tmp_path / "again", attribute={"outlier": "doc.outlier"})
        assert all(row["outlier"] > 0 for row in again)

    def test_a_damaged_cache_is_computed_again(self, data, tmp_path):
        before = mine(data, tmp_path / "before", attribute={"outlier": "doc.outlier"})
        (cached,) = (data / "index" / ".hnmine" / "columns").glob("outlier-*.npy")
        cached.write_bytes(b"no array")
        after = mine(data, tmp_path / "after", attribute={"outlier": "doc.outlier"})
        assert [row["outlier"] for row in before] == [row["outlier"] for row in after]

    def test_without_vectors_the_error_names_the_flag(self, data, tmp_path):
        corpus, index = str(data / "corpus.parquet"), tmp_path / "index"
        api.build_index(corpus=corpus, index=index, dense=False)
        with pytest.raises(UsageError, match=r"doc\.outlier needs a dense index"):
            mine(data, tmp_path / "c", index=index, constraint=["doc.outlier < 2"])

    @pytest.mark.parametrize("points", [np.ones((4, 3)), np.eye(3)[:2], np.eye(3)[:1]])
    def test_tiny_corpora_have_finite_scores(self, points):
        class Few:
            count, dimension = points.shape

            def directions(self, slots):
                return points[slots].astype(np.float32)

        assert np.isfinite(outliers.outlier_scores(Few())).all()


class TestBoilerplate:
    def test_it_is_the_share_of_common_pieces(self, data, tmp_path):
        rows = mine(
            data,
            tmp_path / "c",
            source=["random:400"],
            attribute={"share": "doc.boilerplate"},
        )
        found = {row["doc_id"]: row["share"] for row in rows}
        texts = pq.read_table(data / "corpus.parquet").to_pylist()
        pieces = {row["id"]: pieces_of(row["text"]) for row in texts}
        for name, share in found.items():
            common = [
                piece
                for piece in pieces[name]
                if sum(piece in other for other in pieces.values()) >= MANY
            ]
            wanted = sum(map(len, common)) / max(1, sum(map(len, pieces[name])))
            assert share == pytest.approx(wanted, rel=1e-6)
        footers = {row["id"] for row in texts if FOOTER in row["text"]}
        assert len(footers) == 6
        assert all(found[name] > 0 for name in footers & found.keys())
        limited = mine(data, tmp_path / "limited", constraint=["doc.boilerplate = 0"])
        assert not footers & {row["doc_id"] for row in limited if not row["is_positive"]}

    def test_a_piece_repeated_in_one_text_is_not_common(self):
        texts = ["Same. " * 9, *(f"Text number {n}." for n in range(9))]
        assert boilerplate_shares(lambda: iter(texts)).tolist() == [0] * 10

    def test_lines_and_sentences_of_any_script_are_pieces(self):
        assert pieces_of("One. Two!\nTHREE") == ["one.", "two!", "three"]
        assert pieces_of("一つ目。二つ目。") == ["一つ目。", "二つ目。"]
        assert boilerplate.pieces_of(" \n\n ") == []


class TestClusters:
    def test_a_query_is_in_the_cluster_of_the_nearest_centre(self, data, tmp_path):
        names = {
            "own": "query.cluster",
            "hard": "query.cluster_hardness",
            "cluster": "doc.cluster",
            "doc_hard": "doc.cluster_hardness",
        }
        rows = mine(data, tmp_path / "c", clusters=5, attribute=names)
        centres = np.load(tmp_path / "c" / "centres.npy").astype(np.float64)
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        among = centres @ centres.T - 2 * np.eye(5)
        vectors = np.concatenate(
            [np.load(file) for file in sorted((tmp_path / "c" / "dense/vectors").glob("*.npy"))]
        )
        assert len({row["own"] for row in rows}) > 1
        for row in rows:
            (query,) = np.unique(
                [other["query_row"] for other in rows if other["query_id"] == row["query_id"]]
            )
            assert row["own"] == int(np.argmax(centres @ vectors[query]))
            assert row["hard"] == pytest.approx(among[row["own"]].max(), rel=1e-5)
            assert row["doc_hard"] == pytest.approx(among[row["cluster"]].max(), rel=1e-5)

    def test_hard_clusters_get_more_negatives(self, data, tmp_path):
        mine(data, tmp_path / "c", clusters=4, attribute={"hard": "query.cluster_hardness"})
        api.filter_negatives(
            candidates=tmp_path / "c",
            index=data / "index",
            output=tmp_path / "mined",
            num_negatives=10,
            per_query="10 * hard",
        )
        scored = pq.read_table(next((tmp_path / "mined" / "scored").glob("*.parquet"))).to_pylist()
        counts = {}
        for row in scored:
            counts.setdefault((row["query_id"], row["hard"]), 0)
            counts[row["query_id"], row["hard"]] += row["selected"]
        assert len({hard for _, hard in counts}) > 1
        assert all(count == round(10 * hard) for (_, hard), count in counts.items())

    def test_without_query_vectors_the_error_names_the_flag(self, data, tmp_path):
        with pytest.raises(UsageError, match=r"query\.cluster needs vectors"):
            mine(
                data,
                tmp_path / "c",
                clusters=4,
                source=["bm25"],
                attribute={"own": "query.cluster"},
            )
