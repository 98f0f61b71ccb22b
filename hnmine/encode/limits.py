"""The length limit of a model by its files, at most its number of positions."""

from __future__ import annotations

from pathlib import Path

from hnmine.encode.locate import is_onnx, modules_of, read_json
from hnmine.errors import UsageError

NO_LIMIT = 1 << 24
"""Tokenisers without a limit record an absurdly large one."""

UNKNOWN_GRAPH = 512
"""Positions of an ONNX graph without a configuration: nearly all are BERTs."""

OFFSET = {
    "camembert", "data2vec-text", "ibert", "layoutlmv3", "lilt", "longformer", "luke", "markuplm",
    "mluke", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
}  # fmt: skip
"""Model types that count positions from the padding token's number + 1."""

RELATIVE = {"t5", "mt5", "umt5", "longt5", "bloom", "mpt", "xlnet", "transfo-xl", "funnel"}
"""Model types without a limit of positions, whatever their configuration says."""

POSITIONS = ("max_position_embeddings", "n_positions", "max_positions", "n_ctx")


def transformer_folder(folder: Path) -> Path:
    """Return the folder of the transformer's files; older models have one inside their own."""
    for module in modules_of(folder):
        if module.get("type", "").endswith("Transformer"):
            return folder / module.get("path", "")
    return folder


def output_of(folder: Path) -> str:
    """Return the output of its transformer that a model's first module uses."""
    about = read_json(transformer_folder(folder), "sentence_bert_config.json")
    kinds = about.get("modality_config")
    text = kinds.get("text") if isinstance(kinds, dict) else None
    named = text.get("method_output_name") if isinstance(text, dict) else None
    return str(named or "last_hidden_state")


def positions_of(folder: Path) -> int | None:
    """Return the number of positions of a model; None for one without a limit."""
    config = read_json(transformer_folder(folder), "config.json")
    kind = config.get("model_type")
    inner = config.get("text_config")
    config = inner if isinstance(inner, dict) and POSITIONS[0] not in config else config
    if kind in RELATIVE:
        return None
    found = next((n for name in POSITIONS if (n := _count(config.get(name)))), None)
    if found is None or kind not in OFFSET:
        return found
    # MPNet pads with 1, whatever its configuration says.
    padding = 1 if kind == "mpnet" else config.get("pad_token_id", 1)
    return found - (padding if isinstance(padding, int) else 1) - 1


def own_limit(folder: Path) -> int | None:
    """Return the limit of tokens in a model's own files; None: no limit."""
    place = transformer_folder(folder)
    own = _count(read_json(place, "sentence_bert_config.json").get("max_seq_length"))
    own = own or _count(read_json(place, "tokenizer_config.json").get("model_max_length"))
    positions = positions_of(folder)
    if is_onnx(folder) and not read_json(place, "config.json"):
        positions = UNKNOWN_GRAPH
    return min((n for n in (own, positions) if n), default=None)


def limit_for(model: str, folder: Path, wanted: int | None) -> int | None:
    """Return the user's limit of tokens, else the model's own.

    Raises:
        UsageError: the model has fewer positions.
    """
    if wanted is None:
        return own_limit(folder)
    positions = positions_of(folder)
    if positions is not None and wanted > positions:
        raise UsageError(
            f"--max-length {wanted}: the model {model} has {positions} positions.",
            why="Most models fail on a longer text.",
            fix=f"Pass at most --max-length {positions}, or name a model for longer texts.",
        )
    return wanted


def _count(value: object) -> int | None:
    """Return a number of tokens from a configuration; None where it means no limit."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 < value < NO_LIMIT else None
