"""`--encoder http://…` and `--cross-encoder http://…`, with real servers on this machine."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from conftest import CROSS_ENCODER, ENCODER, ONNX_ENCODER, content, hnmine, rows, write

import hnmine as api
from hnmine import model_server
from hnmine.commands.sharing import in_processes
from hnmine.config import BuildIndexSettings
from hnmine.encode import load_cross_encoder, load_encoder, probe
from hnmine.encode.spec import ModelSpec
from hnmine.errors import InputError, MissingModel, PartialRun, UsageError
from hnmine.runner import local_pool
from hnmine.validate.used_models import check_models

KEY = "sk-a-secret-that-nobody-shows"
WORDS = ["lamp", "teapot", "market", "oil", "garden", "river", "stone", "bread", "train", "clock"]
TEXTS = {
    f"d{n}": f"{WORDS[n % 10]} and {WORDS[n * 7 % 10]} number {n} in the {WORDS[n // 10]}"
    for n in range(90)
}
QUERIES = {f"q{n}": f"where is the {WORDS[n]} near the {WORDS[(n + 3) % 10]}?" for n in range(10)}


class Server:
    """Answers the JSON that `say` makes of a request's JSON; `say` may return (code, JSON)."""

    def __init__(self, say, headers=()):
        self.asked, self.lock, self.most, self.now = [], threading.Lock(), 0, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.asked.append((self.path, dict(self.headers), body))
                    outer.now += 1
                    outer.most = max(outer.most, outer.now)
                said = outer.say(body)
                with outer.lock:
                    outer.now -= 1
                code, said = said if isinstance(said, tuple) else (200, said)
                data = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(code)
                for name, value in outer.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.say, self.headers = say, headers
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def bodies(self):
        return [body for _, _, body in self.asked]


def vector(text):
    """A few numbers that depend on a text alone."""
    return np.random.default_rng(list(text.encode())).normal(size=24)


def embeddings(body, model="m-1", make=vector):
    """Answer as OpenAI does, in another order than asked."""
    items = [{"index": n, "embedding": make(t).tolist()} for n, t in enumerate(body["input"])]
    return {"object": "list", "data": items[::-1], "model": model}


def scored(body, make=lambda query, text: float(vector(query)[:4] @ vector(text)[:4])):
    """Answer as Cohere does, the best first."""
    found = [make(body["query"], text) for text in body["documents"]]
    order = np.argsort(found)[::-1].tolist()
    return {"model": "r-1", "results": [{"index": n, "relevance_score": found[n]} for n in order]}


def minilm_like(body):
    """Answer with vectors of the dimension of MiniLM."""
    return embeddings(body, make=lambda text: np.tile(vector(text), 16))


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(model_server, "FIRST_WAIT", 0.001)
    for name in ("OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def data(tmp_path):
    write(tmp_path / "corpus.parquet", id=list(TEXTS), text=list(TEXTS.values()))
    write(
        tmp_path / "pairs.parquet",
        query_id=list(QUERIES),
        query=list(QUERIES.values()),
        positive_id=list(TEXTS)[:10],
        positive=list(TEXTS.values())[:10],
    )
    return tmp_path


def built(data, encoder, name="index", **more):
    how = {"bm25": False, "progress": False, "shard_size": 32}
    where = {"corpus": str(data / "corpus.parquet"), "index": data / name}
    return api.build_index(encoder=encoder, **{**where, **how, **more})


def mined(data, index="index", name="candidates", **more):
    where = {"index": data / index, "output": data / name, "pairs": str(data / "pairs.parquet")}
    return api.mine(**{**where, "top_k": 5, "progress": False, **more})


def filtered(data, name="mined", **more):
    where = {"candidates": data / "candidates", "output": data / name}
    how = {"margin": 0.0, "num_negatives": 2, "progress": False, "lazy": False}
    return api.filter(**{**where, **how, **more})


def vectors_of(data, name="index"):
    return np.concatenate([np.load(f) for f in sorted((data / name / "dense").rglob("*.npy"))])


def as_expected(texts):
    made = np.array([vector(text) for text in texts])
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("path", ["", "/v1", "/v1/", "/v1/embeddings"])
def test_the_vectors_are_those_of_the_server_scaled_and_in_order(data, path):
    with Server(embeddings) as server:
        built(data, f"{server.address}{path}#my/model")
        assert {one for one, _, _ in server.asked} == {"/v1/embeddings"}
        assert {body["model"] for body in server.bodies()} == {"my/model"}
        assert max(len(body["input"]) for body in server.bodies()) == 32
        assert np.allclose(vectors_of(data), as_expected(TEXTS.values()), atol=1e-6)
        with pytest.raises(UsageError, match="query_encoder http"):
            mined(data)
        before = len(server.asked)
        mined(data, query_encoder=f"{server.address}{path}#my/model")
        assert len(server.asked) > before
    manifest = json.loads((data / "index/manifest.json").read_text())["encoder"]
    assert manifest["model"] == f"{server.address}{path}#my/model"
    assert (manifest["backend"], manifest["served_as"]) == ("server", "m-1")
    assert manifest["content"].startswith("24d-")
    asked = as_expected(QUERIES.values()) @ as_expected(TEXTS.values()).T
    for row in rows(data / "candidates/candidates"):
        query, document = int(row["query_id"][1:]), int(row["doc_id"][1:])
        assert row["dense_score"] == pytest.approx(asked[query, document], abs=1e-5)


def test_tei_embed_is_spoken_too_and_prompts_are_put_before(data):
    def say(body):
        assert body["truncate"] is True and body["normalize"] is False
        return [vector(text).tolist() for text in body["inputs"]]

    with Server(say) as server:
        address = f"{server.address}/embed"
        built(data, address, query_prompt="Q: ", document_prompt="D: ", similarity="dot")
        asked = [text for body in server.bodies() for text in body["inputs"]]
        assert {text for text in asked if text != probe.TEXT} == {f"D: {t}" for t in TEXTS.values()}
        server.asked.clear()
        mined(data, query_encoder=address)
        asked = [text for body in server.bodies() for text in body["inputs"]]
        assert {t for t in asked if t != probe.TEXT} == {f"Q: {q}" for q in QUERIES.values()}
    expected = np.array([vector(f"D: {text}") for text in TEXTS.values()], np.float32)
    assert np.allclose(vectors_of(data), expected, atol=1e-6)


@pytest.fixture(scope="module")
def minilm():
    spec = ModelSpec.find(ENCODER, device="cpu", backend="torch", dtype="fp32", use="encoder")
    model, lock = load_encoder(spec, 1), threading.Lock()

    def say(body):
        with lock:
            found = model.encode(body["input"], "document")
        return embeddings(body, make=dict(zip(body["input"], found, strict=True)).__getitem__)

    return say


@pytest.mark.parametrize(
    ("encoder", "how"), [(ENCODER, {"max_length": 16}), (ONNX_ENCODER, {"pooling": "mean"})]
)
def test_how_the_encoder_of_the_index_ran_is_not_asked_of_a_server(data, minilm, encoder, how):
    built(data, encoder, **how)
    with Server(minilm) as server:
        found = mined(data, query_encoder=server.address).manifest["encoder"]
    assert (found["backend"], found["max_length"], found["pooling"]) == ("server", None, None)


def test_a_real_model_gives_the_lists_that_it_gives_here(data, minilm):
    built(data, ENCODER, "here", dtype="fp32")
    mined(data, "here", "local")
    with Server(minilm) as server:
        built(data, server.address)
        mined(data, query_encoder=server.address)
    kept = ("query_id", "doc_id", "dense_rank")
    one, other = (
        [{key: row[key] for key in kept} for row in rows(data / name / "candidates")]
        for name in ("local", "candidates")
    )
    assert one == other


def test_a_real_cross_encoder_gives_the_logits_that_it_gives_here(data):
    built(data, ENCODER)
    mined(data)
    filtered(data, "here", cross_encoder=CROSS_ENCODER)
    spec = ModelSpec.find(CROSS_ENCODER, device="cpu", use="cross-encoder")
    model, lock = load_cross_encoder(spec, 1), threading.Lock()

    def say(body):
        texts = body["texts"]
        assert body["raw_scores"] is True
        with lock:
            found = model.score([body["query"]] * len(texts), texts, lambda done: None)
        return [{"index": n, "score": float(one)} for n, one in enumerate(found)][::-1]

    with Server(say) as server:
        filtered(data, cross_encoder=server.address)
        assert {path for path, _, _ in server.asked} == {"/rerank"}
    one, other = (rows(data / name / "scored") for name in ("here", "mined"))
    for here, there in zip(one, other, strict=True):
        assert here["ce_score"] == pytest.approx(there["ce_score"], abs=1e-5)
        assert here["selected"] == there["selected"]


@pytest.fixture
def candidates(data):
    with Server(embeddings) as server:
        built(data, server.address)
        mined(data, query_encoder=server.address)
    return data


def test_scores_are_cached_by_the_model_wherever_it_is_served(candidates):
    with Server(scored) as server:
        filtered(candidates, cross_encoder=f"{server.address}/v1#r")
        assert {path for path, _, _ in server.asked} == {"/v1/rerank"}
    pairs = {(b["query"], t) for b in server.bodies() for t in b["documents"]}
    assert len(pairs) > 50
    with Server(scored) as other:
        filtered(candidates, "again", cross_encoder=f"{other.address}/v1#r", margin=0.1)
        assert {body["query"] for body in other.bodies()} == {probe.QUERY}
    manifest = json.loads((candidates / "mined/manifest.json").read_text())
    assert manifest["judges"]["ce_score"]["served_as"] == "r-1"


def test_finished_scores_need_no_server_and_others_do(candidates, caplog):
    with Server(scored) as server:
        address = f"{server.address}/v1#r"
        filtered(candidates, cross_encoder=address)
    filtered(candidates, "again", cross_encoder=address, margin=0.1)
    assert "does not answer; its cached scores" in caplog.text
    with pytest.raises(PartialRun):
        filtered(candidates, "other", cross_encoder=f"{server.address}/v1#s")


def test_a_server_is_a_judge_too_of_either_kind(candidates):
    with Server(scored) as server, Server(embeddings) as encoder:
        judges = [f"{server.address}/rerank#r", f"{encoder.address}/v1#e"]
        filtered(candidates, judge=judges, margin=None, where=["judge_r > -99"])
    assert {"judge_r", "judge_e"} <= rows(candidates / "mined/scored")[0].keys()


def test_the_run_command_asks_the_encoder_for_queries_too(data):
    with Server(embeddings) as server, Server(scored) as reranker:
        ran = hnmine(
            *("run", data / "corpus.parquet", data / "pairs.parquet", "--output", data / "run"),
            *("--encoder", server.address, "--cross-encoder", reranker.address + "#r"),
            *("--top-k", 5, "--num-negatives", 1, "--margin", 0),
        )
        assert ran.returncode == 0, ran.stderr
        asked = {text for body in server.bodies() for text in body["input"]}
        assert {*QUERIES.values(), *TEXTS.values()} <= asked
        before = content(data / "run")
        again = hnmine(
            *("run", data / "corpus.parquet", data / "pairs.parquet", "--output", data / "run"),
            *("--encoder", server.address, "--cross-encoder", reranker.address + "#r"),
            *("--top-k", 5, "--num-negatives", 1, "--margin", 0),
        )
        assert again.returncode == 0, again.stderr
        assert content(data / "run") == before


def test_the_key_is_sent_from_the_environment_and_stored_nowhere(data, monkeypatch, caplog):
    monkeypatch.setenv("MY_KEY", KEY)
    with Server(embeddings) as server:
        built(data, server.address, api_key_env="MY_KEY")
        assert {head["Authorization"] for _, head, _ in server.asked} == {f"Bearer {KEY}"}
    for name, held in content(data).items():
        assert KEY.encode() not in held, name
    for file in data.rglob("run.json"):
        assert KEY not in file.read_text()
    assert KEY not in caplog.text
    refusing = Server(lambda body: (401, {"error": f"not {KEY}"}))
    with refusing as server, pytest.raises(MissingModel) as error:
        built(data, server.address, "other", api_key_env="MY_KEY")
    assert KEY not in str(error.value)


@pytest.mark.parametrize(
    "url", ["http://h/v1#a\n", "http://me:x@h/v1", "http://h/v1?key=x", "http://", "https://a b/v1"]
)
def test_an_address_with_a_secret_or_that_is_none_is_refused(data, url):
    with pytest.raises(UsageError, match="model"):
        built(data, url)
    assert not (data / "index").exists()


def test_requests_are_as_many_at_once_as_asked_for(data):
    barrier = threading.Barrier(3)

    def say(body):
        if body["input"] != [probe.TEXT]:
            barrier.wait(600)
        return embeddings(body)

    with Server(say) as server:
        built(data, server.address, requests=3, shard_size=96)  # Three batches.
        assert server.most == 3


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_passing_fault_is_tried_again(data, code):
    failed = []

    def say(body):
        text = body["input"][0]
        if text not in failed:
            failed.append(text)
            return code, {"error": "later"}
        return embeddings(body)

    with Server(say) as server:
        built(data, server.address)
    assert np.allclose(vectors_of(data), as_expected(TEXTS.values()), atol=1e-6)
    assert len(failed) > 2


def test_a_server_that_dies_is_resumed_and_asked_for_the_rest_alone(data):
    def dying(body):
        dead.append(1)
        return (500, {}) if len(dead) > 4 else embeddings(body)

    dead = []
    with Server(dying) as server:
        with pytest.raises(PartialRun, match="does not answer"):
            built(data, server.address, shard_size=96, requests=1)
        first = [t for body in server.bodies()[:4] for t in body["input"] if t != probe.TEXT]
        server.asked.clear()
        server.say = embeddings
        built(data, server.address, shard_size=96, requests=1)
        second = [t for body in server.bodies() for t in body["input"] if t != probe.TEXT]
    assert len(first) >= 32 and not {*first} & {*second}
    assert {*first, *second} == {*TEXTS.values()}
    assert np.allclose(vectors_of(data), as_expected(TEXTS.values()), atol=1e-6)


def test_a_slow_server_is_a_partial_run(data):
    over = threading.Event()

    def say(body):
        over.wait(600)
        return embeddings(body)

    with Server(say) as server:
        with pytest.raises(PartialRun, match="within"):
            built(data, server.address, timeout=0.3)
        over.set()


def test_too_many_texts_are_asked_for_in_halves_and_one_too_long_is_named(data):
    def say(body):
        return embeddings(body) if len(body["input"]) <= 5 else (413, {"error": "too many"})

    with Server(say) as server:
        built(data, server.address)
    assert np.allclose(vectors_of(data), as_expected(TEXTS.values()), atol=1e-6)

    def strict(body):
        return (422, {"error": "too long"}) if TEXTS["d7"] in body["input"] else embeddings(body)

    with Server(strict) as server, pytest.raises(InputError, match=re.escape(TEXTS["d7"])):
        built(data, server.address, "other")


def item(index, numbers=(1.0, 2.0)):
    return {"index": index, "embedding": list(numbers)}


WRONG = {
    "not json": b"<html>",
    "deep": b"[" * 99_999,
    "no data": {"error": "no"},
    "a list": [1, 2],
    "short": {"data": [item(0)]},
    "long": {"data": [item(n) for n in range(200)]},
    "twice": {"data": [item(0) for _ in range(200)]},
    "no index": {"data": [{"embedding": [1.0]}] * 32},
    "texts": "strings",
    "NaN": "nan",
    "infinite": "infinite",
    "lengths": "lengths",
    "null": "null",
    "true": "bools",
    "nested": "nested",
    "empty": "empty",
}


@pytest.mark.parametrize("name", WRONG)
def test_an_answer_that_is_wrong_is_an_error_that_shows_it(data, name):
    values = {
        "nan": lambda n: [float("nan"), 1.0],
        "infinite": lambda n: [1e999, 1.0],
        "strings": lambda n: ["1", "2"],
        "lengths": lambda n: [1.0] * (n + 1),
        "null": lambda n: [None, 1.0],
        "bools": lambda n: [True, False],
        "nested": lambda n: [[1.0], [2.0]],
        "empty": lambda n: [],
    }

    def say(body):
        if body["input"] == [probe.TEXT]:
            return embeddings(body)
        said = WRONG[name]
        if isinstance(said, str):
            return {"data": [item(n, values[said](n)) for n in range(len(body["input"]))]}
        return said

    with Server(say) as server, pytest.raises(InputError, match="gave no embeddings") as error:
        built(data, server.address)
    assert "answered" in str(error.value)
    assert not (data / "index/manifest.json").exists()


SCORES = {
    "short": lambda n: [{"index": 0, "relevance_score": 1.0}],
    "none": lambda n: [],
    "twice": lambda n: [{"index": 0, "relevance_score": 1.0}] * n,
    "outside": lambda n: [{"index": k + 1, "relevance_score": 1.0} for k in range(n)],
    "negative": lambda n: [{"index": k - n, "relevance_score": 1.0} for k in range(n)],
    "a fraction": lambda n: [{"index": float(k), "relevance_score": 1.0} for k in range(n)],
    "NaN": lambda n: [{"index": k, "relevance_score": float("nan")} for k in range(n)],
    "infinite": lambda n: [{"index": k, "score": 1e999} for k in range(n)],
    "a text": lambda n: [{"index": k, "score": "1"} for k in range(n)],
    "no score": lambda n: [{"index": k} for k in range(n)],
}


@pytest.mark.parametrize("name", SCORES)
def test_scores_that_are_wrong_are_an_error(candidates, name):
    def say(body):
        if body["query"] == probe.QUERY:
            return scored(body)
        return {"results": SCORES[name](len(body["documents"]))}

    with Server(say) as server, pytest.raises(InputError, match="gave no scores"):
        filtered(candidates, cross_encoder=server.address + "#r")


@pytest.mark.parametrize("what", ["dimension", "name"])
def test_a_model_that_changes_between_answers_is_an_error(data, what):
    def say(body):
        if body["input"] == [probe.TEXT]:
            return embeddings(body)
        if what == "name":
            return embeddings(body, model="m-2")
        return embeddings(body, make=lambda text: vector(text)[:12])

    with Server(say) as server, pytest.raises(InputError, match="not the one") as error:
        built(data, server.address)
    assert ("24" in str(error.value)) == (what == "dimension")


def other(text):
    return -vector(text)


def jittered(text):
    return vector(text) * (1 + 1e-3 * np.sin(np.arange(24)))


def test_a_model_that_changed_silently_is_noticed_when_a_run_is_resumed(data):
    left = [3]

    def dying(body):
        left[0] -= 1
        return embeddings(body) if left[0] >= 0 else (500, {})

    with Server(dying) as server:
        with pytest.raises(PartialRun):
            built(data, server.address)
        server.say = lambda body: embeddings(body, make=other)
        with pytest.raises(InputError, match="another plan"):
            built(data, server.address)
        # A GPU gives other last digits.
        server.say = lambda body: embeddings(body, make=jittered)
        built(data, server.address)
        server.say = lambda body: embeddings(body, make=other)
        with pytest.raises(InputError, match="does not serve the model"):
            mined(data, query_encoder=server.address)
        server.say = lambda body: embeddings(body, make=jittered)
        mined(data, query_encoder=server.address)
        before = content(data / "candidates")
        server.say = embeddings
        mined(data, query_encoder=server.address)
        assert content(data / "candidates") == before


class Noise:
    """Gives each answer other last digits, as a GPU does."""

    def __init__(self):
        self.random, self.lock = np.random.default_rng(5), threading.Lock()

    def __call__(self, numbers):
        with self.lock:
            return numbers * (1 + 2e-3 * self.random.uniform(-1, 1, np.shape(numbers)))


def test_workers_agree_on_a_server_whose_last_digits_vary(data):
    noise = Noise()
    with Server(lambda body: embeddings(body, make=lambda text: noise(vector(text)))) as server:
        built(data, server.address, workers=2)
        mined(data, query_encoder=server.address, workers=2)
        before = content(data)
        built(data, server.address, workers=2)
        mined(data, query_encoder=server.address, workers=2)
        assert content(data) == before

    def score(query, text):
        return float(noise(vector(query)[:4] @ vector(text)[:4]))

    with Server(lambda body: scored(body, score)) as server:
        filtered(data, cross_encoder=server.address + "#r", workers=2)
        filtered(data, "more", judge=[server.address + "/rerank#r"], workers=2, margin=None)
    assert len(list((data / "candidates/scores").glob("*/manifest.json"))) == 1
    assert len(list((data / "candidates/scores").iterdir())) == 1


def test_a_model_is_identified_once_for_all_workers(data, monkeypatch):
    noise, found = Noise(), []

    def stage(settings):
        found.append(ModelSpec.find(settings.encoder, use="encoder").content)

    def in_turn(share_of, **_):
        for number in range(2):
            share_of(number, 2, 1)()

    monkeypatch.setattr(local_pool, "run_workers", in_turn)
    with Server(lambda body: embeddings(body, make=lambda text: noise(vector(text)))) as server:
        how = {"corpus": str(data / "corpus.parquet"), "index": data / "index", "workers": 2}
        in_processes(stage, BuildIndexSettings.parse({**how, "encoder": server.address}))
        assert len(server.asked) == 1
        stage(BuildIndexSettings.parse({**how, "encoder": server.address}))
    assert len(found) == 4 and len(set(found[:3])) == 1 and found[3] != found[0]


def test_scores_of_a_changed_reranker_are_not_those_of_the_old_one(candidates):
    with Server(scored) as server:
        filtered(candidates, cross_encoder=server.address + "#r")
        server.asked.clear()
        server.say = lambda body: scored(body, lambda query, text: float(len(text)))
        filtered(candidates, "again", cross_encoder=server.address + "#r")
        assert len(server.asked) > 5


def probabilities(logits):
    """Answer with what a reranker's sigmoid makes of the logits of the fixed pairs."""
    by_text = dict(zip(probe.DOCUMENTS, logits, strict=True))
    return lambda body: scored(body, lambda _, text: 1 / (1 + np.exp(-by_text.get(text, 0.0))))


def test_rerankers_that_give_probabilities_are_told_apart(candidates):
    """Nearly all are close to 0 or 1, and differ by less than those of one model may."""
    with Server(probabilities([9.0, 5.0, -10.0, -7.0])) as server:
        filtered(candidates, cross_encoder=server.address + "#r")
        server.asked.clear()
        server.say = probabilities([9.02, 4.97, -9.97, -6.98])  # A GPU's last digits.
        filtered(candidates, "again", cross_encoder=server.address + "#r", margin=0.1)
        assert {body["query"] for body in server.bodies()} == {probe.QUERY}
        server.asked.clear()
        server.say = probabilities([7.0, 6.0, -12.0, -7.5])
        filtered(candidates, "other", cross_encoder=server.address + "#r", margin=0.1)
        assert len(server.asked) > 5


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_no_redirect_leads_to_another_server(data, code):
    with Server(embeddings) as goal:
        where = [("Location", f"{goal.address}/v1/embeddings")]
        moved = Server(lambda body: (code, {}), where)
        with moved as server, pytest.raises(InputError, match="redirects"):
            built(data, server.address)
        assert goal.asked == []


@pytest.mark.parametrize("more", [{"max_length": 64}, {"pooling": "cls"}])
def test_what_the_server_decides_is_refused(data, more):
    with Server(embeddings) as server, pytest.raises(UsageError, match="server"):
        built(data, server.address, **more)


def test_limits_of_a_model_here_leave_those_on_servers_alone(data):
    given = ("--encoder", ENCODER, "--max-length", 64)
    with Server(scored) as reranker, Server(minilm_like) as server:
        ran = hnmine(
            *("run", data / "corpus.parquet", data / "pairs.parquet", "--output", data / "run"),
            *(*given, "--query-encoder", server.address),
            *("--cross-encoder", reranker.address + "#r", "--judge", server.address + "/v1#e"),
            *("--top-k", 5, "--num-negatives", 1, "--margin", 0),
        )
    assert ran.returncode == 0, ran.stderr
    for address in (server.address, reranker.address + "#r", server.address + "/v1#e"):
        assert f"{address} is used without --max-length" in ran.stderr
    index, mined = (
        json.loads((data / "run" / name / "manifest.json").read_text())["encoder"]
        for name in ("index", "candidates")
    )
    assert (index["max_length"], mined["max_length"]) == (64, None)


def test_a_limit_of_an_encoder_on_a_server_is_refused_before_other_stages(data):
    where = {"corpus": str(data / "corpus.parquet"), "index": data / "index"}
    wrong = {"encoder": "http://localhost:1", "max_length": 64}
    with pytest.raises(UsageError, match="max-length does not apply"):
        check_models([BuildIndexSettings.parse({**where, **wrong})])


def test_an_index_from_elsewhere_makes_nobody_ask_its_server(candidates, tmp_path):
    """Its manifest may name any address, and the key would be sent there."""
    manifest = candidates / "index/manifest.json"
    with Server(embeddings) as server:
        about = json.loads(manifest.read_text())
        about["encoder"]["model"] = server.address
        manifest.write_text(json.dumps(about))
        for command in (["mine"], ["mine", "--dry-run"]):
            ran = hnmine(
                *(*command, candidates / "index", "--pairs", candidates / "pairs.parquet"),
                *("--output", tmp_path / "out"),
            )
            assert ran.returncode == (0 if "--dry-run" in command else 2), ran.stderr
        assert server.asked == []


def test_validate_and_a_dry_run_know_servers(data):
    with Server(embeddings) as server, Server(scored) as reranker:
        checked = hnmine(
            *("validate", data / "corpus.parquet", data / "pairs.parquet"),
            *("--encoder", server.address, "--cross-encoder", reranker.address + "#r"),
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
        dry = hnmine(
            *("run", data / "corpus.parquet", data / "pairs.parquet", "--dry-run"),
            *("--encoder", server.address, "--output", data / "run"),
        )
        assert dry.returncode == 0, dry.stderr


def test_validate_gives_the_length_limit_of_the_encoder_to_no_server(data):
    inputs = {name: str(data / f"{name}.parquet") for name in ("corpus", "pairs")}
    how = {"encoder": ENCODER, "max_length": 32, "device": "cpu", "threads": 1, "progress": False}
    with Server(scored) as server:
        report = api.validate(**inputs, cross_encoder=f"{server.address}/v1#r", **how)
    assert report.faults == []
    assert report.options
