"""Check by its files that a model can be used, before loading weights or reading texts."""

from __future__ import annotations

from pathlib import Path

from hnmine.encode.address import is_served, split_address, use_of_served
from hnmine.encode.limits import limit_for
from hnmine.encode.locate import find_model
from hnmine.encode.roles import Found, Role, Use, what_is
from hnmine.errors import MissingModel, UsageError
from hnmine.runner.incidents import note_once

TAKEN_BY: dict[Use, str] = {
    "encoder": "--encoder (or as a judge with --judge)",
    "cross-encoder": "--cross-encoder or --judge",
}

ELSEWHERE = "Rank with it elsewhere, and pass the ranking to `hnmine mine --from-run`."
ADVICE: dict[Role, str] = {
    "late-interaction model": f"hnmine compares one vector for each text. {ELSEWHERE}",
    "sparse encoder": f"hnmine compares dense vectors. {ELSEWHERE}",
    "adapter": "Merge it into its base model (peft: merge_and_unload, then save_pretrained), and "
    "pass the folder of the merged model. If this folder's own weights are the merged ones, remove "
    "adapter_config.json.",
    "text generator": "For a reranker, state which tokens mean relevant and irrelevant, and its "
    "prompt: save it with sentence-transformers as a CrossEncoder of the modules Transformer "
    "(transformer_task='text-generation') and LogitScore, with the prompt of its model card.",
    "model of another kind": "Name a bi-encoder (--encoder) or a cross-encoder (--cross-encoder).",
}


def use_of(model: str) -> Use:
    """Return how a model can be used.

    Raises:
        MissingModel: it is missing, damaged, or hnmine cannot use it.
    """
    if is_served(model):
        return use_of_served(model)
    use = admit(model, find_model(model)).use
    assert use
    return use


def check(model: str, wanted: Use, max_length: int | None) -> None:
    """Check that a model can be used as wanted, and takes texts of a length.

    Raises:
        MissingModel: it is missing, damaged, or hnmine cannot use it.
        UsageError: it is for another use, or has fewer positions.
    """
    if is_served(model):
        split_address(model, wanted)
        return
    folder = find_model(model)
    admit(model, folder, wanted)
    limit_for(model, folder, max_length)


def refuse_for_server(model: str, max_length: int | None, pooling: str | None) -> None:
    """Refuse settings of an encoder that its server decides.

    Raises:
        UsageError: the encoder is on a server, and one is given.
    """
    if flags := _for_server(model, max_length, pooling):
        raise UsageError(
            f"{flags} does not apply to {model}.",
            why="The server decides how it runs the model.",
            fix=f"Leave {flags} out, and set it where the server is started.",
        )


def note_for_server(model: str, max_length: int | None, pooling: str | None) -> None:
    """Note which settings of other models do not apply to one on a server."""
    if flags := _for_server(model, max_length, pooling):
        note_once(f"{model} is used without {flags}: its server decides that.")


def _for_server(model: str, max_length: int | None, pooling: str | None) -> str:
    given = {"--max-length": max_length, "--pooling": pooling}
    flags = [flag for flag, value in given.items() if value]
    return " and ".join(flags) if is_served(model) else ""


def admit(model: str, folder: Path, wanted: Use | None = None) -> Found:
    """Return what a model is, after checking that it can be used as wanted.

    Raises:
        MissingModel: it is damaged, or hnmine cannot use it.
        UsageError: it is for another use.
    """
    found = what_is(folder)
    if found.fault:
        raise MissingModel(
            f"The {found.role} {model} cannot be used: {found.fault}",
            why=found.why,
            fix="Name another model.",
        )
    if found.use is None:
        raise MissingModel(
            f"The model {model} cannot be used: it is {found.a_role}.",
            why=found.why,
            fix=ADVICE[found.role],
        )
    if wanted and found.use != wanted:
        lacking = {
            "cross-encoder": "A cross-encoder has a classification head, which gives a score for "
            "a pair of texts.",
            "encoder": "An encoder gives a vector for each text.",
        }
        wants = "an encoder" if wanted == "encoder" else "a cross-encoder"
        raise UsageError(
            f"The model {model} is {found.a_role}, and {wants} is needed here.",
            why=f"{found.why} {lacking[wanted]}",
            fix=f"Pass it as {TAKEN_BY[found.use]}, and another model here.",
        )
    return found
