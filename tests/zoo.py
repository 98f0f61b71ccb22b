"""Tiny cross-encoders with random weights, of the architectures that people use, and their pairs.

The numbers of positions are small, so that a long text goes beyond them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import ENCODER

from hnmine.encode.locate import find_model

POSITIONS = 64

SHORT = [
    ("how is a teapot cleaned", "The teapot is cleaned with warm vinegar once a month."),
    ("where was the lantern sold", "The lantern was first sold in a harbour market."),
    ("a", "b"),
    ("how is a teapot cleaned", "A ladder needs a drop of oil on the hinge every spring."),
]
LONG = [
    ("how is a teapot cleaned " * 4, "The teapot is cleaned with warm vinegar. " * 30),
    ("which " * 90, "lantern " * 90),
    ("where", "The lantern was first sold in a harbour market. " * 40),
]
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.3,
}


def bert_tokenizer() -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(find_model(ENCODER)))
    tokenizer.model_max_length = POSITIONS
    return tokenizer


def byte_tokenizer(*, pair: bool, **named: str) -> Any:
    """Return a byte-level BPE tokeniser: RoBERTa's template for a pair, or none, as decoders."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "yes", "no"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for pair in SHORT for text in pair), trainer)
    if pair:
        tokenizer.post_processor = processors.RobertaProcessing(
            ("</s>", tokenizer.token_to_id("</s>")), ("<s>", tokenizer.token_to_id("<s>"))
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


def roberta_tokenizer() -> Any:
    return byte_tokenizer(
        pair=True,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        model_input_names=["input_ids", "attention_mask"],
    )


def decoder_tokenizer(*, pads: bool = True) -> Any:
    pad = {"pad_token": "<pad>"} if pads else {}
    return byte_tokenizer(
        pair=False, eos_token="</s>", model_input_names=["input_ids", "attention_mask"], **pad
    )


def _save(folder: Path, name: str, tokenizer: Any, **config: Any) -> Path:
    """Save a sequence classifier of a family of the package transformers."""
    import torch
    import transformers

    torch.manual_seed(0)
    made = getattr(transformers, f"{name}Config")(
        **{"num_labels": 1, "vocab_size": len(tokenizer), **SMALL, **config}
    )
    model = getattr(transformers, f"{name}ForSequenceClassification")(made)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def bert(folder: Path, **config: Any) -> Path:
    return _save(folder, "Bert", bert_tokenizer(), max_position_embeddings=POSITIONS, **config)


def bert_two(folder: Path) -> Path:
    return bert(folder, num_labels=2)


def roberta(folder: Path, name: str = "Roberta") -> Path:
    """Save one whose tokeniser knows no limit, as many are published."""
    padding = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    return _save(
        folder, name, roberta_tokenizer(), max_position_embeddings=POSITIONS + 2,
        type_vocab_size=1, **padding,
    )  # fmt: skip


def xlm_roberta(folder: Path) -> Path:
    return roberta(folder, "XLMRoberta")


def electra(folder: Path) -> Path:
    return _save(
        folder, "Electra", bert_tokenizer(), embedding_size=16, max_position_embeddings=POSITIONS
    )


def deberta(folder: Path) -> Path:
    return _save(
        folder, "DebertaV2", bert_tokenizer(), max_position_embeddings=POSITIONS,
        relative_attention=True, pos_att_type=["p2c", "c2p"], position_biased_input=False,
        type_vocab_size=0, position_buckets=16, norm_rel_ebd="layer_norm", share_att_key=True,
    )  # fmt: skip


def modernbert(folder: Path) -> Path:
    ids = {"pad_token_id": 0, "cls_token_id": 101, "sep_token_id": 102, "bos_token_id": 101}
    return _save(
        folder, "ModernBert", bert_tokenizer(), max_position_embeddings=POSITIONS,
        local_attention=16, eos_token_id=102, **ids,
    )  # fmt: skip


QWEN = {"num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": POSITIONS}


def qwen(folder: Path) -> Path:
    """Save one that pads, but whose configuration does not say with what."""
    return _save(folder, "Qwen3", decoder_tokenizer(), **QWEN)


def qwen_without_padding(folder: Path) -> Path:
    return _save(folder, "Qwen3", decoder_tokenizer(pads=False), **QWEN)


def causal(folder: Path) -> Path:
    """Save a language model that says nothing of relevance."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    tokenizer = decoder_tokenizer()
    Qwen3ForCausalLM(
        Qwen3Config(vocab_size=len(tokenizer), tie_word_embeddings=True, **SMALL, **QWEN)
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def llm_reranker(folder: Path, *, template: str | None = None, **score: Any) -> Path:
    """Save a language model as sentence-transformers saves one that scores by its answer."""
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder.modules import LogitScore, Transformer

    source = causal(folder.with_name(f"{folder.name}-causal"))
    kwargs = {"processor_kwargs": {"chat_template": template}} if template else {}
    transformer = Transformer(str(source), transformer_task="text-generation", **kwargs)
    answers = transformer.tokenizer.convert_tokens_to_ids(["yes", "no"])
    score = score or dict(zip(("true_token_id", "false_token_id"), answers, strict=True))
    CrossEncoder(modules=[transformer, LogitScore(**score)], device="cpu").save(str(folder))
    return folder


TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] if m['content'] is string else "
    "m['content'][0]['text'] }}\n{% endfor %}Is it relevant?"
)


def llm_reranker_with_template(folder: Path) -> Path:
    return llm_reranker(folder, template=TEMPLATE)


ZOO: dict[str, Callable[[Path], Path]] = {
    "bert": bert,
    "bert-two": bert_two,
    "roberta": roberta,
    "xlm-roberta": xlm_roberta,
    "electra": electra,
    "deberta-v2": deberta,
    "modernbert": modernbert,
    "qwen3": qwen,
    "qwen3-without-padding": qwen_without_padding,
    "llm-reranker": llm_reranker,
    "llm-reranker-with-template": llm_reranker_with_template,
}


def as_onnx(folder: Path, target: Path) -> Path:
    """Export a sequence classifier; its tokeniser and configuration come with it."""
    import shutil
    import warnings

    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("*.safetensors"))
    model = AutoModelForSequenceClassification.from_pretrained(
        str(folder), attn_implementation="eager"
    ).eval()
    given = AutoTokenizer.from_pretrained(str(folder))([["a", "b c"]], return_tensors="pt")
    names = list(given)

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: Any) -> Any:
            return self.model(**dict(zip(names, tensors, strict=True))).logits

    axes = {name: {0: "batch", 1: "tokens"} for name in names} | {"logits": {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Logits(), tuple(given.values()), str(target / "model.onnx"), input_names=names,
            output_names=["logits"], dynamic_axes=axes, opset_version=17, dynamo=False,
        )  # fmt: skip
    return target
