from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer
from conftest import hnmine, write

from hnmine import __version__
from hnmine.cli import app
from hnmine.commands import COMMANDS
from hnmine.config import Settings

DIRECTORIES = ("mined", "before", "after")
"""Settings that are arguments where they are what a command is about."""

HEAVY = ("numpy", "pyarrow", "torch", "faiss", "numba", "sentence_transformers")


@pytest.mark.parametrize("arguments", [["--help"], ["filter", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    script = (
        "import sys\nfrom hnmine.cli import app\n"
        f"sys.argv = ['hnmine', *{arguments!r}]\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_version():
    assert hnmine("--version").stdout.strip() == __version__


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_and_every_setting_has_a_flag_with_help(command):
    text = " ".join(hnmine(command, "--help", env={"COLUMNS": "200", "PATH": ""}).stdout.split())
    assert f"Example: hnmine {command} " in text
    registered = typer.main.get_command(app).commands[command]
    flags = {flag for option in registered.params for flag in option.opts}
    flags |= {f"--{option.name}" for option in registered.params if option.name in DIRECTORIES}
    for name, field in COMMANDS[command].settings.model_fields.items():
        assert field.description, name
        assert f"--{name.replace('_', '-')}" in flags


def test_shared_settings_are_the_same_everywhere():
    for name, field in Settings.model_fields.items():
        for command in COMMANDS.values():
            assert command.settings.model_fields[name].description == field.description


def test_a_wrong_flag_is_a_usage_error():
    done = hnmine("mine", "--top-z", "5")
    assert done.returncode == 2
    assert "--top-k" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["build-index", "--index", "i", "--no-dense", "--corpus", "no.parquet"], 3, "No data"),
        (["build-index", "--index", "i"], 2, "corpus: give --corpus"),
        (["mine", "--index", "i", "--output", "o", "--pairs", "p"], 3, "not a finished index"),
        (["filter", "--candidates", "c", "--output", "o"], 3, "not a finished candidates"),
        (["run", "--config", "no.yaml"], 2, "Cannot read no.yaml"),
        (
            ["build-index", "--index", "i", "--corpus", "c.parquet", "--encoder", "pkg:nothing/x"],
            5,
            "pip install nothing",
        ),
    ],
)
def test_errors_say_what_and_how_to_fix_it_in_one_screen(tmp_path, arguments, code, message):
    write(tmp_path / "c.parquet", id=["a"], text=["b"])
    done = hnmine(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) < 12
    assert done.stdout == ""
    if "--debug" not in arguments:
        debug = hnmine(*arguments, "--debug", cwd=tmp_path)
        assert debug.returncode == code
        assert "Traceback" in debug.stderr


def test_a_wrong_column_lists_those_that_are_there(tmp_path):
    corpus = write(tmp_path / "c.parquet", id=["a"], body=["b"], title=["t"])
    arguments = ["build-index", "--no-dense", "--corpus", corpus, "--index", tmp_path / "i"]
    done = hnmine(*arguments)
    assert done.returncode == 3
    assert "id, body, title" in done.stderr
    assert hnmine(*arguments, "--column", "corpus.text=body").returncode == 0


def test_json_is_the_only_thing_on_stdout(tmp_path):
    corpus = write(tmp_path / "c.parquet", id=["a"], text=["b"])
    done = hnmine(
        "build-index", "--no-dense", "--corpus", corpus, "--index", tmp_path / "i", "--json"
    )
    result = json.loads(done.stdout)
    assert result["path"] == str(tmp_path / "i")
    assert result["counts"]["documents_rows"] == 1
    assert done.stderr == ""


def test_a_directory_that_may_not_be_written_to_is_a_clean_error(tmp_path):
    corpus = write(tmp_path / "c.parquet", id=["a"], text=["b"])
    (tmp_path / "file").write_text("")
    done = hnmine(
        "build-index", "--no-dense", "--corpus", corpus, "--index", tmp_path / "file" / "i"
    )
    assert done.returncode == 4
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_read_enough_is_no_error(tmp_path):
    corpus = write(tmp_path / "c.parquet", id=["a"], text=["b"])
    command = [sys.executable, "-m", "hnmine", "build-index", "--no-dense", "--corpus", str(corpus)]
    process = subprocess.Popen(
        [*command, "--index", str(tmp_path / "i")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0
    assert (tmp_path / "i" / "manifest.json").exists()
