"""`hnmine generate`: what it writes, what it leaves out, and a real server on this machine."""

from __future__ import annotations

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow.parquet as pq
import pytest
from conftest import content, hnmine, rows, write
from hypothesis import given
from hypothesis import strategies as st

import hnmine as api
from hnmine import model_server
from hnmine.errors import InputError, MissingModel, PartialRun, UsageError
from hnmine.extras.generation.endpoint import PROMPT
from hnmine.model_server import filled

TEXTS = {
    "d0": "the lamp is always on and weighs 5 kg",
    "d1": "the river in Bavaria is longer than 12 km since 1969",
    "d2": "this is the first bridge that was built before the war",
    "d3": "nothing here",
}
QUERIES = {"q0": "is the lamp on", "q1": "how long is the river", "q2": "which bridge was first"}


def data(folder, name="_id", **more):
    """A corpus, queries and qrels."""
    folder.mkdir(exist_ok=True)
    texts = {**TEXTS, **more}
    write(folder / "corpus.parquet", **{name: list(texts)}, contents=list(texts.values()))
    write(folder / "queries.parquet", _id=list(QUERIES), text=list(QUERIES.values()))
    pairs = {"query_id": list(QUERIES), "corpus_id": ["d0", "d1", "d2"]}
    write(folder / "qrels.parquet", **pairs)
    return {
        "corpus": str(folder / "corpus.parquet"),
        "queries": str(folder / "queries.parquet"),
        "qrels": str(folder / "qrels.parquet"),
    }


def made(folder):
    return rows(folder / "generated.parquet")


class TestEdits:
    def test_texts_are_documents_of_the_corpus_with_a_condition(self, tmp_path):
        inputs = data(tmp_path)
        result = api.generate(**inputs, output=tmp_path / "g")
        found = made(tmp_path / "g")
        assert len(found) == result.counts["texts"] > 6
        assert list(found[0]) == [
            "_id",
            "contents",
            "made_for",
            "made_from",
            "edit",
            "was",
            "became",
        ]
        for row in found:
            assert row["made_from"] == "d" + row["made_for"][1]
            origin = TEXTS[row["made_from"]]
            assert row["contents"] != origin
            # Undone at one of the places where it says what it put in.
            places = range(len(origin) + 1)
            cut = len(row["became"])
            assert origin in {
                row["contents"][:at] + row["was"] + row["contents"][at + cut :]
                for at in places
                if row["contents"][at : at + cut] == row["became"]
            }
        kinds = Counter(row["edit"] for row in found)
        assert {f"texts_{kind}": n for kind, n in kinds.items()} == {
            name: n for name, n in result.counts.items() if name.startswith("texts_")
        }
        # Both are read as one corpus.
        both = [inputs["corpus"], str(tmp_path / "g" / "generated.parquet")]
        index = api.build_index(corpus=both, index=tmp_path / "i", dense=False)
        assert index.counts["documents_rows"] == 4 + len(found)

    def test_a_corpus_without_ids_or_none_at_all_gets_texts_that_fit(self, tmp_path):
        inputs = data(tmp_path)
        pairs = write(
            tmp_path / "p.parquet",
            query=list(QUERIES.values()),
            positive=[TEXTS[f"d{n}"] for n in range(3)],
        )
        texts = write(tmp_path / "t.parquet", text=list(TEXTS.values()))
        api.generate(pairs=str(pairs), corpus=str(texts), output=tmp_path / "a")
        assert "id" not in made(tmp_path / "a")[0]
        api.generate(pairs=str(pairs), output=tmp_path / "b")
        assert made(tmp_path / "b")[0]["id"].startswith("made-")
        for name, corpus in (("a", [str(texts)]), ("b", [])):
            corpus = [*corpus, str(tmp_path / name / "generated.parquet")]
            built = api.build_index(
                corpus=corpus, pairs=str(pairs), index=tmp_path / f"i{name}", dense=False
            )
            expected = (4 if name == "a" else 3) + len(made(tmp_path / name))
            assert built.counts["documents_unique"] == expected
        assert inputs

    def test_what_the_corpus_has_already_is_not_made(self, tmp_path):
        there = "The  lamp is NEVER on and weighs 5 kg"
        inputs = data(tmp_path, d4=there)
        result = api.generate(**inputs, edit=["comparison"], output=tmp_path / "g")
        assert result.counts["dropped_as_documents"] == 1
        assert {row["made_for"] for row in made(tmp_path / "g")} == {"q1", "q2"}

    def test_as_many_edits_as_asked_where_the_texts_allow_it(self, tmp_path):
        """Of the ten edits of the lamp, one is a document already: nine are left."""
        inputs = data(tmp_path, d4="the lamp is always on and weighs 10 kg")
        result = api.generate(**inputs, per_positive=9, output=tmp_path / "g")
        found = made(tmp_path / "g")
        of_lamp = [row for row in found if row["made_from"] == "d0"]
        assert len(of_lamp) == 9
        assert len({row["contents"] for row in found}) == len(found)
        counts = result.counts
        assert counts["dropped_as_documents"] == 1
        assert counts["edits_asked"] == 27
        assert counts["edits_missing"] == 27 - len(found)
        # Every replacement was tried where edits are missing.
        every = api.generate(**inputs, per_positive=999, output=tmp_path / "all").counts
        assert len(found) == sum(
            min(9, n) for n in Counter(row["made_from"] for row in made(tmp_path / "all")).values()
        )
        assert every["edits_missing"] == 3 * 999 - every["texts"]

    def test_two_queries_do_not_share_a_text(self, tmp_path):
        inputs = data(tmp_path)
        pairs = {"query_id": ["q0", "q1"], "corpus_id": ["d0", "d0"]}
        write(tmp_path / "qrels.parquet", **pairs)
        result = api.generate(**inputs, edit=["comparison"], output=tmp_path / "g")
        assert result.counts["dropped_as_repeated"] == 1
        assert [row["made_for"] for row in made(tmp_path / "g")] == ["q0"]

    def test_blocks_and_the_order_of_rows_change_nothing_and_the_seed_does(self, tmp_path):
        inputs = data(tmp_path / "a")
        swapped = data(tmp_path / "b")
        for path in swapped.values():
            pq.write_table(pq.read_table(path).take([2, 0, 1]), path)
        write(tmp_path / "b" / "corpus.parquet", _id=list(TEXTS)[::-1],
              contents=list(TEXTS.values())[::-1])  # fmt: skip
        found = []
        for name, given_, more in (
            ("x", inputs, {}),
            ("y", swapped, {"block_size": 1}),
            ("z", inputs, {"seed": 1}),
        ):
            api.generate(**given_, per_positive=2, output=tmp_path / name, **more)
            found.append({row["contents"] for row in made(tmp_path / name)})
        assert found[0] == found[1] != found[2]

    def test_only_what_is_asked_for_is_made(self, tmp_path):
        inputs = data(tmp_path)
        result = api.generate(**inputs, edit=["unit"], output=tmp_path / "g", per_positive=9)
        assert {row["edit"] for row in made(tmp_path / "g")} == {"unit"}
        assert result.counts["positives_without_edit"] == 1
        with pytest.raises(UsageError, match="number"):
            api.generate(**inputs, edit=["numbers"], output=tmp_path / "h")


class TestWritten:
    def test_texts_come_from_a_file_by_id_or_by_query(self, tmp_path):
        inputs = data(tmp_path)
        lines = [{"query_id": "q0", "negative": ["the lamp is off", "no lamp at all"]},
                 {"query_id": "q1", "negative": [TEXTS["d1"].upper()]}]  # fmt: skip
        file = tmp_path / "w.jsonl"
        file.write_text("\n".join(map(json.dumps, lines)))
        result = api.generate(**inputs, written=str(file), output=tmp_path / "g")
        found = made(tmp_path / "g")
        assert [(row["made_for"], row["contents"], row["edit"]) for row in found] == [
            ("q0", "the lamp is off", "written"), ("q0", "no lamp at all", "written"),
        ]  # fmt: skip
        assert result.counts["dropped_as_documents"] == 1
        pairs = write(tmp_path / "p.parquet", query=["lamp?"], positive=["it is on"])
        by_query = write(tmp_path / "w.parquet", query=["lamp?"], negative=["it is off"])
        api.generate(pairs=str(pairs), written=str(by_query), edit=["negation"],
                     output=tmp_path / "h")  # fmt: skip
        found = made(tmp_path / "h")
        assert {row["edit"] for row in found} == {"negation", "written"}
        assert len({row["made_for"] for row in found}) == 1

    def test_columns_of_the_file_reach_the_training_rows_and_types_have_quotas(self, tmp_path):
        inputs = data(tmp_path, **{f"e{n}": f"lamp river bridge {n} long first" for n in range(4)})
        lines = [
            {"query_id": f"q{n}", "negative": f"{kind} of {QUERIES[f'q{n}']} number {m}",
             "type": kind, "made_from": f"d{n}", "id": m, "author": {"name": f"{n}{m}"}}
            for n in range(3) for kind in ("swap", "negated", "vague") for m in range(3)
        ]  # fmt: skip
        file = tmp_path / "w.jsonl"
        file.write_text("\n".join(map(json.dumps, lines)))
        edits = {"written": str(file), "edit": ["unit"], "output": tmp_path / "g"}
        api.generate(**inputs, **edits)
        given_ = {line["negative"]: line for line in lines}
        found = made(tmp_path / "g")
        assert {row["contents"] for row in found} >= given_.keys()
        for row in found:
            line = given_.get(row["contents"], {})
            assert row["type"] == line.get("type") and row["author"] == line.get("author")
            assert row["written_id"] == line.get("id")
            assert row["edit"] == ("written" if line else "unit")
            assert row["made_from"] == "d" + row["made_for"][1]
        both = [inputs["corpus"], str(tmp_path / "g" / "generated.parquet")]
        api.build_index(corpus=both, index=tmp_path / "i", dense=False)
        api.mine(
            **{name: inputs[name] for name in ("queries", "qrels")},
            index=tmp_path / "i",
            matching="doc.made_for = query.id",
            constraint=["doc.made_for is null or doc.made_for = query.id"],
            attribute={"type": "doc.type", "author": "doc.author.name"},
            output=tmp_path / "c",
        )
        api.filter(
            candidates=tmp_path / "c", output=tmp_path / "m", max_score=99, near_copy=2,
            quota={"type = 'swap'": 1, "type = 'negated'": 2, "type is null": 1},
            train_column={"type": "type", "author": "author"},
        )  # fmt: skip
        train = rows(tmp_path / "m" / "train")
        kinds = Counter((row["query"], row["type"]) for row in train)
        for query in QUERIES.values():
            assert [kinds[query, kind] for kind in ("swap", "negated", "vague")] == [1, 2, 0]
        for row in train:
            line = given_.get(row["negative"], {})
            assert row["type"] == line.get("type")
            assert row["author"] == line.get("author", {}).get("name")

    def test_what_is_written_for_nobody_is_named_or_counted(self, tmp_path):
        inputs = data(tmp_path)
        file = write(tmp_path / "w.parquet", query_id=["q0", "q9", "q1"], text=["a", "b", " "])
        with pytest.raises(InputError, match=r"row 1: whose query is not among the queries"):
            api.generate(**inputs, written=str(file), output=tmp_path / "g")
        result = api.generate(**inputs, written=str(file), on_bad_row="skip", output=tmp_path / "h")
        assert [row["contents"] for row in made(tmp_path / "h")] == ["a"]
        assert result.counts["skipped whose query is not among the queries"] == 1
        nobody = write(tmp_path / "n.parquet", text=["a"])
        with pytest.raises(InputError, match="does not say which query"):
            api.generate(**inputs, written=str(nobody), output=tmp_path / "k")


class Server:
    """An OpenAI-compatible server that answers with what is planned, then with a text."""

    def __init__(self, planned=()):
        self.planned, self.asked = list(planned), []
        outer, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    outer.asked.append((self.path, dict(self.headers), body))
                    code, answer = outer.planned.pop(0) if outer.planned else (200, None)
                if answer is None:
                    number = body["seed"] % 1000
                    text = f" A lamp of kind {number} for {body['messages'][0]['content'][:60]} "
                    answer = {"choices": [{"message": {"content": text}}]}
                payload = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(code)
                if code == 429:
                    self.send_header("Retry-After", "0")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(model_server, "FIRST_WAIT", 0.001)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


class TestEndpoint:
    def ask(self, server, inputs, output, **more):
        settings = {"endpoint": server.url, "llm": "small", "per_positive": 2, **more}
        return api.generate(**inputs, **settings, output=output)

    def test_a_model_is_asked_for_every_positive_and_with_the_key(self, tmp_path, monkeypatch):
        monkeypatch.setenv("MY_KEY", "secret")
        with Server() as server:
            inputs = data(tmp_path)
            result = self.ask(server, inputs, tmp_path / "g", api_key_env="MY_KEY")
        assert len(server.asked) == result.counts["made"] == 6
        found = made(tmp_path / "g")
        assert Counter(row["made_for"] for row in found) == {"q0": 2, "q1": 2, "q2": 2}
        assert all(row["edit"] == "written" for row in found)
        assert not any(row["contents"] != row["contents"].strip() for row in found)
        assert {path for path, _, _ in server.asked} == {"/v1/chat/completions"}
        assert {headers["Authorization"] for _, headers, _ in server.asked} == {"Bearer secret"}
        bodies = [body for _, _, body in server.asked]
        assert {body["model"] for body in bodies} == {"small"}
        assert len({body["seed"] for body in bodies}) == 6
        prompts = {body["messages"][0]["content"] for body in bodies}
        assert prompts == {
            PROMPT.replace("{query}", QUERIES[f"q{n}"]).replace("{positive}", TEXTS[f"d{n}"])
            for n in range(3)
        }
        assert "secret" not in b"".join(content(tmp_path / "g").values()).decode("latin-1")

    def test_it_tries_again_where_that_may_help(self, tmp_path):
        passing = [(503, {}), (429, {}), (500, {})]
        with Server(passing) as server:
            result = self.ask(server, data(tmp_path), tmp_path / "g", requests=1)
        assert result.counts["texts"] == 6 and len(server.asked) == 9

    def test_a_server_that_is_gone_costs_only_what_was_not_finished(self, tmp_path, monkeypatch):
        monkeypatch.setattr(model_server, "ATTEMPTS", 2)
        inputs = data(tmp_path)
        more = {"block_size": 1, "requests": 1}
        answer = (200, None)
        with Server([answer] * 3 + [(503, {})] * 2) as server:
            with pytest.raises(PartialRun, match="does not answer"):
                self.ask(server, inputs, tmp_path / "g", **more)
            assert len(server.asked) == 5
            self.ask(server, inputs, tmp_path / "g", **more)
            # The first answer of the second block is kept, though the block was not finished.
            assert len(server.asked) == 5 + 3
            self.ask(server, inputs, tmp_path / "h", **more)
            self.ask(server, inputs, tmp_path / "g", **more)
            assert len(server.asked) == 8 + 6
        assert content(tmp_path / "g") == content(tmp_path / "h")
        with pytest.raises(PartialRun, match="does not answer"):
            self.ask(server, inputs, tmp_path / "k", timeout=2.0)

    @pytest.mark.parametrize(
        ("answer", "error", "message"),
        [
            ((401, {"error": "no key"}), MissingModel, r"401.*no key[\s\S]*api_key_env"),
            ((404, {"error": "no such model"}), UsageError, "404.*no such model"),
            ((200, b"<html>"), InputError, "no chat completion"),
            ((200, {"choices": []}), InputError, "no chat completion"),
        ],
    )
    def test_a_refusal_is_explained_and_not_repeated(self, tmp_path, answer, error, message):
        with Server([answer]) as server:
            with pytest.raises(error, match=message):
                self.ask(server, data(tmp_path), tmp_path / "g", requests=1)
            assert len(server.asked) == 1

    def test_an_empty_answer_is_no_negative(self, tmp_path):
        nothing = [(200, {"choices": [{"message": {"content": said}}]}) for said in (None, " \n")]
        with Server(nothing) as server:
            result = self.ask(server, data(tmp_path), tmp_path / "g", requests=1)
        assert result.counts["dropped_blank"] == 2 and result.counts["texts"] == 4

    def test_the_prompt_is_ones_own_and_part_of_the_plan(self, tmp_path):
        inputs = data(tmp_path)
        prompt = tmp_path / "prompt.txt"
        prompt.write_text("Deny: {query}")
        with Server() as server:
            self.ask(server, inputs, tmp_path / "g", prompt=prompt)
            asked = {body["messages"][0]["content"] for _, _, body in server.asked}
            assert asked == {f"Deny: {query}" for query in QUERIES.values()}
            prompt.write_text("Refute: {query}")
            with pytest.raises(InputError, match="another plan"):
                self.ask(server, inputs, tmp_path / "g", prompt=prompt)
            prompt.write_text("the same for all")
            with pytest.raises(UsageError, match=r"neither \{query\} nor \{positive\}"):
                self.ask(server, inputs, tmp_path / "h", prompt=prompt)
            with pytest.raises(UsageError, match="Cannot read"):
                self.ask(server, inputs, tmp_path / "h", prompt=tmp_path / "absent")

    def test_each_prompt_asks_for_texts_of_its_own_kind(self, tmp_path):
        inputs = data(tmp_path)
        files = [tmp_path / f"{kind}.txt" for kind in ("swap", "colour")]
        for file in files:
            file.write_text(f"{file.stem}: {{positive}}")
        with Server() as server:
            result = self.ask(server, inputs, tmp_path / "g", prompt=files)
        assert len(server.asked) == result.counts["made"] == 12
        for row in made(tmp_path / "g"):
            assert f"for {row['edit']}: {TEXTS[row['made_from']]}"[:40] in row["contents"]
        assert (result.counts["texts_swap"], result.counts["texts_colour"]) == (6, 6)
        (tmp_path / "more").mkdir()
        again = tmp_path / "more" / "SWAP.md"
        again.write_text("{query}")
        with Server() as server, pytest.raises(UsageError, match="Two prompts have the name"):
            self.ask(server, inputs, tmp_path / "h", prompt=[*files, again])

    @given(st.text(max_size=40) | st.just("{positive}{query}{"), st.text() | st.just("{query}"))
    def test_nothing_in_a_text_is_taken_for_a_place(self, query, positive):
        assert filled("a{query}b{positive}c{query}", query=query, positive=positive) == (
            f"a{query}b{positive}c{query}"
        )


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({}, "Missing required option pairs"),
        ({"queries": "q", "qrels": "r"}, "Missing required option pairs"),
        ({"pairs": "p", "queries": "q"}, "not both"),
        ({"pairs": "p", "endpoint": "http://x"}, "go together"),
        ({"pairs": "p", "endpoint": "x", "llm": "m"}, "must begin with http"),
        ({"pairs": "p", "prompt": "f"}, "needs endpoint"),
    ],
)
def test_contradictions_are_named(given_, message):
    with pytest.raises(UsageError, match=message):
        api.generate(output="o", **given_)


def test_no_query_with_a_positive_is_an_error(tmp_path):
    inputs = data(tmp_path)
    write(tmp_path / "qrels.parquet", query_id=["q0"], corpus_id=["d0"], score=[0])
    with pytest.raises(InputError, match="No query has a positive"):
        api.generate(**inputs, output=tmp_path / "g")


def test_run_generates_first_and_caps_the_share(tmp_path):
    """An edit is a candidate of its own query alone, judged like all others."""
    more = {f"e{n}": f"lamp and river and bridge number {n} are long and first" for n in range(8)}
    inputs = data(tmp_path, **more)
    config = tmp_path / "c.yaml"
    sections = {
        "output": str(tmp_path / "run"),
        **inputs,
        "generate": {"per-positive": 3},
        "build-index": {"dense": False},
        "mine": {
            "matching": "doc.made_for = query.id",
            "constraint": "doc.made_for is null or doc.made_for = query.id",
            "attribute": {"generated": "doc.made_for is not null"},
        },
        "filter": {
            "max-score": 99,
            "within": "not generated or rank(case when generated then -rank end) < 1",
            "num-negatives": 4,
            "near-copy": 2,
        },
    }
    sections["mine"]["constraint"] = [sections["mine"]["constraint"]]
    config.write_text(json.dumps(sections))
    done = hnmine("run", "--config", config)
    assert done.returncode == 0, done.stderr
    texts = {row["_id"]: row for row in made(tmp_path / "run" / "generated")}
    scored = rows(tmp_path / "run" / "mined" / "scored")
    candidates = Counter(row["query_id"] for row in scored if row["doc_id"] in texts)
    assert candidates == Counter(row["made_for"] for row in texts.values())
    chosen = [row for row in scored if row["selected"]]
    generated = [row for row in chosen if row["generated"]]
    assert set(Counter(row["query_id"] for row in generated).values()) == {1}
    assert all(texts[row["doc_id"]]["made_for"] == row["query_id"] for row in generated)
    assert len(chosen) == 12


def test_an_edit_is_judged_by_its_own_positive(tmp_path):
    """Not by the lowest of the query, which no edit of a better positive falls below."""
    inputs = data(tmp_path, d9="a lamp")
    pairs = {"query_id": ["q0", "q0", "q1", "q2"], "corpus_id": ["d0", "d9", "d1", "d2"]}
    write(tmp_path / "qrels.parquet", **pairs)
    write(tmp_path / "queries.parquet", _id=list(QUERIES),
          text=["is the lamp always on", *list(QUERIES.values())[1:]])  # fmt: skip
    api.generate(**inputs, edit=["comparison"], output=tmp_path / "g")
    both = [inputs["corpus"], str(tmp_path / "g" / "generated.parquet")]
    api.build_index(corpus=both, index=tmp_path / "i", dense=False)
    own = ["doc.made_for is null or doc.made_for = query.id"]
    mine = {name: inputs[name] for name in ("queries", "qrels")} | {"index": tmp_path / "i"}
    parent = {"parent": "doc.made_from"}
    api.mine(**mine, attribute=parent, constraint=own, output=tmp_path / "c")
    rules = {
        "margin": 0.5,
        "near_copy": 2,
        "score": "bm25",
        "derive": {"own": "parent(bm25_score)"},
    }
    kept = {}
    for anchor in ("min", "parent"):
        api.filter(
            candidates=tmp_path / "c", output=tmp_path / anchor, positive_score=anchor, **rules
        )
        scored = rows(tmp_path / anchor / "scored")
        score = {(row["query_id"], row["doc_id"]): row["bm25_score"] for row in scored}
        for row in scored:
            positives = [
                other["bm25_score"]
                for other in scored
                if other["is_positive"] and other["query_id"] == row["query_id"]
            ]
            origin = row["doc_id"] if row["is_positive"] else row["parent"]
            expected = score.get((row["query_id"], origin), min(positives))
            assert row["own"] == expected
            assert row["positive_score"] == (expected if anchor == "parent" else min(positives))
        kept[anchor] = {row["doc_id"] for row in scored if row["parent"] == "d0" and row["keep"]}
    # "the lamp is never on" shares fewer words with the query than its own positive, and more than
    # "a lamp".
    assert len(kept["parent"]) == 1 and not kept["min"]
    api.mine(**mine, constraint=own, output=tmp_path / "d")
    with pytest.raises(UsageError, match=r"needs a column 'parent'[\s\S]*parent=doc.made_from"):
        api.filter(
            candidates=tmp_path / "d", output=tmp_path / "x", positive_score="parent", **rules
        )


def test_an_edit_of_a_long_positive_is_a_near_copy_and_needs_the_flag_that_says_so(tmp_path):
    long = " ".join(f"word{n} of the lamp" for n in range(30)) + " that is always on"
    inputs = data(tmp_path, d0=long)
    texts = ["is the lamp always on", *list(QUERIES.values())[1:]]
    write(tmp_path / "queries.parquet", _id=list(QUERIES), text=texts)
    asked = {"edit": ["comparison"], "output": tmp_path / "g"}
    api.generate(**inputs, **asked)
    both = [inputs["corpus"], str(tmp_path / "g" / "generated.parquet")]
    api.build_index(corpus=both, index=tmp_path / "i", dense=False)
    queries = {name: inputs[name] for name in ("queries", "qrels")}
    only_its_own = ["doc.made_for is null or doc.made_for = query.id"]
    api.mine(
        **queries,
        index=tmp_path / "i",
        output=tmp_path / "c",
        constraint=only_its_own,
        attribute={"generated": "doc.made_for is not null"},
    )
    reasons = []
    for name, more in (
        ("default", {}),
        ("flags", {"near_copy": 2, "where": ["generated or near_copy < 0.9"]}),
    ):
        api.filter(candidates=tmp_path / "c", output=tmp_path / name, max_score=99, **more)
        scored = rows(tmp_path / name / "scored")
        reasons.append([r["reason"] for r in scored if r["query_id"] == "q0" and r["generated"]])
    assert reasons == [["near-copy"], [None]]
