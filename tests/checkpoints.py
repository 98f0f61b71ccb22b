"""Tiny checkpoints with random weights, as the libraries of the models save them."""

from __future__ import annotations

from pathlib import Path

from conftest import ENCODER

from hnmine.encode.locate import find_model


def plain(folder: Path, *, judges: bool = False) -> Path:
    """Save a BERT of the package transformers: no modules.json."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, BertModel

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(str(find_model(ENCODER)))
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=1,
    )
    (BertForSequenceClassification if judges else BertModel)(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def with_modules(folder: Path, *, judges: bool = False) -> Path:
    """Save the same by sentence-transformers, with a modules.json and a dense layer."""
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

    source = str(plain(folder.with_name(f"{folder.name}-plain"), judges=judges))
    if judges:
        CrossEncoder(source, device="cpu").save(str(folder))
    else:
        modules = [Transformer(source), Pooling(32), Dense(32, 16)]
        SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    return folder
