from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache

import pytest
import typer
from conftest import hnmine, write

from hnmine import __version__
from hnmine.cli import app
from hnmine.commands import COMMANDS
from hnmine.config.output import OutputSettings
from hnmine.config.setting import GROUPS, about
from hnmine.config.shared import CommonSettings

HEAVY = ("numpy", "pyarrow", "torch", "faiss", "numba", "sentence_transformers")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["filter", "--help"], ["filter", "--help-all"], ["--version"]]
)
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


def test_windows_is_refused_in_a_sentence():
    script = "import sys; sys.platform = 'win32'; import hnmine"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: hnmine runs on Linux and macOS")


def test_version():
    assert hnmine("--version").stdout.strip() == __version__


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_and_every_setting_has_a_flag_with_help(command):
    text = " ".join(page(command, "--help", columns="100").split())
    assert f"Example: hnmine {command} " in text
    registered = typer.main.get_command(app).commands[command]
    flags = {flag for option in registered.params for flag in option.opts}
    for name, field in COMMANDS[command].settings.model_fields.items():
        assert field.description, name
        assert f"--{name.replace('_', '-')}" in flags


def test_shared_settings_are_the_same_everywhere():
    for name, field in CommonSettings.model_fields.items():
        for command in COMMANDS.values():
            if issubclass(command.settings, CommonSettings):
                assert command.settings.model_fields[name].description == field.description


SCALE_OUT = OutputSettings.model_fields.keys() - CommonSettings.model_fields - {"overwrite"}


def test_no_command_has_flags_without_effect():
    for name in ("init", "validate", "models"):
        assert not SCALE_OUT & COMMANDS[name].settings.model_fields.keys()
    for name in ("init", "models"):
        assert not CommonSettings.model_fields.keys() & COMMANDS[name].settings.model_fields.keys()
    done = hnmine("init", "c.parquet", "--workers", "2")
    assert (done.returncode, "No such option" in done.stderr) == (2, True)


@cache
def page(command, *flags, columns="80"):
    done = hnmine(command, *flags, env={"COLUMNS": columns, "PATH": ""})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def flags_shown(page):
    return {
        flag.replace("[no-]", "") for flag in re.findall(r"^  (?:[A-Z]+, )?(--\S+)", page, re.M)
    }


class TestHelpPages:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_the_first_page_shows_the_common_settings_in_groups_and_the_other_page_all(
        self, command
    ):
        first, everything = page(command, "--help"), page(command, "--help-all")
        fields = COMMANDS[command].settings.model_fields
        arguments = COMMANDS[command].arguments
        common = {name for name, field in fields.items() if about(field).common}
        flags = {f"--{name.replace('_', '-')}" for name in common - set(arguments)}
        of_all = {"--help-all"} | ({"--dry-run"} if "--dry-run" in first else set())
        of_all |= {"--config"} if COMMANDS[command].takes_config else set()
        of_all |= {"--recipe"} if COMMANDS[command].takes_recipe else set()
        assert flags_shown(first) == flags | of_all
        assert all(re.search(rf"^  {name.upper()} ", first, re.M) for name in arguments)
        every = {f"--{name.replace('_', '-')}" for name in fields}
        assert every | {"--json", "--debug"} <= flags_shown(everything)
        for text in (first, everything):
            heads = re.findall(r"^(\S.*):$", text, re.M)
            groups = [group for group in GROUPS if group in heads]
            assert heads == [*groups, *COMMANDS[command].listed]
            assert "Inputs" in heads or command in ("models", "skill")
            assert max(map(len, text.splitlines())) <= 120

    @pytest.mark.parametrize("command", COMMANDS)
    def test_the_first_page_fits_on_about_a_screen(self, command):
        lines = page(command, "--help", columns="100").splitlines()
        assert len(lines) <= 44, len(lines)

    def test_it_is_plain_text_as_wide_as_the_terminal(self):
        narrow, wide = (page("filter", "--help", columns=columns) for columns in ("60", "110"))
        options = narrow.partition("Inputs:")[2]
        assert max(map(len, options.splitlines())) <= 60
        assert len(wide.splitlines()) < len(narrow.splitlines())
        assert "\x1b" not in wide and "╭" not in wide


class TestArguments:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_takes_its_directory_without_a_flag(self, command):
        found = COMMANDS[command]
        assert found.arguments or found.takes_paths

    @pytest.mark.parametrize(
        ("line", "flag", "same"),
        [
            (["report", "{m}"], "--mined", "{m}"),
            (["judge", "{m}"], "--target", "{m}"),
            (["build-index", "{m}"], "--index", "{m}"),
            pytest.param(["models", "{m}"], "--folder", "{m}", marks=pytest.mark.slow),
        ],
    )
    def test_an_argument_and_its_flag_must_agree(self, tmp_path, line, flag, same):
        line = [word.format(m=tmp_path) for word in line]
        done = hnmine(*line, flag, "other")
        assert done.returncode == 2
        assert f"and {flag} differ" in done.stderr
        agree = hnmine(*line, flag, same.format(m=tmp_path))
        assert "differ" not in agree.stderr

    def test_both_ways_mean_the_same(self, tmp_path):
        corpus = write(tmp_path / "c.parquet", id=["a"], text=["b"])
        common = ["--no-dense", "--corpus", corpus]
        assert hnmine("build-index", tmp_path / "i", *common).returncode == 0
        again = hnmine("build-index", "--index", tmp_path / "i", *common)
        assert again.returncode == 0, again.stderr

    def test_a_missing_directory_is_named(self):
        done = hnmine("export", "--to", "trec", "--output", "o")
        assert done.returncode == 2
        assert done.stderr.startswith("error: Missing required option --mined.\n")


class TestOlderNames:
    @pytest.mark.slow  # They import PyTorch.
    def test_models_is_validate_with_models(self, tmp_path):
        older = hnmine("models", tmp_path)
        newer = hnmine("validate", "--models", tmp_path)
        assert (older.returncode, newer.returncode) == (0, 0)
        assert older.stdout == newer.stdout
        assert older.stderr.splitlines() == [
            "`hnmine models` is now `hnmine validate --models`; "
            "the next release drops the old name."
        ]
        assert newer.stderr == ""
        config = tmp_path / "c.yaml"
        config.write_text(f"models: {{folder: {tmp_path / 'no'}}}\n")
        assert "There is no folder" in hnmine("models", "--config", config).stderr
        assert hnmine("validate", "--models", "--config", config).returncode == 0

    def test_they_are_left_out_of_the_list_of_commands(self):
        listed = page("--help").partition("Start:")[2]
        for name, command in COMMANDS.items():
            assert (f"\n  {name} " in listed) == (not command.successor)


def test_a_wrong_flag_is_a_usage_error():
    done = hnmine("mine", "--top-z", "5")
    assert done.returncode == 2
    assert "--top-k" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["build-index", "--index", "i", "--no-dense", "--corpus", "no.parquet"], 3, "No data"),
        (["build-index", "--index", "i"], 2, "required option --corpus"),
        (["mine", "--index", "i", "--output", "o", "--pairs", "p"], 3, "There is no directory i."),
        (["filter", "--candidates", "c", "--output", "o"], 3, "There is no directory c."),
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


def test_passages_that_are_added_to_a_corpus_are_counted(tmp_path):
    corpus = write(tmp_path / "c.parquet", id=["a", "b"], text=["one", "two"])
    for name, positives, added in (
        ("some", ["one", "four", "four", "five"], 2),
        ("no", ["two"], 0),
    ):
        pairs = write(
            tmp_path / f"{name}.parquet",
            query=[f"query {n}" for n in range(len(positives))],
            positive=positives,
        )
        command = ("build-index", "--no-dense", "--corpus", corpus, "--pairs", pairs)
        said = hnmine(*command, "--index", tmp_path / name).stdout
        assert f"{2 + added} documents" in said
        assert ("added: 2 of the passages in pairs" in said) == bool(added)
    alone = hnmine("build-index", "--no-dense", "--pairs", pairs, "--index", tmp_path / "alone")
    assert "added:" not in alone.stdout


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


@pytest.mark.parametrize("name", ["run", "filter", "export", "judge"])
@pytest.mark.parametrize("width", [60, 100])
def test_help_fits_the_terminal_and_breaks_no_word(name, width):
    page = hnmine(name, "--help-all", env={**os.environ, "COLUMNS": str(width)}).stdout
    for line in page.splitlines():
        # Commands to copy and lists of values are on one line.
        assert len(line) <= width or line.startswith(("  Example:", "  Acceptance set:", "  --")), (
            line
        )
        assert not re.search(r"\w-$", line), line
