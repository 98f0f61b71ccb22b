"""Train a bi-encoder on rows, with sentence-transformers, and encode texts with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hnmine.encode.declared import OF_DOCUMENTS, OF_QUERIES
from hnmine.encode.devices import computes_in_bf16
from hnmine.encode.locate import find_model, is_onnx
from hnmine.encode.spec import ModelSpec
from hnmine.errors import MissingModel
from hnmine.exports.teacher_scores import (
    STUDENT_TEMPERATURE,
    TEACHER_TEMPERATURE,
    TeacherScale,
    pin_positives,
)
from hnmine.ragged import offsets_of
from hnmine.training.retrieval_measures import Vectors
from hnmine.training.student_rows import Rows, batches

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

TEXTS_AT_ONCE, ON_A_GPU = 64, 512
TEXTS_IN_A_PASS = 32
"""Texts of similar length that a CPU encodes together in training: the less padding the better."""

WARMUP, LARGEST_GRADIENT = 0.1, 1.0
SCALE = 20.0
"""Of cosines in the contrastive loss, as in sentence-transformers."""

Tick = Callable[[], None]


@dataclass(frozen=True)
class Recipe:
    """How every student of a comparison is trained.

    Attributes:
        model: the student before training.
        steps: of all arms alike; data that ends sooner is gone through again.
        batch: rows in a step.
        learning_rate: at its highest, after a tenth of the steps; then it falls to 0.
        max_length: tokens of any text, in training and after; None for the model's own limit.
        device: that PyTorch computes on.
        hardness: by which the contrastive loss weighs harder negatives more, as EmbeddingGemma's.
        pinned: whether the known positive is lifted to the top of a teacher's list.
        contrast: weight of the contrastive loss beside distillation.
        toward_base: how far the trained weights go back to those before, from 0 to 1.
    """

    model: str
    steps: int
    batch: int = 32
    learning_rate: float = 2e-5
    max_length: int | None = None
    device: str = "cpu"
    hardness: float = 0.0
    pinned: bool = True
    contrast: float = 0.0
    toward_base: float = 0.0


def student_of(model: str, device: str) -> ModelSpec:
    """Return a bi-encoder that can be trained, without loading it.

    Raises:
        MissingModel: it is not on this machine, has its own code, or is an ONNX graph.
        UsageError: it is no bi-encoder.
    """
    if is_onnx(find_model(model)):
        raise MissingModel(
            f"The model {model} cannot be trained: it is an ONNX graph.",
            why="A graph has no weights that PyTorch can train.",
            fix="Name the folder with the model's weights for PyTorch.",
        )
    return ModelSpec.find(model, device=device, backend="torch", dtype="fp32", use="encoder")


def load(recipe: Recipe) -> SentenceTransformer:
    """Return the student before training, in float32 whatever its files hold.

    Raises:
        MissingModel: it is not on this machine, or cannot be trained.
        UsageError: it is no bi-encoder.
    """
    import torch

    from hnmine.encode.pytorch import TorchEncoder

    threads = torch.get_num_threads()
    model = TorchEncoder(student_of(recipe.model, recipe.device), 1).model
    torch.set_num_threads(threads)  # Encoders set it to 1.
    if recipe.max_length:
        model.max_seq_length = recipe.max_length
    return model


def train(
    model: SentenceTransformer,
    sets: Sequence[Rows],
    recipe: Recipe,
    seed: int,
    tick: Tick = lambda: None,
) -> None:
    """Train a student: contrastive, or by distillation where rows have a teacher's scores.

    Args:
        model: the student; it is changed.
        sets: of rows; each pass over the data goes through the next one.
        recipe: how.
        seed: of the order of the rows, and of dropout.
        tick: called after each step.
    """
    import torch

    torch.manual_seed(seed)
    before = weights_of(model) if recipe.toward_base else []
    model.train()
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, weight_decay=0.0, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda n: _rate(n, recipe.steps))
    scale = _scale(sets)
    for rows, batch in batches(sets, recipe.batch, recipe.steps, seed):
        loss = _loss(model, rows, batch, recipe, scale)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), LARGEST_GRADIENT)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        tick()
    if recipe.toward_base:
        move_toward(model, before, recipe.toward_base)
    model.eval()


def weights_of(model: SentenceTransformer) -> list[Tensor]:
    """Return a copy of the weights."""
    return [weight.detach().clone() for weight in model.parameters()]


def move_toward(model: SentenceTransformer, weights: Sequence[Tensor], share: float) -> None:
    """Move a model's weights toward others.

    Args:
        model: it is changed.
        weights: of `weights_of`.
        share: of the way, from 0 to 1.
    """
    import torch

    with torch.no_grad():
        for own, other in zip(model.parameters(), weights, strict=True):
            own.lerp_(other, share)


def _rate(step: int, steps: int) -> float:
    """Return the share of the learning rate: up over a tenth of the steps, then down to 0."""
    warmup = max(1, round(steps * WARMUP))
    return min((step + 1) / warmup, (steps - step) / max(1, steps - warmup + 1))


def _scale(sets: Sequence[Rows]) -> TeacherScale | None:
    scores = [own for rows in sets for own in rows.scores or ()]
    return TeacherScale.of(scores) if scores else None


def _loss(
    model: SentenceTransformer,
    rows: Rows,
    batch: Sequence[int],
    recipe: Recipe,
    scale: TeacherScale | None,
) -> Tensor:
    """Return the loss of a batch, with the documents of its other rows as further negatives."""
    import torch

    counts = np.array([len(rows.documents[row]) for row in batch])
    documents = [text for row in batch for text in rows.documents[row]]
    vectors = _vectors(model, [rows.queries[row] for row in batch], documents)
    cosines = vectors[: len(batch)] @ vectors[len(batch) :].T
    owner = torch.from_numpy(np.repeat(np.arange(len(batch)), counts)).to(cosines.device)
    first = torch.from_numpy(offsets_of(counts)[:-1]).to(cosines.device)
    own = owner == torch.arange(len(batch), device=cosines.device)[:, None]
    if scale is None or rows.scores is None:
        return contrastive(cosines, own, first, recipe.hardness)
    given = scale.apply(np.concatenate([rows.scores[row] for row in batch]))
    if recipe.pinned:
        is_positive = np.zeros(len(given), dtype=bool)
        is_positive[offsets_of(counts)[:-1]] = True
        given = pin_positives(given, np.repeat(np.arange(len(batch)), counts), is_positive)
    loss = distilled(cosines, own, torch.from_numpy(given).to(cosines))
    if recipe.contrast:
        loss = loss + recipe.contrast * contrastive(cosines, own, first, recipe.hardness)
    return loss


def contrastive(cosines: Tensor, own: Tensor, first: Tensor, hardness: float = 0.0) -> Tensor:
    """Return sentence-transformers' MultipleNegativesRankingLoss.

    Args:
        cosines: of each query to all documents of the batch, shape (rows, documents).
        own: which documents are those of the row, shape (rows, documents).
        first: the column of each row's positive, shape (rows,).
        hardness: weight of harder negatives.
    """
    import torch

    logits = cosines * SCALE
    if hardness:
        negative = own.clone()
        negative[torch.arange(len(first), device=first.device), first] = False
        logits = logits + hardness * cosines.detach() * negative
    return torch.nn.functional.cross_entropy(logits, first)


def distilled(cosines: Tensor, own: Tensor, teacher: Tensor) -> Tensor:
    """Return the divergence of each row's list from the teacher's: DistillKLDivLoss.

    Args:
        cosines: of each query to all documents of the batch, shape (rows, documents).
        own: which documents are those of the row, shape (rows, documents).
        teacher: scaled scores of the documents, shape (documents,); those that are not finite are
            left out.
    """
    import torch

    own = own & torch.isfinite(teacher)
    student = (cosines / STUDENT_TEMPERATURE).masked_fill(~own, -torch.inf).log_softmax(dim=1)
    wanted = (teacher / TEACHER_TEMPERATURE).expand_as(cosines).masked_fill(~own, -torch.inf)
    wanted = wanted.log_softmax(dim=1)
    apart = torch.where(own, wanted.exp() * (wanted - student), 0.0)
    return apart.sum() / len(cosines)


def _vectors(
    model: SentenceTransformer, queries: Sequence[str], documents: Sequence[str]
) -> Tensor:
    """Return unit vectors that gradients flow through, shape (queries + documents, dimension)."""
    import torch

    parts, places = [], []
    at_once = _at_once(model, TEXTS_IN_A_PASS)
    for texts, names, start in ((queries, OF_QUERIES, 0), (documents, OF_DOCUMENTS, len(queries))):
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        for at in range(0, len(order), at_once):
            chosen = order[at : at + at_once]
            features = model.preprocess(
                [texts[place] for place in chosen], prompt=prompt_of(model, names)
            )
            features = {
                key: value.to(model.device) if isinstance(value, torch.Tensor) else value
                for key, value in features.items()
            }
            with quick(model):
                parts.append(model(features)["sentence_embedding"].float())
            places += [start + place for place in chosen]
    vectors = torch.nn.functional.normalize(torch.cat(parts), dim=1)
    return vectors[torch.from_numpy(np.argsort(places)).to(vectors.device)]


def _at_once(model: SentenceTransformer, on_a_cpu: int) -> int:
    return on_a_cpu if model.device.type == "cpu" else ON_A_GPU


def prompt_of(model: SentenceTransformer, names: Sequence[str]) -> str | None:
    """Return the prompt that the model's own files give for queries or for documents."""
    return next((model.prompts[name] for name in names if model.prompts.get(name)), None)


def quick(model: SentenceTransformer) -> AbstractContextManager[object]:
    """Compute in bfloat16 where the hardware does; the weights stay in float32."""
    import torch

    device = model.device.type
    return torch.autocast(device, torch.bfloat16, enabled=computes_in_bf16(device))


def encode(model: SentenceTransformer, texts: Sequence[str], names: Sequence[str]) -> Vectors:
    """Return unit vectors, shape (texts, dimension).

    Args:
        model: the student.
        texts: queries or documents; equal ones are encoded once.
        names: of the prompt, `OF_QUERIES` or `OF_DOCUMENTS`.
    """
    different = dict.fromkeys(texts)
    rows = dict(zip(different, range(len(different)), strict=True))
    with quick(model):
        vectors = model.encode(
            list(different),
            prompt=prompt_of(model, names),
            batch_size=_at_once(model, TEXTS_AT_ONCE),
            show_progress_bar=False,
            normalize_embeddings=True,
            convert_to_numpy=True,
        )
    return np.asarray(vectors, dtype=np.float32)[[rows[text] for text in texts]]
