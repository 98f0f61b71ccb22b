"""A model that PyTorch has loaded: all of its weights are its own, and it can pad a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from hnmine.errors import MissingModel
from hnmine.runner import incidents

SHOWN = 3
_loading = Lock()


@contextmanager
def no_new_weights(model: str, pools: bool = False) -> Iterator[None]:
    """Refuse a model for whose loading transformers draws weights at random.

    Args:
        model: its name.
        pools: whether its vectors are those of its own pooler.

    Raises:
        MissingModel: the files lack weights that its outputs depend on.
    """
    from transformers import PreTrainedModel

    inherited = PreTrainedModel.__dict__["from_pretrained"]
    missing: set[str] = set()

    def from_pretrained(cls: type, *arguments: Any, **more: Any) -> Any:
        more["output_loading_info"] = True
        loaded, info = inherited.__func__(cls, *arguments, **more)
        lacking = set(info["missing_keys"])
        missing.update(lacking if pools else _needed(cls, lacking))
        return loaded

    # sentence-transformers loads the model, and does not ask what was missing.
    with _loading:
        PreTrainedModel.from_pretrained = classmethod(from_pretrained)
        try:
            yield
        finally:
            PreTrainedModel.from_pretrained = inherited
    if missing:
        names = sorted(missing)
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise MissingModel(
            f"The model {model} lacks weights: {', '.join(names[:SHOWN])}{more}.",
            why="PyTorch drew them at random, anew in each process. A model without its "
            "classification head is no cross-encoder, and one of another class no encoder.",
            fix="Copy the model again, or name one that was trained for this use.",
        )


def _needed(cls: type, missing: set[str]) -> set[str]:
    """Leave out the pooler of a model without a head: token vectors do not depend on it."""
    headless = cls.__name__.endswith(("Model", "Encoder"))
    return {name for name in missing if not (headless and "pooler." in f".{name}")}


def let_it_pad(model: str, tokenizer: Any, transformer: Any) -> None:
    """Have a model pad with its end-of-text token if it has no token for that.

    A classifier on top of a decoder reads the last token that is not padding, by the number that
    its configuration gives for padding: it becomes that of the tokeniser.

    Raises:
        MissingModel: it has neither.
    """
    if not hasattr(tokenizer, "pad_token_id"):
        return  # That of a static model, which pads nothing.
    config = getattr(transformer, "config", None)
    if tokenizer.pad_token is None:
        ends = getattr(config, "eos_token_id", None)
        ends = ends[0] if isinstance(ends, list) and ends else ends
        token = tokenizer.eos_token or (
            tokenizer.convert_ids_to_tokens(ends) if isinstance(ends, int) else None
        )
        if token is None:
            raise MissingModel(
                f"The model {model} cannot pad texts to one length.",
                why="Its tokeniser has neither a padding token nor an end-of-text token (eos).",
                fix="Set pad_token in its tokenizer_config.json, as its model card says.",
            )
        tokenizer.pad_token = token
        incidents.note(f"{model} has no padding token: its end-of-text token {token} is used.")
    for one in (config, config and config.get_text_config()):
        if one is not None:
            one.pad_token_id = tokenizer.pad_token_id
