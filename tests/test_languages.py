# ruff: noqa: RUF001
"""BM25, near copies and highlights in many scripts.

`lucene_tokens.json` holds what Lucene 9.9.1 makes of sentences of ours, without stop words.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import Stemmer
from hypothesis import given
from hypothesis import strategies as st

from hnmine.index.bm25.build import count_documents, merge_counts
from hnmine.index.bm25.search import BM25Index
from hnmine.index.bm25.settings import BM25Settings
from hnmine.index.tokenise import Tokeniser
from hnmine.inputs.identity import normalise
from hnmine.report.highlight import Matcher
from hnmine.sources.shingles import containment, shingles

HERE = Path(__file__).parent
CORPORA = json.loads((HERE / "languages.json").read_text("utf-8"))
LUCENE = json.loads((HERE / "lucene_tokens.json").read_text("utf-8"))
AUTO, WORD = Tokeniser(stemmer="none"), Tokeniser("word", "none")


def index_of(documents: list[str], tokeniser: Tokeniser, folder: Path) -> BM25Index:
    folder.mkdir()
    count_documents(documents, tokeniser, folder / "counts")
    (folder / "index").mkdir()
    merge_counts([folder / "counts"], BM25Settings(tokeniser=tokeniser), folder / "index")
    return BM25Index(folder / "index")


def recall(tokeniser: Tokeniser, corpus: dict, folder: Path) -> float:
    """Return the share of queries whose document is first."""
    queries = [query for query, _ in corpus["queries"]]
    index = index_of(corpus["documents"], tokeniser, folder)
    found = index.search(queries, np.ones(len(queries), np.int64))
    first = np.full(len(queries), -1)
    first[np.diff(found.offsets) > 0] = found.slots
    return float(np.mean(first == [document for _, document in corpus["queries"]]))


@pytest.mark.parametrize("language", CORPORA)
def test_queries_find_their_documents(language, tmp_path):
    corpus = CORPORA[language]
    stemmer = corpus["stemmer"]
    assert recall(Tokeniser(stemmer=stemmer), corpus, tmp_path / "auto") == 1
    # Runs of `\w` in casefolded text, as in indexes of earlier versions.
    assert recall(Tokeniser("word", stemmer, ""), corpus, tmp_path / "before") <= 0.6


def test_queries_find_their_documents_among_those_of_all_languages(tmp_path):
    documents, queries = [], []
    for corpus in CORPORA.values():
        queries += [[query, row + len(documents)] for query, row in corpus["queries"]]
        documents += corpus["documents"]
    together = {"documents": documents, "queries": queries}
    assert recall(Tokeniser(), together, tmp_path / "auto") > 0.95


@pytest.mark.parametrize("language", [k for k, v in LUCENE.items() if "CJK" in v["analyser"]])
def test_bigrams_are_those_of_lucene(language):
    for text, tokens in LUCENE[language]["texts"]:
        # It keeps points within numbers, and Latin letters together with Hangul.
        expected = " ".join(tokens).replace("3.12", "3 12").replace("python으로", "python 으로")
        assert " ".join(AUTO(text)) == expected


@pytest.mark.parametrize("language", [k for k, v in LUCENE.items() if "Standard" in v["analyser"]])
def test_words_are_those_of_lucene(language):
    for text, tokens in LUCENE[language]["texts"]:
        # It keeps apostrophes within words, and does not fold marks.
        expected = [word for token in tokens for word in token.split("’")]
        assert WORD(text) == [folded for word in expected for folded in WORD(word)]
        assert len(WORD(text)) == len(expected)


def test_no_word_of_lucenes_thai_analyser_begins_within_a_unit():
    for text, tokens in LUCENE["thai"]["texts"]:
        starts, at = {first for first, _, _ in AUTO.spans(text)}, 0
        lower = text.lower()
        ends = {last for _, last, _ in AUTO.spans(text)}
        for token in tokens:
            at = lower.index(token, at)
            # The last unit of a run begins no bigram.
            inside = any(first < at < last for first, last, _ in AUTO.spans(text) if last in ends)
            assert at in starts or (inside and unicodedata.category(text[at])[0] != "M")
            at += len(token)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("हिन्दी में लालटेन", "हिन्दी में लालटेन"),
        ("বাংলা তমিল தமிழ்", "বাংলা তমিল தமிழ்"),
        ("كِتَابٌ كتــاب שָׁלוֹם", "كتاب كتاب שלום"),
        ("cafe\u0301 CAFÉ Åse A\u030ase", "café café åse åse"),
        ("ﬁnance Ｔｏｋｙｏ x² ½", "finance tokyo x2 1 2"),
        ("co\u00adoperate می\u200cخواهم क्\u200dष\ufeffa", "cooperate میخواهم क्षa"),
        ("२०२४ ٢٠٢٤ ๒๐๒๔ ２０２４", "2024 2024 2024 2024"),
        ("Python™ ¨ a¨b \u0301x 1\ufe0f\u20e3", "python a b x 1"),
        ("我用Python3写程序，2024年。", "我用 python3 写程 程序 2024 年"),
        ("東京都 ｶﾞｽ か\u3099く ㍿", "東京 京都 ガス がく 株式 式会 会社"),
        ("한국어를 한 \u1112\u1161\u11ab\u1100\u116e\u11a8", "한국 국어 어를 한 한국"),
        ("ภาษาไทย ที่", "ภา าษ ษา าไ ไท ทย ที่"),
        ("ພາສາລາວ", "ພາ າສ ສາ າລ ລາ າວ"),
        ("မြန်မာ", "မြန် န်မာ"),
        ("辻󠄀 葛\U000e0100城", "辻 葛城"),
        ("a\ud800b", "a b"),
    ],
)
def test_words_of_a_script(text, words):
    assert AUTO(text) == words.split()


def test_word_takes_scripts_without_spaces_as_words():
    assert WORD("東京都 มี ノート3台") == ["東京都", "มี", "ノート3台"]


def test_capitals_of_turkish_meet_their_small_letters():
    turkish = Tokeniser(stemmer="turkish")
    for other in (AUTO, Tokeniser(), turkish):
        assert len(set(other("İstanbul I\u0307stanbul ISTANBUL istanbul i\u0307stanbul"))) == 1
        assert len(set(other("IŞIK ışık Işık I\u015eIK"))) == 1
        assert len(other("İı")) == 1 and "\u0307" not in "".join(other("İ I\u0307I"))
    # The stemmer sees the harmony of the vowels.
    assert turkish("IŞIKLAR ışıklar") == turkish("ışık ışık")


def test_digits_and_letters_of_one_identity_are_one_word():
    for text in ("İstanbul", "I\u0307zmir", "Straße", "ﬀ", "가", "\u1100\u1161", "e\u200b\u0301"):
        assert WORD(text) == WORD(normalise(text)) == [normalise(text)]


def test_every_character_is_folded_as_its_normalised_form():
    codes = [*range(0xD800), *range(0xE000, 0x30000)]
    for start in range(0, len(codes), 16):
        letters = [chr(code) for code in codes[start : start + 16]]
        letters = [letter for letter in letters if letter not in "\u2122\u2120"]
        text = f"。{'。'.join(letters)}。"
        assert AUTO(text) == AUTO(normalise(text)), hex(codes[start])


SCRIPTS = "aZıIſß .ǰΐς①ﬁé\u0301\u0316कि्ষা\u09be\u09d7بِّא\u05b0漢字かガｶ\uff9e\u3099ー"
SCRIPTS += "가ᄀ\u1161\u11a8ㄱน้ำไ\u0e33က\u1039မ\u200d\u200c\u200b\u00ad½ﷺ㍿𝔘🎉\u20e3٣"
TEXTS = st.text(SCRIPTS, max_size=12)


@given(TEXTS, st.sampled_from([AUTO, WORD, Tokeniser(stemmer="turkish")]))
def test_the_form_of_a_text_does_not_matter(text, tokeniser):
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert tokeniser(unicodedata.normalize(form, text)) == tokeniser(text)
    if tokeniser.stemmer == "none":
        assert tokeniser(normalise(text)) == tokeniser(text)


@given(st.lists(TEXTS, max_size=6), st.sampled_from(["auto", "word", "whitespace"]))
def test_terms_are_where_their_spans_say(texts, kind):
    for tokeniser in (
        Tokeniser(kind, "none"),
        Tokeniser(kind, "turkish"),
        Tokeniser("word", "none", ""),
    ):
        vocabulary, tokens, _ = tokeniser.number(texts)
        spans = [tokeniser.spans(text) for text in texts]
        assert [vocabulary[token] for token in tokens] == [
            t for found in spans for _, _, t in found
        ]
        for text, found in zip(texts, spans, strict=True):
            assert all(0 <= first < last <= len(text) for first, last, _ in found)
            assert all(term in tokeniser(text[first:last]) for first, last, term in found)


@given(st.lists(st.text("漢字仮名交じり文 a", max_size=30), max_size=20))
def test_bigrams_are_counted_as_in_each_text_alone(texts):
    counts = AUTO.count(texts)
    for row, text in enumerate(texts):
        runs = re.findall("a+|[^a ]+", text)
        pairs = [run for run in runs if "a" in run or len(run) == 1]
        pairs += [a + b for run in runs if "a" not in run for a, b in pairwise(run)]
        mine = slice(counts.offsets[row], counts.offsets[row + 1])
        terms = [counts.vocabulary[term] for term in counts.terms[mine]]
        assert dict(zip(terms, counts.frequencies[mine], strict=True)) == Counter(pairs)


def test_more_bigrams_than_are_kept_at_hand():
    random = np.random.default_rng(3)
    texts = ["".join(map(chr, row)) for row in random.integers(0x4E00, 0x5200, (200, 600))]
    vocabulary, tokens, lengths = AUTO.number(texts)
    assert lengths.tolist() == [599] * 200
    expected = [text[i : i + 2] for text in texts for i in range(599)]
    assert [vocabulary[token] for token in tokens] == expected


@pytest.mark.parametrize("stemmer", Stemmer.algorithms())
def test_every_stemmer_of_pystemmer_can_be_named(stemmer):
    assert Tokeniser(stemmer=stemmer)("कुर्सियाँ книги") != []


def test_an_index_of_an_earlier_version_is_searched_with_the_words_it_has(tmp_path):
    before = Tokeniser("word", "none", "")
    index = index_of(["हिन्दी 中文", "दही"], before, tmp_path / "old")
    file = tmp_path / "old" / "index" / "settings.json"
    header = json.loads(file.read_text("utf-8"))
    assert header["settings"]["tokeniser"].pop("unicode") == ""
    file.write_text(json.dumps(header), "utf-8")
    index = BM25Index(file.parent)
    assert index.settings.tokeniser == before
    assert index.settings.tokeniser("हिन्दी 中文") == ["ह", "न", "द", "中文"]
    assert len(index.search(["中文"], np.array([2])).slots) == 1
    assert Tokeniser().unicode == unicodedata.unidata_version


def share(left: str, right: str) -> float:
    one = np.array([0])
    return float(containment(shingles([left, right]), one, one + 1, (one, one + 1))[0])


@pytest.mark.parametrize("language", CORPORA)
def test_excerpts_are_near_copies_in_every_script(language):
    documents = CORPORA[language]["documents"]
    passage = " ".join(documents[:6])
    assert share(passage, " ".join(documents[1:4]) + documents[9]) > 0.6
    assert share(passage, unicodedata.normalize("NFD", " ".join(documents[2:5]))) == 1
    assert share(passage, " ".join(documents[10:15])) < 0.1


@pytest.mark.parametrize(
    ("query", "text", "hits"),
    [
        ("लालटेन", "वह लालटेन, में", ["लालटेन"]),
        ("東京都", "彼は東京都に住む", ["東京都"]),
        ("Cafe\u0301", "a café, CAFE\u0301", ["café", "CAFE\u0301"]),
        ("كتاب", "هذا كِتَابٌ", ["كِتَابٌ"]),
        ("cooperate", "they co\u00adoperate", ["co\u00adoperate"]),
        ("株式会社", "これは㍿です", ["㍿"]),
        ("istanbul", "İstanbul'da", ["İstanbul"]),
    ],
)
def test_words_of_the_query_are_marked(query, text, hits):
    found = Matcher(AUTO).split(text, query)
    assert "".join(piece for piece, _ in found) == text
    assert [piece for piece, hit in found if hit] == hits
