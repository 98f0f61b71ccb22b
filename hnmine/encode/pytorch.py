"""Encoders and cross-encoders run by sentence-transformers on PyTorch."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hnmine.config import Dtype
from hnmine.encode.batching import TokenCounter, batches
from hnmine.encode.cut import cutter_of, lead_of
from hnmine.encode.declared import OF_DOCUMENTS, OF_QUERIES
from hnmine.encode.interface import Kind, Tick, as_compared, logits
from hnmine.encode.limits import output_of, own_limit
from hnmine.encode.spec import ModelSpec
from hnmine.errors import HnmineError, MissingModel, first_line, is_out_of_memory
from hnmine.ragged import Ints
from hnmine.runner import incidents
from hnmine.runner.checkpoints import computed, key_of

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

POOLED = "pooler_output"
SHOWN = 3
_one_at_a_time = Lock()
NO_LIMIT = 1 << 20
"""The length limit of a model without one."""

SPECIAL_TOKENS = 3
"""Most models put 2 around a text and 3 around a pair; some have none."""

Run = Callable[[Ints], NDArray[np.floating]]
"""Computes the vectors or logits of texts, given by position."""


def _quiet_torch(spec: ModelSpec) -> ModuleType:
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


def _how(torch: ModuleType, spec: ModelSpec) -> dict[str, object]:
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


class _Workers:
    """Runs batches: on a CPU one on each thread, on a GPU one after the other."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads if spec.device == "cpu" else 1)
        self._warming, self._warm = Lock(), False

    def run(
        self,
        run: Run,
        batches: Sequence[Ints],
        texts: Callable[[int], Iterable[str]],
        tick: Tick,
    ) -> list[NDArray[np.float32]]:
        """Return the result of each batch, in order; stored results are reused.

        `batches` are positions of texts, and `texts` returns what the result of one depends on.
        """

        def work(batch: Ints) -> bytes:
            found = np.asarray(self._first_alone(run, batch), dtype=np.float32)
            return np.ascontiguousarray(found).tobytes()

        def key(batch: Ints) -> bytes:
            return key_of(text for place in batch for text in texts(int(place)))

        found = computed(self._pool, work, batches, key, len, tick)
        results = [np.frombuffer(result, np.float32) for result in found]
        return [
            result.reshape(len(batch), -1) for batch, result in zip(batches, results, strict=True)
        ]

    def _first_alone(self, run: Run, batch: Ints) -> NDArray[np.floating]:
        """Run a batch; the first one sets the tokeniser up while the others wait."""
        if not self._warm:
            with self._warming:
                # Threads that waited here run together.
                if not self._warm:
                    found = halved_where_memory_is_short(run, batch)
                    self._warm = True
                    return found
        return halved_where_memory_is_short(run, batch)


def halved_where_memory_is_short(run: Run, batch: Ints) -> NDArray[np.floating]:
    """Run a batch; if memory does not suffice, run its halves one after the other.

    Raises:
        Exception: what `run` raises for a single text.
    """
    try:
        return run(batch)
    except Exception as error:
        if len(batch) == 1 or not is_out_of_memory(error):
            raise
    # Only here has Python released the memory of the failed pass.
    incidents.note(f"A batch of {len(batch)} texts took too much memory, and was halved.")
    middle = len(batch) // 2
    parts = [halved_where_memory_is_short(run, half) for half in (batch[:middle], batch[middle:])]
    return np.concatenate(parts)


class _TorchModel:
    model: CrossEncoder | SentenceTransformer

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        self.spec, self._workers = spec, _Workers(spec, threads)

    def _prepare_tokenizer(self) -> None:
        let_it_pad(self.spec.model, self.model.tokenizer, self.model.transformers_model)
        self._counter = TokenCounter(self.model.tokenizer)
        self._cutter = cutter_of(self.model)


class TorchEncoder(_TorchModel):
    """A bi-encoder run by sentence-transformers on PyTorch."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        torch = _quiet_torch(spec)
        from sentence_transformers import SentenceTransformer

        super().__init__(spec, threads)
        with _loading(spec.model, output_of(spec.folder()) == POOLED):
            self.model = SentenceTransformer(**_how(torch, spec))
        if limit := _own_or_wanted(spec):
            self.model.max_seq_length = limit
        self._prepare_tokenizer()

    @property
    def pooling(self) -> str | None:
        """How token vectors become one; None where no module of the model says so."""
        modes = [module.pooling_mode for module in self.model if hasattr(module, "pooling_mode")]
        return "+".join([modes[0]] if isinstance(modes[0], str) else modes[0]) if modes else None

    def encode(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        """Return vectors to compare, shape (texts, dimension)."""
        encode = self.model.encode_query if kind == "query" else self.model.encode_document
        prompt = self.spec.query_prompt if kind == "query" else self.spec.document_prompt
        limit = _limit(self.model.max_seq_length)
        names = OF_QUERIES if kind == "query" else OF_DOCUMENTS
        lead = lead_of(self.model, prompt, names)
        texts = [self._cutter.cut(text, limit, lead) for text in texts]

        def run(batch: Ints) -> NDArray[np.floating]:
            vectors: NDArray[np.floating] = encode(
                [texts[row] for row in batch],
                prompt=prompt,
                truncate_dim=self.spec.truncate_dim,
                batch_size=len(batch),
                convert_to_numpy=True,
                show_progress_bar=False,
            )
            return vectors

        tokens = np.minimum(self._counter.count(texts, limit) + SPECIAL_TOKENS, limit)
        groups = batches(tokens, self.spec.batch_tokens or 1)
        parts = self._workers.run(
            run, groups, lambda place: (kind, texts[place]), lambda done: None
        )
        sorted_vectors = np.concatenate(parts)
        vectors = np.empty(sorted_vectors.shape, dtype=np.float32)
        vectors[np.concatenate(groups)] = sorted_vectors
        return as_compared(vectors, self.spec)


class TorchCrossEncoder(_TorchModel):
    """A cross-encoder run by sentence-transformers on PyTorch."""

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        torch = _quiet_torch(spec)
        from sentence_transformers import CrossEncoder as Model

        super().__init__(spec, threads)
        self.identity = torch.nn.Identity()
        limit = _own_or_wanted(spec)
        with _loading(spec.model):
            # With an activation given, the model's own is never imported.
            self.model = Model(**_how(torch, spec), max_length=limit, activation_fn=self.identity)
        self._prepare_tokenizer()

    def score(
        self, queries: Sequence[str], documents: Sequence[str], tick: Tick
    ) -> NDArray[np.float32]:
        """Return one raw logit for each pair, no activation applied, shape (pairs,)."""
        limit = _limit(self.model.max_length)
        pairs = self._cutter.pairs(queries, documents, limit, lead_of(self.model, None))
        queries, documents = [query for query, _ in pairs], [text for _, text in pairs]
        different = list(dict.fromkeys([*queries, *documents]))
        counts = self._counter.count(different, limit).tolist()
        of_text = dict(zip(different, counts, strict=True))
        both = np.array([of_text[query] + of_text[text] for query, text in pairs], dtype=np.int64)

        def run(batch: Ints) -> NDArray[np.float32]:
            outputs = self.model.predict(
                [(queries[pair], documents[pair]) for pair in batch],
                batch_size=len(batch),
                activation_fn=self.identity,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
            return logits(outputs, self.spec.model)

        scores = np.empty(len(queries), dtype=np.float32)
        tokens = np.minimum(both + SPECIAL_TOKENS, limit)
        groups = batches(tokens, self.spec.batch_tokens or 1)
        parts = self._workers.run(
            run, groups, lambda place: (queries[place], documents[place]), tick
        )
        for batch, part in zip(groups, parts, strict=True):
            scores[batch] = part[:, 0]
        return scores


@contextmanager
def _loading(model: str, pools: bool = False) -> Iterator[None]:
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


def _own_or_wanted(spec: ModelSpec) -> int | None:
    """Return the tokens after which texts are cut; None: never."""
    return spec.max_length or own_limit(spec.folder())


def _limit(tokens: float | None) -> int:
    """Return the length limit of a model, which may be missing or infinite."""
    return int(min(tokens or NO_LIMIT, NO_LIMIT))
