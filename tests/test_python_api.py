"""The Python functions: what editors, `help`, type checkers and prompts show, and errors."""

from __future__ import annotations

import inspect
import json
import pydoc
import runpy
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from conftest import ROOT, hnmine, rows, write

import hnmine as api
from hnmine.commands import COMMANDS
from hnmine.errors import HnmineError, UsageError
from hnmine.python_api import NAMES, keywords
from hnmine.results import SHOWN_LINES, Result, StageResult, shortened

BY_NAME = {function: COMMANDS[name] for name, function in NAMES.items()}


@pytest.fixture(scope="module")
def mined(tmp_path_factory):
    """Results of the three commands on a few words, with markup in names and texts."""
    folder = tmp_path_factory.mktemp("<b>api")
    write(folder / "corpus.parquet", id=list("abcd"), text=["one", "two", "three", "one two"])
    write(folder / "pairs.parquet", query=["which is one?", "two?"], positive=["one", "two"])
    return api.run(
        corpus=folder / "corpus.parquet",
        pairs=str(folder / "pairs.parquet"),
        dense=False,
        num_negatives=1,
        output=folder / "r",
    )


def python(script: str, *options: str, **popen: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, **popen)


class TestFunctions:
    def test_every_command_has_one(self):
        functions = [*NAMES.values(), "mine_hard_negatives"]
        assert sorted(functions) == sorted(api.__all__) == api.__all__
        assert set(dir(api)) == {*api.__all__, "__version__"}

    @pytest.mark.parametrize("name", NAMES.values())
    def test_its_signature_and_help_have_every_setting(self, name):
        function, command = getattr(api, name), BY_NAME[name]
        parameters = inspect.signature(function).parameters
        fields = command.settings.model_fields
        more = {
            *(["config"] if command.takes_config else []),
            *(["recipe"] if command.takes_recipe else []),
            *(["paths"] if command.takes_paths else []),
        }
        assert set(parameters) == {*fields, *more}
        text = " ".join(pydoc.plain(pydoc.render_doc(function)).split())
        assert keywords(command.summary) in text
        for setting, field in fields.items():
            default = parameters[setting].default
            if field.is_required() and name != "run":
                assert default is inspect.Parameter.empty
            else:
                assert default is not inspect.Parameter.empty
            assert f"{setting}: " in text
        assert function.__module__ == "hnmine" and function.__name__ == name

    def test_no_help_names_a_flag(self):
        for name in NAMES.values():
            text = inspect.getdoc(getattr(api, name))
            assert keywords(text) == text

    def test_importing_the_package_imports_nothing(self):
        script = "import sys; import hnmine; print([m for m in sys.modules if m[:7] == 'hnmine.'])"
        assert python(script).stdout.strip() == "[]"
        script = (
            "import sys; import hnmine; help(hnmine.mine); "
            "assert not {'numpy', 'pyarrow', 'torch', 'faiss', 'duckdb'} & set(sys.modules)"
        )
        assert python(script).returncode == 0

    def test_a_folder_of_that_name_does_not_hide_it(self):
        names = ["inspect", "report", "audit", "validate", "review"]
        script = f"""
import hnmine.cli, hnmine.report.reporting, types
for name in {names}:
    __import__(f"hnmine.{{name if name != 'inspect' else 'index'}}")
    found = {{}}
    exec(f"from hnmine import {{name}}", found)
    assert type(found[name]) is type(getattr(hnmine, name)) is types.FunctionType, name
"""
        done = python(script)
        assert done.returncode == 0, done.stderr

    def test_the_old_name_of_filter_works_and_warns(self, mined, tmp_path):
        given = {"candidates": mined[1].path, "output": tmp_path / "m", "num_negatives": 1}
        with pytest.warns(DeprecationWarning, match="filter_negatives") as caught:
            old = api.filter(**given)
        assert caught[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert api.filter_negatives(**given).counts == old.counts
        assert "filter" not in api.__all__

    def test_paths_and_directories_are_arguments(self, mined, tmp_path):
        found = api.report(mined[2].path, html=False)
        assert found.facts
        with pytest.raises(TypeError, match="multiple values for argument 'mined'"):
            api.report(mined[2].path, mined=mined[2].path)
        with pytest.raises(TypeError):
            api.report(mined[2].path, "more")
        corpus = mined[0].path.parent.parent / "corpus.parquet"
        assert "corpus" in api.validate(str(corpus)).inputs

    def test_config_takes_a_file_or_a_mapping_and_recipe_a_name(self, mined, tmp_path):
        given = {"candidates": mined[1].path, "num_negatives": 1}
        rule = {"filter": {"where": ["doc_id = 'c'"]}}
        file = tmp_path / "c.yaml"
        file.write_text(json.dumps(rule))
        for number, config in enumerate((rule, file, str(file))):
            output = tmp_path / str(number)
            api.filter_negatives(config=config, output=output, **given)
            kept = {row["doc_id"] for row in rows(output / "scored") if row["selected"]}
            assert kept <= {"c"}
        with pytest.raises(UsageError, match="Did you mean bge"):
            api.run(recipe="bgee", output=tmp_path / "x")
        with pytest.raises(UsageError, match="Missing required option output"):
            api.run(recipe="bge")


class TestErrors:
    def test_they_name_the_keywords_of_the_caller(self):
        with pytest.raises(UsageError) as error:
            api.filter_negatives(candidates="c", output="o", num_negatives=0, num_negative=3)
        said = str(error.value)
        assert "num_negatives: Input should be greater" in said
        assert "num_negative: no such setting. Did you mean num_negatives?" in said
        assert "See help(hnmine.filter_negatives)." in said
        assert said == "\n".join([error.value.what, error.value.fix])
        with pytest.raises(UsageError, match="lazy: needs cross_encoder, and its logits as score"):
            api.filter_negatives(candidates="c", output="o", lazy=True)

    def test_a_place_of_another_command_is_no_keyword_of_run(self):
        with pytest.raises(UsageError, match="candidates: no such setting"):
            api.run(candidates="i", output="o")

    def test_the_command_line_still_names_flags(self):
        done = hnmine("filter", "--candidates", "c", "--output", "o", "--lazy")
        assert "needs --cross-encoder" in done.stderr

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Pass --num-negatives 3, or --no-dense.", "Pass num_negatives=3, or dense=False."),
            (
                "range-max: must be greater than range-min",
                "range_max: must be greater than range-min",
            ),
            ("Run `hnmine mine --top-k 5`.", "Run `hnmine mine --top-k 5`."),
            ("Fix it:\n  hnmine mine --top-k 5", "Fix it:\n  hnmine mine --top-k 5"),
            ("The file a--margin.txt, or pip install --no-deps", None),
        ],
    )
    def test_keywords_in_a_text(self, text, expected):
        assert keywords(text) == (text if expected is None else expected)

    def test_other_errors_keep_their_kind(self, tmp_path):
        with pytest.raises(HnmineError) as error:
            api.mine(index=tmp_path / "none", pairs="p", output=tmp_path / "o")
        assert error.value.exit_code == 3


class TestResults:
    def test_tables_are_opened_when_they_are_asked_for(self, mined):
        result = mined[2]
        assert result.train.column_names == ["query", "positive", "negative"]
        assert len(result.train) == result.counts["train_rows"] > 0
        assert result.scored.to_pandas()["doc_id"].size == len(rows(result.path / "scored"))
        assert mined.mined is result
        with pytest.raises(UsageError, match="has no train/"):
            _ = mined[1].train

    def test_repr_is_short(self, mined):
        for result in mined:
            assert repr(result).startswith("<StageResult '")
            assert "\n" not in repr(result) and len(repr(result)) < 250
        assert "negatives=" in repr(mined[2])
        assert repr(mined).count("StageResult") == 3

    def test_html_is_escaped(self, mined):
        shown = mined[2]._repr_html_()
        assert "<b>api" not in shown and "&lt;b&gt;api" in shown
        noted = StageResult(Path("<i>x"), {"<u>": 3}, {}, ["<script>"])._repr_html_()
        assert not any(tag in noted for tag in ("<i>", "<u>", "<script>"))

    def test_other_results_show_their_lines_briefly(self, mined, tmp_path):
        copied = shutil.copytree(mined[2].path, tmp_path / "copied")
        for result in (
            api.report(mined[2].path, html=False),
            api.audit(mined=mined[2].path),
            api.compare([mined[2].path, copied]),
            api.inspect(mined[2].path, worst=1),
        ):
            assert isinstance(result, Result)
            shown = repr(result).splitlines()
            lines = list(result.lines())
            assert shown[0] == f"{type(result).__name__}:"
            assert shown[1] == shortened(lines[0])
            assert len(shown) <= SHOWN_LINES + 2
            assert result._repr_html_().startswith("<pre>")

    def test_lines_in_html_are_escaped_and_steer_nothing(self):
        class Hostile(Result):
            def as_json(self):
                return list(self.lines())

            def lines(self):
                return ["<script>alert(1)</script>\x1b[2J", "https://me:secret@host/x"]

        assert "<script>" not in Hostile()._repr_html_()
        for text in (Hostile()._repr_html_(), repr(Hostile())):
            assert "\x1b" not in text and "secret" not in text


class TestTypes:
    def test_the_stub_is_what_the_settings_say(self):
        made = runpy.run_path(str(ROOT / "docs" / "make_api.py"))
        written = (ROOT / "hnmine" / "__init__.pyi").read_text("utf-8")
        assert made["stub"]() == written, "run: python docs/make_api.py"

    @pytest.mark.slow
    def test_a_type_checker_takes_what_is_right_and_nothing_else(self, tmp_path):
        good = (
            "from pathlib import Path\n"
            "import hnmine\n"
            "from hnmine import build_index, filter_negatives, mine, run\n"
            "build_index(corpus=[Path('c'), 'd'], index='i', encoder='e', device='cpu')\n"
            "mine(index=Path('i'), pairs='p', output='c', source=['bm25', 'dense:5'], top_k=3)\n"
            "result = filter_negatives(candidates='c', output='m', margin=3, format='n-tuple',\n"
            "                          quota={'rank < 5': 2}, derive={'a': '1'})\n"
            "count: int = result.counts['negatives']\n"
            "rows = result.train.num_rows\n"
            "place: Path = result.path\n"
            "mine(index=result, pairs=[{'query': 'q', 'positive': 'p'}], output='c')\n"
            "build_index(corpus={'id': ['a'], 'text': ['b']}, index='i', dense=False)\n"
            "hnmine.mine_hard_negatives([{'q': 'a', 'p': 'b'}], 'e', num_negatives=3, depth=20)\n"
            "for line in hnmine.report('m', html=False).lines(): print(line)\n"
            "run(config='bge', corpus='c', pairs='p', output='r')[0].path\n"
            "hnmine.validate('a', 'b', calibrate=False).check()\n"
        )
        wrong = [
            "hnmine.mine(index='i', output='c', topk=3)",
            "hnmine.mine(index='i', output='c', top_k='3')",
            "hnmine.mine(output='c')",
            "hnmine.filter_negatives(candidates='c', output='m', backend='tuple')",
            "hnmine.filter_negatives('c', 'd', output='m')",
            "hnmine.export(mined='m', to='beir', output='e').pathh",
            "hnmine.compare(1)",
            "hnmine.mine_hard_negatives('d', 'e', num_negatives='3')",
        ]
        (tmp_path / "good.py").write_text(good)
        (tmp_path / "wrong.py").write_text("\n".join(["import hnmine", *wrong]) + "\n")
        libraries = ("torch", "transformers", "sentence_transformers", "ray", "numba", "datasets")
        # No signature of ours names a type of theirs.
        skipped = ",".join(f"{name}.*" for name in (*libraries, "huggingface_hub"))
        config = f"[mypy]\nstrict = true\n[mypy-{skipped}]\nfollow_imports = skip\n"
        (tmp_path / "mypy.ini").write_text(config)
        command = [sys.executable, "-m", "mypy", "--no-incremental"]
        command += ["--cache-dir", str(tmp_path / "cache"), "good.py", "wrong.py"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert "good.py" not in done.stdout, done.stdout
        for number in range(2, len(wrong) + 2):
            assert f"wrong.py:{number}: error" in done.stdout, (wrong[number - 2], done.stdout)
