"""The models that `mine_hard_negatives` was given: objects or names, as folders with settings."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from hnmine.encode.declared import CONFIG
from hnmine.encode.devices import device_for
from hnmine.encode.limits import own_limit
from hnmine.encode.locate import find_model, read_json
from hnmine.encode.spec import usual_batch
from hnmine.errors import UsageError
from hnmine.in_memory import is_loaded, keep_model
from hnmine.runner.atomic import write_text
from hnmine.runner.plan import Json, canonical_json

SCORES = {"Identity": "ce", "Sigmoid": "1 / (1 + exp(-ce_score))"}
"""The score that `predict` of a cross-encoder returns, by the name of its activation."""

USUAL_LENGTH = 512
"""Tokens of a text for a model without a limit."""

TYPES = {"torch.float32": "fp32", "torch.bfloat16": "bf16", "torch.float16": "fp16"}


@dataclass(frozen=True)
class GivenModel:
    """A model on disk, and how the object runs that it was.

    Attributes:
        name: what hnmine's settings take.
        folder: of its files.
        device: of the object; None if a name was given.
        dtype: of the weights of the object; None if a name was given.
    """

    name: str
    folder: Path
    device: str | None = None
    dtype: str | None = None

    @classmethod
    def of(cls, model: object, place: Path) -> GivenModel:
        """Return a model by its name, or save an object.

        Args:
            model: a name, a folder, a SentenceTransformer or a CrossEncoder.
            place: folder for what is saved.

        Raises:
            UsageError: the object is no model of sentence-transformers.
        """
        if not is_loaded(model):
            return cls(str(model), find_model(str(model)))
        folder = keep_model(model, place)
        weights: Iterable[object] = getattr(model, "parameters", tuple)()
        dtype = TYPES.get(str(getattr(next(iter(weights), None), "dtype", "")))
        return cls(str(folder), folder, str(getattr(model, "device", "auto")), dtype)

    @property
    def where(self) -> Json:
        """Its device, as a setting."""
        return {"device": self.device} if self.device else {}

    @property
    def how(self) -> Json:
        """Its device and precision, as settings."""
        return self.where | ({"dtype": self.dtype} if self.dtype else {})

    def batch_tokens(self, batch_size: int) -> Json:
        """Return a lower limit for the tokens of a batch where so few texts ask for one.

        Args:
            batch_size: texts of full length that a batch may hold.
        """
        tokens = batch_size * (own_limit(self.folder) or USUAL_LENGTH)
        usual = usual_batch(self.folder, device_for(self.device or "auto"))
        return {"batch_tokens": tokens} if tokens < usual else {}

    @property
    def config(self) -> Json:
        """What sentence-transformers saved of its settings."""
        return read_json(self.folder, CONFIG)

    def prompt(self, name: str) -> str:
        """Return a prompt by its name.

        Raises:
            UsageError: the model has no such prompt.
        """
        prompts = self.config.get("prompts") or {}
        if name not in prompts:
            known = ", ".join(prompts) or "none"
            raise UsageError(
                f"The model has no prompt named {name!r}.",
                why=f"Its prompts are: {known}.",
                fix="Name one of them, or pass the text itself as query_prompt or corpus_prompt.",
            )
        return str(prompts[name])

    def usual_prompt(self, names: tuple[str, ...]) -> str:
        """Return the prompt that sentence-transformers uses unless one is given."""
        prompts = self.config.get("prompts") or {}
        names = (*names, str(self.config.get("default_prompt_name")))
        return str(next((prompts[name] for name in names if name in prompts), ""))

    def by_cosine(self, place: Path) -> GivenModel:
        """Return the model with vectors of length 1, as `mine_hard_negatives` compares them.

        Args:
            place: folder for a copy.

        Raises:
            UsageError: its similarity is a distance.
        """
        similarity = self.config.get("similarity_fn_name") or "cosine"
        if similarity == "cosine":
            return self
        if similarity not in ("dot", "dot_product"):
            raise UsageError(
                f"The model compares vectors by {similarity!r}.",
                why="hnmine ranks by cosine or by dot product.",
                fix="Set model.similarity_fn_name = 'cosine' if that suits its vectors.",
            )
        copy = place / f"{self.folder.name}-cosine"
        if not copy.exists():
            shutil.copytree(self.folder, copy)
            changed = {**self.config, "similarity_fn_name": "cosine"}
            write_text(copy / CONFIG, canonical_json(changed))
        return GivenModel(str(copy), copy, self.device, self.dtype)

    def in_fp32(self) -> GivenModel:
        """Return the model with the precision of an object, or that in which names are loaded."""
        return replace(self, dtype=self.dtype or "fp32")

    @property
    def score(self) -> str:
        """The expression of what `predict` of a cross-encoder returns.

        Raises:
            UsageError: its activation is neither the identity nor the sigmoid.
        """
        activation = self._activation()
        if activation not in SCORES:
            raise UsageError(
                f"The cross-encoder's activation is {activation}.",
                why="hnmine compares logits, or their sigmoid.",
                fix="Set cross_encoder.activation_fn = torch.nn.Identity(), with limits in logits.",
            )
        return SCORES[activation]

    def _activation(self) -> str:
        config = read_json(self.folder, "config.json")
        own = config.get("sentence_transformers")
        named = (
            self.config.get("activation_fn")
            or (own.get("activation_fn") if isinstance(own, dict) else None)
            or config.get("sbert_ce_default_activation_function")
        )
        if named:
            return str(named).rpartition(".")[2]
        labels = len(config.get("id2label") or {}) or int(config.get("num_labels", 0))
        return "Sigmoid" if labels == 1 else "Identity"
