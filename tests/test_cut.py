# ruff: noqa: RUF001
from __future__ import annotations

import resource

import numpy as np
import pytest
from conftest import CROSS_ENCODER, ENCODER, ONNX_ENCODER
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

from hnmine.encode import load_cross_encoder, load_encoder
from hnmine.encode.boundaries import _WORDS
from hnmine.encode.cut import Cutter
from hnmine.encode.locate import find_model
from hnmine.encode.spec import ModelSpec

TRAINING = [
    "The lantern of the harbour keeps turning, and turning; it's 12,345 times brighter.",
    "Don't we'll they've abababab aaaaaaa bbbbbb AbCdEf  two  spaces\nand lines\r\n\r\nmore",
    "東京都は日本の首都である。 今日は良い天気です、本当に！ 漢字漢字漢字",
    "Grüße aus München, café naïve \u0391\u03b8\u03ae\u03bd\u03b1 कमल किताब मौसम",
    "QmFzZTY0IGlzIG5vdCBhIHdvcmQ= aGVsbG8gd29ybGQgdGhpcyBpcyBhIHRlc3Q=",
] * 3
GPT2, QWEN, LLAMA3 = sorted(_WORDS, key=len)


def bpe(pre_tokenizer, normalizer=None, *, bytewise=True, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet() if bytewise else []
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=["<unk>", "<|end|>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    return tokenizer


def by_words(pattern):
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return bpe(pre_tokenizers.Sequence([split, last]), normalizers.NFC())


def roberta():
    tokenizer = bpe(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.add_special_tokens(
        [AddedToken("<mask>", lstrip=True), AddedToken("</s>", rstrip=True)]
    )
    return tokenizer


def llama():
    """Words in the vocabulary begin with a mark, and nothing splits them."""
    trained = bpe(pre_tokenizers.Metaspace(), bytewise=False, unk_token="<unk>", fuse_unk=True)
    trained.pre_tokenizer = None
    trained.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    return trained


def gemma():
    trained = llama()
    trained.normalizer = normalizers.Replace(" ", "\u2581")
    trained.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    return trained


def unigram(*normalisers, split=None):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(list(normalisers))
    metaspace = pre_tokenizers.Metaspace()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, metaspace]) if split else metaspace
    trainer = trainers.UnigramTrainer(
        vocab_size=300, unk_token="<unk>", special_tokens=["<unk>", "<s>"], show_progress=False
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    return tokenizer


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=20))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits()]
    )
    tokenizer.train_from_iterator(
        TRAINING,
        trainers.WordPieceTrainer(
            vocab_size=400, special_tokens=["[UNK]", "[SEP]"], show_progress=False
        ),
    )
    return tokenizer


def word_level():
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(TRAINING, trainer)
    return tokenizer


def packaged(model):
    return Tokenizer.from_file(str(find_model(model) / "tokenizer.json"))


KINDS = {
    "minilm": lambda: packaged(ENCODER),
    "reranker": lambda: packaged(CROSS_ENCODER),
    "gpt2": lambda: bpe(pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "roberta": roberta,
    "qwen": lambda: by_words(QWEN),
    "llama3": lambda: by_words(LLAMA3),
    "gpt2-split": lambda: by_words(GPT2),
    "llama": llama,
    "gemma": gemma,
    "t5": lambda: unigram(normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")),
    "xlm-r": lambda: unigram(normalizers.NFKC(), split=pre_tokenizers.WhitespaceSplit()),
    "albert": lambda: unigram(
        normalizers.Replace("``", '"'),
        normalizers.NFKD(),
        normalizers.StripAccents(),
        normalizers.Lowercase(),
    ),
    "wordpiece": wordpiece,
    "word-level": word_level,
}


@pytest.fixture(scope="module", params=list(KINDS))
def made(request):
    """A tokeniser, and what cuts texts for it."""
    tokenizer = KINDS[request.param]()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, Cutter(tokenizer)


PIECES = [
    *"abAB1 \n\t.'-,<>|",
    *[" ", " ", " the ", " lantern", "turning ", "don't", "'s", "  ", " \n ", "\r\n", "12345"],
    *["\u0301", "\u0308", "\u0345", "e\u0301", "\u0338", "é", "Å", "ﬁ", "ﷺ", "Ａ", "①", "½", "㍿"],
    *[
        "\u3099",
        "か",
        "東",
        "京",
        "漢字",
        "。",
        "、",
        "한국",
        "\u1112\u1161\u11ab",
        "\u11ab",
        "ก",
        "กำ",
    ],
    *[
        "\u0e33",
        "कि",
        "\u093f",
        "\u0d4e",
        "\u0600",
        "\u200d",
        "\u200b",
        "\u00ad",
        "🇩🇪",
        "👨\u200d👩",
    ],
    *["İ", "Σ", "ß", "ſ", "\u3164", "\x00", "\ufffd", "\x85", "\u2028", "=", "!", "\ud800"],
    *["<mask>", "</s>", "<|end|>", "[SEP]", "[UNK]", "<s>", "▁", "Ġ", "``"],
]
PARTS = st.tuples(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4), st.integers(1, 15))
TEXTS = st.lists(PARTS, max_size=6).map(lambda parts: "".join("".join(p) * n for p, n in parts))


def ids(tokenizer, *texts):
    clean = [text.encode("utf-8", "replace").decode() for text in texts]
    pair = clean[0] if len(clean) == 1 else tuple(clean)
    return tokenizer.encode_batch_fast([pair], add_special_tokens=False)[0].ids


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, limit=st.integers(1, 9), lead=st.sampled_from(["", "query: ", "to:", " ", "a"]))
def test_a_cut_text_gives_the_same_first_tokens(made, text, limit, lead):
    tokenizer, cutter = made
    whole = ids(tokenizer, lead + text)[:limit]
    assert ids(tokenizer, lead + cutter.cut(text, limit, lead))[:limit] == whole
    assert ids(tokenizer, lead + cutter.cut(text, limit, None))[:limit] == whole


@settings(max_examples=60, deadline=None)
@given(query=TEXTS, document=TEXTS, limit=st.integers(1, 9))
def test_a_cut_pair_gives_the_same_tokens(made, query, document, limit):
    tokenizer, cutter = made
    [cut] = cutter.pairs([query], [document], limit)
    tokenizer.enable_truncation(limit)
    whole, short = ids(tokenizer, query, document), ids(tokenizer, *cut)
    tokenizer.no_truncation()
    assert short == whole


LONG = {
    "words": "The lantern of the harbour keeps turning. ",
    "Chinese": "東京都は日本の首都である。今日は良い天気です、本当に！漢字漢字漢字",
    "one word": "aGVsbG8gd29ybGQ",
    "one letter": "a",
    "Thai": "ภาษาไทยไม่มีช่องว่าง",
    "Hindi": "किताबमौसमकमल",
    "numbers": "12,345;lantern,0.5|",
    "lines": "harbour\nkeeps\nturning\n",
}


SURE = {"words", "Chinese", "one word"}
BOUNDED = {
    **{kind: set(LONG) for kind in ("minilm", "reranker")},
    **{kind: set(LONG) - {"Thai", "Hindi"} for kind in ("gpt2", "roberta", "qwen", "llama3")},
    "wordpiece": {"words", "one letter", "lines", "Hindi"},
    "word-level": set(LONG) - {"one word", "Thai"},
}
"""Of the others, the first tokens can depend on whether the text goes on, or no place is known."""


@pytest.mark.parametrize("kind", LONG)
def test_what_is_kept_does_not_grow_with_the_text(request, made, kind):
    """A text of 60,000 characters is cut to what suffices for 32 tokens, or is of few tokens."""
    text = LONG[kind] * (60_000 // len(LONG[kind]))
    tokenizer, cutter = made
    kept = cutter.cut(text, 32)
    assert ids(tokenizer, kept)[:32] == ids(tokenizer, text)[:32]
    assert len(kept) < 3000 or kind not in BOUNDED.get(request.node.callspec.params["made"], SURE)


def test_the_longer_text_of_a_pair_stays_the_longer():
    """Of 9 tokens for both, the longer text keeps 5."""
    tokenizer = word_level()
    tokenizer.enable_truncation(9)
    for longer, shorter in ((1000, 800), (1000, 40), (40, 10)):
        for sizes in ((longer, shorter), (shorter, longer)):
            query, document = ("the " * size for size in sizes)
            [cut] = Cutter(tokenizer).pairs([query], [document], 9)
            assert tokenizer.encode(*cut).type_ids == tokenizer.encode(query, document).type_ids


@pytest.mark.parametrize(
    "change",
    [
        lambda made: setattr(made, "normalizer", normalizers.Replace(Regex("^.*z$"), "z")),
        lambda made: setattr(
            made, "pre_tokenizer", pre_tokenizers.Split(Regex("a(?=.*z)"), "isolated")
        ),
        lambda made: made.add_tokens([AddedToken("the lantern", normalized=False)]),
        lambda made: made.add_tokens([AddedToken("turning ", normalized=False)]),
        lambda made: setattr(made, "pre_tokenizer", None),
    ],
)
def test_a_tokeniser_that_looks_further_is_given_the_whole_text(change):
    tokenizer = word_level()
    change(tokenizer)
    text = LONG["words"] * 100
    assert Cutter(tokenizer).cut(text, 8) == text


def test_a_vocabulary_that_goes_over_spaces_is_given_the_whole_text():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    trainer = trainers.BpeTrainer(vocab_size=200, show_progress=False)
    tokenizer.train_from_iterator(TRAINING, trainer)
    text = LONG["words"] * 100
    assert Cutter(tokenizer).cut(text, 8) == text


BIG = LONG["words"] * 8000  # 340 kB
MIXED = [
    "short",
    BIG,
    "A passage of middle length about lanterns. " * 9,
    "漢字" * 4000,
    "x" * 100_000,
]


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_vectors_are_the_same_to_the_bit(backend, monkeypatch):
    encoder = load_encoder(ModelSpec.find(ENCODER, device="cpu", backend=backend), 2)
    # One at a time: what shares a batch is ordered by the length of the texts.
    cut = [encoder.encode([text], "document") for text in MIXED]
    monkeypatch.setattr(encoder, "_cutter", Cutter(None))
    for text, vector in zip(MIXED, cut, strict=True):
        np.testing.assert_array_equal(encoder.encode([text], "document"), vector)


def test_vectors_of_an_onnx_graph_are_the_same_to_the_bit(monkeypatch):
    encoder = load_encoder(ModelSpec.find(ONNX_ENCODER, pooling="cls"), 2)
    cut = encoder.encode(MIXED, "document")
    monkeypatch.setattr(encoder.graph, "cutter", Cutter(None))
    np.testing.assert_array_equal(encoder.encode(MIXED, "document"), cut)


def test_logits_are_the_same_to_the_bit(monkeypatch):
    judge = load_cross_encoder(ModelSpec.find(CROSS_ENCODER), 2)
    queries = ["how often is it cleaned", "x", BIG[:6000], "what", BIG]
    cut = judge.score(queries, MIXED, lambda done: None)
    monkeypatch.setattr(judge.graph, "cutter", Cutter(None))
    np.testing.assert_array_equal(judge.score(queries, MIXED, lambda done: None), cut)


def test_memory_does_not_grow_with_the_text():
    judge = load_cross_encoder(ModelSpec.find(CROSS_ENCODER), 2)
    short = BIG[:4096]
    expected = judge.score(["how often"] * 8, [short] * 8, lambda done: None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = judge.score(["how often"] * 8, [BIG * 60] * 8, lambda done: None)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # kB
    np.testing.assert_array_equal(found, expected)
