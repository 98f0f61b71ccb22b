"""Load models of sentence-transformers from their folders, with all weights that they need."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING

from hnmine.config import Dtype
from hnmine.encode.spec import ModelSpec
from hnmine.errors import HnmineError, MissingModel, first_line, is_interrupt, is_out_of_memory
from hnmine.runner import incidents

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SHOWN = 3
_one_at_a_time = Lock()


def quiet_torch(spec: ModelSpec) -> ModuleType:
    """Return PyTorch, set up for a model; neither it nor its helpers print anything."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.WARNING)
    if spec.device == "cpu":
        # Each thread runs batches of its own, so that results do not depend on their number.
        torch.set_num_threads(1)
    return torch


def how(torch: ModuleType, spec: ModelSpec) -> dict[str, object]:
    """Return arguments that load a model from its folder alone, without code of its own.

    OpenVINO converts float32 weights itself.
    """
    dtype: Dtype = "fp32" if spec.backend == "openvino" else spec.dtype
    types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return {
        "model_name_or_path": str(spec.folder()),
        "device": spec.device,
        "local_files_only": True,
        "trust_remote_code": False,
        "model_kwargs": {"dtype": types[dtype], "weights_only": True},
    }


@contextmanager
def loading(model: str, pools: bool = False) -> Iterator[None]:
    """Refuse a model that cannot be loaded, or for which transformers draws weights at random.

    `pools`: its vectors are those of its own pooler.

    Args:
        model: its name.
        pools: whether its vectors are those of its own pooler.

    Raises:
        MissingModel: the files lack weights that its outputs depend on.
    """
    from transformers import PreTrainedModel

    inherited = PreTrainedModel.__dict__["from_pretrained"]
    missing: set[str] = set()

    def from_pretrained(
        cls: type[PreTrainedModel], /, *arguments: object, **more: object
    ) -> PreTrainedModel:
        more["output_loading_info"] = True
        loaded, info = inherited.__func__(cls, *arguments, **more)
        lacking = set(info["missing_keys"])
        missing.update(lacking if pools else _needed(cls, lacking))
        return loaded

    # sentence-transformers loads the model, and does not ask for missing weights.
    with _one_at_a_time:
        PreTrainedModel.from_pretrained = classmethod(from_pretrained)
        try:
            yield
        except Exception as error:
            if isinstance(error, HnmineError) or is_out_of_memory(error):
                raise
            raise MissingModel(
                f"The model {model} cannot be loaded.",
                why=first_line(error),
                fix="Check that its files are whole, and that it is a sentence-transformers or "
                "transformers model of the right kind.",
            ) from error
        finally:
            PreTrainedModel.from_pretrained = inherited
    if missing:
        names = sorted(missing)
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise MissingModel(
            f"The model {model} lacks weights: {', '.join(names[:SHOWN])}{more}.",
            why="PyTorch drew them at random. A model without its classification head is no "
            "cross-encoder, and one of another class no encoder.",
            fix="Copy the model again, or name one that was trained for this use.",
        )


@contextmanager
def running(spec: ModelSpec) -> Iterator[None]:
    """Explain what a model raises on its inputs: an architecture may not know a precision.

    Raises:
        MissingModel: instead of what PyTorch or the model raises.
    """
    try:
        yield
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        if is_out_of_memory(error) or is_interrupt(error):
            raise
        others = {"--dtype fp32": spec.dtype == "fp32", "--backend torch": spec.backend == "torch"}
        untried = [flag for flag, is_set in others.items() if not is_set]
        raise MissingModel(
            f"The model {spec.model} failed on {spec.backend} in {spec.dtype}.",
            why=f"{type(error).__name__}: {first_line(error)}",
            fix=f"Pass {untried[0]}."
            if untried
            else "Run it with sentence-transformers alone, or with other library versions. "
            "--debug shows where it failed.",
        ) from error


def _needed(cls: type, missing: set[str]) -> set[str]:
    """Leave out the pooler of a model without a head: token vectors do not depend on it."""
    headless = cls.__name__.endswith(("Model", "Encoder"))
    return {name for name in missing if not (headless and "pooler." in f".{name}")}


def let_it_pad(
    model: str, tokenizer: PreTrainedTokenizerBase, transformer: PreTrainedModel
) -> None:
    """Let a model without a padding token pad with its end-of-text token.

    The configuration gets the number of that token: a classifier on top of a decoder reads the last
    token that is not padding.

    Raises:
        MissingModel: it has neither token.
    """
    if not hasattr(tokenizer, "pad_token_id"):
        return  # A static model pads nothing.
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


def keep_no_keys(transformer: PreTrainedModel | None) -> None:
    """Let a decoder keep no keys and values: nothing follows the text that it reads."""
    config = getattr(transformer, "config", None)
    for one in (config, config and config.get_text_config()):
        if one is not None and hasattr(one, "use_cache"):
            one.use_cache = False


def name_of_device(device: str) -> str:
    """Return a device with the name of its GPU."""
    if not device.startswith("cuda"):
        return device
    import torch

    return f"{device}: {torch.cuda.get_device_name(device)}"
