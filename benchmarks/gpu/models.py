"""Models of real shapes with random weights, and texts for them; nothing is downloaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

WORDS, VOCABULARY = 40_000, 30_000
TRAINED_ON, SMALL = 3000, 100
"""Texts that the tokenisers are trained on."""

SYLLABLES = [a + b for a in "bcdfghjklmnprstvwz" for b in ("a", "e", "i", "o", "u", "an", "er")]
LONGEST = 480
"""Words of the longest passage."""

SPREAD = {"initializer_range": 0.08}
"""Smaller random weights would give all texts nearly the same vector."""

BERT = {**SPREAD, "vocab_size": VOCABULARY, "max_position_embeddings": 512}
MINILM = {
    **BERT, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
    "intermediate_size": 1536,
}  # fmt: skip
QWEN = {
    "vocab_size": VOCABULARY, "hidden_size": 1024, "num_hidden_layers": 28,
    "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
    "intermediate_size": 3072, "max_position_embeddings": 32768, "rope_theta": 1e6,
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """A shape.

    Attributes:
        kind: type of its transformer.
        config: of the transformer.
        most: texts or pairs to measure at most.
        pooling: of its token vectors; empty for a cross-encoder.
        left: whether it pads on the left.
    """

    kind: str
    config: dict[str, Any]
    most: int
    pooling: str = "mean"
    left: bool = False


ENCODERS = {
    "MiniLM-L6": Model("bert", MINILM, 40_000),
    "BGE-base": Model("bert", BERT, 20_000, "cls"),
    "ModernBERT-base": Model("modernbert", {"vocab_size": VOCABULARY}, 20_000),
    "Qwen3-0.6B": Model("qwen3", QWEN, 6000, "lasttoken", left=True),
}
RERANKERS = {
    "ms-marco-MiniLM-L6": Model("bert", MINILM, 40_000, ""),
    "Qwen3-0.6B classifier": Model("qwen3", QWEN, 6000, "", left=True),
}
TINY = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128,
    "num_key_value_heads": 1, "head_dim": 32, "global_attn_every_n_layers": 2,
}  # fmt: skip


class Texts:
    """Synthetic texts: words by Zipf's law, lengths log-normal."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        sizes = self._random.integers(1, 5, WORDS)
        syllables = self._random.choice(SYLLABLES, (WORDS, 4))
        words = ["".join(row[:size]) for row, size in zip(syllables, sizes, strict=True)]
        self._words = np.array(words, dtype=object)
        weights = 1 / np.arange(10, WORDS + 10)
        self._chances = np.cumsum(weights / weights.sum())

    def passages(self, count: int) -> list[str]:
        """Return passages of about 100 words, which are about 130 tokens."""
        return self._texts(np.exp(self._random.normal(np.log(86), 0.55, count)))

    def queries(self, count: int) -> list[str]:
        """Return queries of about 9 words."""
        return self._texts(np.exp(self._random.normal(np.log(8.5), 0.4, count)))

    def _texts(self, lengths: Any) -> list[str]:
        lengths = np.clip(lengths.astype(int), 3, LONGEST)
        drawn = np.searchsorted(self._chances, self._random.random(lengths.sum()))
        parts = np.split(self._words[np.minimum(drawn, WORDS - 1)], np.cumsum(lengths)[:-1])
        return [" ".join(part) for part in parts]


def _tokenizer(model: Model, texts: Sequence[str]) -> Any:
    """Train a tokeniser of a model's kind: WordPiece for BERT, byte-level BPE for others."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    how = {"vocab_size": VOCABULARY, "special_tokens": names, "show_progress": False}
    if model.kind == "bert":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer: Any = trainers.WordPieceTrainer(**how)
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(initial_alphabet=alphabet, **how)
    tokenizer.train_from_iterator(texts, trainer)
    # As on a machine where nothing is set.
    del os.environ["TOKENIZERS_PARALLELISM"]
    ids = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    if model.left:
        single, pair = "$A [SEP]", "$A $B [SEP]"
    else:
        single, pair = "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"
    tokenizer.post_processor = TemplateProcessing(single=single, pair=pair, special_tokens=ids)
    inputs = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]", eos_token="[SEP]", model_max_length=512,
        padding_side="left" if model.left else "right",
        model_input_names=[*inputs, *["token_type_ids"] * (model.kind == "bert")],
    )  # fmt: skip


def make(model: Model, folder: Path, texts: Sequence[str], device: str, *, small: bool) -> Path:
    """Write a model in a half precision, or in float32 on a CPU, and return its folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

    if folder.exists():
        return folder
    torch.manual_seed(0)
    tokenizer = _tokenizer(model, texts[: SMALL if small else TRAINED_ON])
    ids = {"pad_token_id": 0, "cls_token_id": 2, "bos_token_id": 2, "sep_token_id": 3}
    ids |= {"eos_token_id": 3}
    shape = {**model.config, **(TINY if small else {}), **ids, "num_labels": 1}
    config = AutoConfig.for_model(model.kind, **shape)
    kind = AutoModel if model.pooling else AutoModelForSequenceClassification
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    with torch.device(device):
        made = kind.from_config(config, dtype=dtype).eval()
    plain = folder / "plain" if model.pooling else folder
    made.to(device).save_pretrained(plain)
    tokenizer.save_pretrained(plain)
    if model.pooling:
        modules = [
            Transformer(str(plain), max_seq_length=512, model_kwargs={"dtype": dtype}),
            Pooling(config.hidden_size, pooling_mode=model.pooling),
        ]
        SentenceTransformer(modules=modules, device=device).save(str(folder))
    return folder
