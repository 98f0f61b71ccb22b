"""The manners of the command line: help, completion, terminals, and commands to begin with."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import typer
import yaml
from conftest import CROSS_ENCODER, ENCODER, ONNX_ENCODER, ROOT, hnmine, new_hnmine, write
from safetensors.numpy import save_file
from terminal import on_a_terminal
from words import odd_words, odd_words_of

from hnmine.cli import app
from hnmine.cli.failures import errors_explained
from hnmine.commands import COMMANDS
from hnmine.commands import configuration as configfile

NAMES = list(COMMANDS)


def commands():
    return typer.main.get_command(app).commands


@pytest.mark.parametrize("name", NAMES)
def test_every_flag_says_its_default_or_that_it_is_required(name):
    for parameter in commands()[name].params:
        if parameter.name == "paths":
            continue
        assert "[default: " in parameter.help or "[required]" in parameter.help, parameter.name


def test_help_as_a_whole_has_an_example_and_names_every_command_with_what_it_does():
    text = " ".join(hnmine("--help", env={"COLUMNS": "80", "PATH": ""}).stdout.split())
    assert "Example: hnmine run " in text
    assert "..." not in text.partition("Start:")[2]
    for name, command in commands().items():
        if not command.hidden:
            assert f" {name} {command.short_help}" in text


WHOLE = re.compile(r"[A-Z](?:[^ ]+ ){2,}.*\.(?: \[(?:default: .+|required)\])?", re.DOTALL)


@pytest.mark.parametrize("name", NAMES)
def test_every_help_text_is_a_whole_phrase_of_plain_words(name):
    texts = {option.name: option.help for option in commands()[name].params}
    texts["summary"] = commands()[name].short_help
    for option, text in texts.items():
        assert WHOLE.fullmatch(text), f"{option}: {text}"
        phrase = text.partition(" [default: ")[0].removesuffix(" May be repeated.")
        assert len(phrase.split()) <= 25, f"{option}: {text}"
        assert not odd_words(text), f"{option}: {text}"


def test_messages_docstrings_and_comments_hold_no_odd_words():
    assert not odd_words_of(*sorted((ROOT / "hnmine").rglob("*.py")))
    assert odd_words("Mend that, then go on\nwith it.") == ["Mend", "go on with"]


def test_errors_of_the_system_end_with_a_fix(tmp_path):
    (tmp_path / "file").write_text("")
    corpus = write(tmp_path / "c.parquet", id=["a"], text=["b"])
    done = hnmine("build-index", tmp_path / "file" / "i", "--no-dense", "--corpus", corpus)
    assert done.returncode == 4
    assert done.stderr.endswith("\nFix this and rerun; finished work is kept.\n")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_what_must_not_be_written_is_named_without_numbers(number, capsys):
    with pytest.raises(typer.Exit) as stop, errors_explained(debug=False):
        raise OSError(number, os.strerror(number), "/data/runs")
    assert stop.value.exit_code == 4
    _, why, fix = capsys.readouterr().err.splitlines()
    assert why == f"/data/runs: {os.strerror(number)}."
    assert fix.startswith("Choose another path, or change its permissions")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["fliter"], "Did you mean filter?"),
        (["filter", "--marign", "3"], "Did you mean --margin?"),
        (["audit", "--mined", "m", "--sampel", "3"], "Did you mean --sample?"),
        (["filter", "--margin", "a"], "'--margin': Input should be a valid number."),
        (["filter", "--margin"], "'--margin' requires an argument."),
        (["--hepl"], "Did you mean --help?"),
    ],
)
def test_what_is_misspelt_is_suggested(arguments, hint):
    done = hnmine(*arguments)
    assert done.returncode == 2
    what, fix = done.stderr.splitlines()
    assert what.startswith("error: ") and what.endswith(hint)
    assert fix.startswith("`hnmine ") and "--help" in fix


def test_a_misspelt_column_is_suggested(tmp_path):
    write(tmp_path / "c.parquet", id=["a"], boddy=["b"])
    done = hnmine(
        "init", tmp_path / "c.parquet", "--column", "corpus.text=body", "--file", tmp_path / "f"
    )
    assert done.returncode == 3
    assert "id, boddy" in done.stderr
    assert "corpus.text=boddy" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_flags(shell):
    def completed(words):
        if shell == "bash":
            more = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        else:
            more = {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        environment = {**os.environ, "_HNMINE_COMPLETE": f"complete_{shell}", **more}
        script = "from hnmine.cli import app; app(prog_name='hnmine')"
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True
        )
        return done.stdout

    assert "review" in completed("hnmine re")
    assert "--margin" in completed("hnmine filter --marg")


def with_progress(*arguments, **environment):
    """Run the command line with a terminal as standard error; return what each got."""
    whole = {**os.environ, **environment}
    return on_a_terminal(*arguments, columns=100, environment=whole, piped=True)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    words = ["oak", "fox", "tin", "rye"]
    texts = [f"{word} number {n}" for word in words for n in range(50)]
    folder = tmp_path_factory.mktemp("corpus")
    return write(folder / "c.parquet", id=[f"d{n}" for n in range(len(texts))], text=texts)


def test_a_terminal_sees_the_stage_the_rate_and_the_time_left_and_at_last_what_it_took(
    corpus, tmp_path
):
    arguments = ["build-index", "--no-dense", "--corpus", corpus, "--index", tmp_path / "i"]
    out, said = with_progress(*arguments, "--json")
    assert json.loads(out)["counts"]["documents_rows"] == 200
    assert "index: " in said
    assert "rows/s]" in said
    assert "<" in said  # tqdm: elapsed<remaining
    last = said.strip().splitlines()[-1]
    assert last.startswith(tuple("0123456789"))
    assert last.endswith(" GB of memory")
    run = json.loads((tmp_path / "i" / "run.json").read_text())
    assert run["seconds"] > 0
    assert float(last.split()[-4]) >= round(run["peak_memory_bytes"] / 1e9, 2)
    out, said = with_progress(*arguments, "--no-progress")
    assert said == ""


@pytest.fixture(scope="module")
def mined(tmp_path_factory, corpus):
    root = tmp_path_factory.mktemp("manners")
    queries = [f"which {word} number" for word in ("oak", "fox", "tin")]
    pairs = write(root / "p.parquet", query=queries, positive=["oak number 0", "fox number 1", "z"])
    run = ["--corpus", corpus, "--pairs", pairs, "--no-dense", "--output", root, "--top-k", "9"]
    done = hnmine("run", *run)
    assert done.returncode == 0, done.stderr
    return root / "mined"


def test_colours_are_for_terminals_that_want_them(mined):
    def shown(**environment):
        base = {name: os.environ[name] for name in os.environ if name != "NO_COLOR"}
        given = {**base, "TERM": "xterm-256color", **environment}
        return on_a_terminal("inspect", mined, columns=80, environment=given)[1]

    blue = "\x1b[1;34m"
    assert blue in shown()
    plain = shown(NO_COLOR="1")
    assert "positive" in plain
    assert not any(f"{code}m" in plain for code in ("34", "33", "32", "35"))
    assert "\x1b" not in hnmine("inspect", mined).stdout


class TestModels:
    def test_models_of_packages_the_cache_and_folders_by_the_name_to_use(self, tmp_path):
        cache = tmp_path / "hub" / "models--me--cached"
        snapshot = cache / "snapshots" / "0123"
        snapshot.mkdir(parents=True)
        (cache / "refs").mkdir()
        (cache / "refs" / "main").write_text("0123")
        config = {"architectures": ["BertForSequenceClassification"], "model_type": "bert"}
        (snapshot / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 77}))
        head = {"classifier.weight": np.zeros((1, 400_000), np.float32)}
        save_file(head, snapshot / "model.safetensors")
        broken = tmp_path / "folder" / "deep" / "broken"
        broken.mkdir(parents=True)
        (broken / "config.json").write_text("{")
        (broken / "model.safetensors").write_bytes(b"x")
        other = tmp_path / "folder" / "other"
        other.mkdir()
        (other / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
        (other / "model-00001-of-00002.safetensors").write_bytes(b"x")
        many = tmp_path / "folder" / "many"
        many.mkdir()
        labels = {"id2label": {"0": "a", "1": "b", "2": "c"}}
        (many / "config.json").write_text(json.dumps(config | labels))
        save_file({"classifier.weight": np.zeros((3, 4), np.float32)}, many / "model.safetensors")
        found = new_hnmine(
            "validate", "--models", tmp_path / "folder", "--json",
            env={**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub")},
        )  # fmt: skip
        assert found.returncode == 0, found.stderr
        result = json.loads(found.stdout)
        models = {model["name"]: model for model in result["models"]}
        assert models[ENCODER]["kind"] == models[ONNX_ENCODER]["kind"] == "bi-encoder"
        assert models[ENCODER]["max_length"] == 256
        assert models[CROSS_ENCODER]["kind"] == models["me/cached"]["kind"] == "cross-encoder"
        assert models[CROSS_ENCODER]["backend"] == "onnx"
        assert models["me/cached"]["max_length"] == 77
        assert models["me/cached"]["size"] > 1_500_000
        assert "is damaged" in models[str(broken)]["note"]
        assert "LlamaForCausalLM" in models[str(other)]["note"]
        assert "3 outputs" in models[str(many)]["note"]
        assert not any(name.endswith("1_Pooling") for name in models)
        assert not any(name.startswith("pkg:onnx/") for name in models)
        machine = result["machine"]
        assert set(machine["devices"]["cpu"]) >= {"fp32"}
        assert machine["backends"].keys() == {"torch", "openvino", "onnx"}

    def test_a_table_for_people_and_an_error_for_a_folder_that_is_not_there(self, tmp_path):
        done = hnmine("validate", "--models")
        assert f"  {CROSS_ENCODER} " in done.stdout
        assert "back ends\n" in done.stdout
        done = hnmine("validate", "--models", tmp_path / "no")
        assert done.returncode == 3
        assert "There is no folder" in done.stderr


class TestInit:
    def test_the_file_runs_as_it_is(self, corpus, tmp_path):
        pairs = write(tmp_path / "p: #1.parquet", query=["which oak"], positive=["oak number 0"])
        done = hnmine(
            "init", corpus, pairs, "--file", tmp_path / "x.yaml", "--output", tmp_path / "run",
            "--encoder", ENCODER, "--cross-encoder", CROSS_ENCODER,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "200 rows, id=id, text=text" in done.stdout
        file = configfile.read_yaml(tmp_path / "x.yaml")
        assert file["pairs"] == str(pairs)
        index, mine, filter_ = configfile.pipeline(file, {}).stages
        assert (index.encoder, filter_.cross_encoder) == (ENCODER, CROSS_ENCODER)
        assert mine.pairs == str(pairs)
        done = hnmine("run", "--config", tmp_path / "x.yaml", "--no-dense")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "run" / "mined" / "train").is_dir()

    def test_every_line_that_is_commented_out_is_the_default(self, corpus, tmp_path):
        pairs = write(tmp_path / "p.parquet", query=["which oak"], positive=["oak number 0"])
        hnmine("init", corpus, pairs, "--file", tmp_path / "x.yaml")
        text = (tmp_path / "x.yaml").read_text()
        before = [settings.plan() for settings in configfile.pipeline(yaml.safe_load(
            text.replace("mine:\n", "mine: {}\n")), {}).stages]  # fmt: skip
        opened = "\n".join(
            line.replace("# ", "", 1) if line.startswith("  # ") and _is_setting(line) else line
            for line in text.splitlines()
        )
        (tmp_path / "y.yaml").write_text(opened)
        values = {
            key: {k: v for k, v in value.items() if v is not None}
            if isinstance(value, dict)
            else value
            for key, value in configfile.read_yaml(tmp_path / "y.yaml").items()
        }
        assert values["mine"]["top-k"] == 100
        assert [settings.plan() for settings in configfile.pipeline(values, {}).stages] == before

    def test_columns_that_were_named_go_into_the_file(self, tmp_path):
        pairs = write(tmp_path / "p.parquet", frage=["which oak"], antwort=["oak"])
        named = ["--column", "pairs.query=frage", "--column", "pairs.positive=antwort"]
        done = hnmine("init", pairs, *named, "--file", tmp_path / "x.yaml")
        assert done.returncode == 0, done.stderr
        settings = configfile.settings_for("mine", configfile.read_yaml(tmp_path / "x.yaml"), {})
        assert settings.columns("pairs") == {"query": "frage", "positive": "antwort"}

    def test_what_does_not_suffice_is_said_and_no_file_is_lost(self, corpus, tmp_path):
        file = tmp_path / "x.yaml"
        done = hnmine("init", corpus, "--file", file)
        assert done.returncode == 3
        assert "Give pairs (query, positive)" in done.stderr
        assert not file.exists()
        file.write_text("mine")
        pairs = write(tmp_path / "p.parquet", query=["which oak"], positive=["oak"])
        done = hnmine("init", pairs, "--file", file)
        assert done.returncode == 2
        assert "--overwrite" in done.stderr
        assert file.read_text() == "mine"
        assert hnmine("init", pairs, "--file", file, "--overwrite").returncode == 0


def _is_setting(line):
    key = line.removeprefix("  # ").partition(":")[0].replace("-", "_")
    return any(key in command.settings.model_fields for command in COMMANDS.values())


HELP = """
import sys
counted = [0]
def count(*_):
    counted[0] += 1
sys.setprofile(count)
from hnmine.cli import main
try:
    main()
finally:
    sys.setprofile(None)
    print(counted[0], len(sys.modules), file=sys.stderr)
"""


def test_help_takes_little_work():
    """Counted in calls and modules, as a time would depend on the machine and on its other work."""
    command = [sys.executable, "-c", HELP, "filter", "--help"]
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    assert "--margin" in done.stdout
    calls, modules = map(int, done.stderr.split())
    assert calls < 1_000_000  # About 0.3 seconds; 750,000 are the settings and Typer.
    assert modules < 400
