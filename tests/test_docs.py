"""What the pages say is in step with the code: flags, keys, commands, links, tables."""

from __future__ import annotations

import ast
import inspect
import json
import re
import runpy
from itertools import chain
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
import yaml
from blocks import Block, blocks, commands, pages, parsed, run, small
from conftest import ROOT, hnmine, write

import hnmine as api
from hnmine.cli import app
from hnmine.commands import COMMANDS
from hnmine.commands.configuration import optional, pipeline, read_config, settings_for
from hnmine.config.batch_settings import BatchSettings
from hnmine.config.filter_settings import FilterSettings
from hnmine.config.generate_settings import EDITS, MIXTURES
from hnmine.exports import EXPORTS
from hnmine.selection.rules import rules
from hnmine.sources import SOURCES

PAGES = pages()
BLOCKS = [block for page in PAGES for block in blocks(page)]
LINES = [(block, line) for block in BLOCKS for line in commands(block)]
OURS = [(block, line[1:]) for block, line in LINES if line[0] == "hnmine"]
README, SKILL = ROOT / "README.md", ROOT / "hnmine" / "SKILL.md"
FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
FOREIGN = {
    *("--data", "--collections", "--queries", "--model", "--steps"),  # scripts of the project
    *("--dest", "--no-deps", "--no-index", "--find-links", "--local-dir"),  # pip, hf
    "--devices",  # FlagEmbedding
    *("--head", "--port", "--address"),  # ray
}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def spans(page: Path) -> list[str]:
    """What stands in a page as code within a sentence."""
    return [
        " ".join(span.replace("\\|", "|").split()) for span in re.findall(r"`([^`]+)`", prose(page))
    ]


def flags_of(command: str) -> set[str]:
    options = typer.main.get_command(app).commands[command].params
    return {flag for option in options for flag in (*option.opts, *option.secondary_opts)}


ALL_FLAGS = {"--help", "--version"}.union(*map(flags_of, COMMANDS))


def check_settings(command: str, given: dict[str, object]) -> None:
    """Check values as the command does.

    Raises:
        UsageError: naming what is wrong with them.
    """
    no_settings = {"as_json", "debug", "dry_run", "help_all"}
    given = {key: value for key, value in given.items() if key not in no_settings}
    file, recipe = given.pop("config_file", None), given.pop("recipe", None)
    if file is not None and not (ROOT / str(file)).exists():
        return  # A file that the page shows; its keys are checked where it stands.
    values = read_config(ROOT / str(file) if file else None, recipe and str(recipe))
    paths = given.pop("paths", ())
    if command == "run":
        # What the paths are, their columns say; there are none here.
        given |= {"corpus": "c", "pairs": "p"} if paths else {}
        values = {"encoder": "e", "output": "o", **values} if paths else values
        pipeline(values, given)
        return
    settings_for(command, values, given)


def test_there_are_pages_and_commands():
    assert {"README.md", "docs/faq.md", "docs/api.md"} <= set(map(name_of, PAGES))
    assert len(OURS) > 50


SCRIPT = re.compile(r"python (?:-m benchmarks|examples/)(?:\\\n|[^\n`])*")
"""A benchmark's or an example's command line, which has flags of its own."""
EXAMPLE = re.compile(r"python (examples/[\w/]+\.py)((?:\\\n|[^\n`])*)")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
class TestPage:
    def test_every_flag_exists(self, page):
        if "benchmarks" in page.parts:
            return  # Its scripts have flags of their own.
        found = set(FLAG.findall(SCRIPT.sub("", page.read_text("utf-8"))))
        # Ours have no underscore; those of FlagEmbedding have.
        ours = {flag.rstrip("-") for flag in found if "_" not in flag} - FOREIGN
        assert not ours - ALL_FLAGS

    def test_the_flags_of_an_example_are_its_own(self, page):
        for script, line in EXAMPLE.findall(page.read_text("utf-8")):
            source = (ROOT / script).read_text("utf-8")
            for flag in FLAG.findall(line):
                assert f'"{flag}"' in source, (script, flag)

    def test_flags_within_sentences_belong_to_the_command_before_them(self, page):
        for span in spans(page):
            words = span.removeprefix("hnmine ").split()
            if words[0] in COMMANDS and "--" in span:
                assert set(FLAG.findall(span)) <= flags_of(words[0]), span

    def test_files_that_it_links_to_are_there(self, page):
        for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            file, _, anchor = link.partition("#")
            if link.startswith(("http://", "https://")):
                continue
            target = (page.parent / file) if file else page
            assert target.exists(), link
            if anchor:
                heads = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
                assert anchor in {
                    re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in heads
                }

    def test_tests_that_it_names_are_there(self, page):
        for span in spans(page):
            for name in re.findall(r"tests/\w+\.py", span):
                assert (ROOT / name).exists(), name

    def test_tables_have_rows_of_one_length(self, page):
        for table in re.findall(r"(?:^\|.*\|$\n?)+", prose(page), re.MULTILINE):
            rows = [re.sub(r"`[^`]*`|\\\|", "", row) for row in table.splitlines()]
            assert len({row.count("|") for row in rows}) == 1, rows[0]


@pytest.mark.parametrize(("block", "line"), OURS, ids=lambda value: str(value)[:60])
def test_every_command_parses(block: Block, line: list[str]):
    check_settings(*parsed(line))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_help_texts_parse(command):
    program, *line = COMMANDS[command].example.split()
    assert program == "hnmine" and line[0] == command
    check_settings(*parsed(line))


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "yaml"], ids=lambda block: str(block)
)
def test_every_key_of_a_configuration_is_a_setting(block):
    values = {"output": "runs/x", **yaml.safe_load(block.text)}
    pipeline(values, {})
    for command in values.keys() & {"generate", "batch", "mix"}:
        assert optional(COMMANDS[command].settings, values, {})


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "python"], ids=lambda block: str(block)
)
def test_python_blocks_call_what_is_there(block):
    for call in ast.walk(ast.parse(block.text)):
        name = getattr(getattr(call, "func", None), "id", "")
        if isinstance(call, ast.Call) and name in api.__all__:
            known = inspect.signature(getattr(api, name)).parameters
            assert {keyword.arg for keyword in call.keywords} <= set(known)


@pytest.mark.parametrize(
    ("block", "line"),
    [(block, line) for block, line in LINES if line[0] != "hnmine"],
    ids=lambda value: str(value)[:60],
)
def test_other_commands_name_what_is_there(block, line):
    program, *rest = line
    if program == "make":
        recipes = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert rest[0] in recipes
    if program == "pip":
        extras = re.search(r"\[project.optional-dependencies\]\n(.*?)\n\[", PROJECT, re.DOTALL)[1]
        named = set(re.findall(r"[a-z]+", " ".join(re.findall(r"\[(.*?)\]", " ".join(rest)))))
        assert named <= set(re.findall(r"^(\w+) = ", extras, re.MULTILINE))
    if program == "python" and rest[0].startswith(("examples/", "docs/", "tests/")):
        assert (ROOT / rest[0]).exists()


PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")


class TestTables:
    def test_every_rule_stands_in_the_table_of_rules(self):
        given = {
            "candidates": "c",
            "output": "o",
            "range_min": 1,
            "margin": 1,
            "relative_margin": 1,
        }
        given |= {"max_score": 1, "min_score": 0}
        reasons = {*rules(FilterSettings.parse(given)), "verdict", "max-uses"}
        table = (ROOT / "docs" / "filtering.md").read_text("utf-8").split("\n\n")[3]
        assert reasons == set(re.findall(r"`([a-z-]+)`", " ".join(
            row.split(" | ")[-1] for row in table.splitlines()[2:]
        )))  # fmt: skip

    @pytest.mark.parametrize(
        ("page", "names"),
        [
            ("exports.md", EXPORTS),
            ("sources.md", SOURCES),
            ("synthetic.md", [*EDITS, *(f"{name}:N" for name in MIXTURES)]),
            ("batches.md", BatchSettings.model_fields["by"].annotation.__args__),
        ],
    )
    def test_every_choice_is_explained(self, page, names):
        assert set(names) <= set(", ".join(spans(ROOT / "docs" / page)).split(", "))

    def test_every_command_is_explained(self):
        everything = "\n".join(page.read_text("utf-8") for page in PAGES)
        for name, command in COMMANDS.items():
            assert command.successor or re.search(rf"hnmine {name}\b", everything), name

    def test_every_argument_of_the_function_that_is_left_behind(self):
        from sentence_transformers.util import mine_hard_negatives

        text = (ROOT / "docs" / "migration.md").read_text("utf-8")
        table = text.split("| argument | hnmine | remarks |\n|---|---|---|\n")[1].split("\n\n")[0]
        found = [row.split("`")[1] for row in table.splitlines()]
        assert found == list(inspect.signature(mine_hard_negatives).parameters)

    def test_there_is_no_setting_without_a_default_that_the_reference_leaves_out(self):
        page = (ROOT / "docs" / "api.md").read_text("utf-8")
        for name in chain.from_iterable(found.settings.model_fields for found in COMMANDS.values()):
            assert f"| `{name}` |" in page


def test_the_architecture_names_every_folder_and_module():
    named = set(spans(ROOT / "docs" / "architecture.md"))
    package = ROOT / "hnmine"
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    modules = {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    assert folders | modules <= named


def test_the_reference_is_what_the_docstrings_say():
    made = runpy.run_path(str(ROOT / "docs" / "make_api.py"))
    written = (ROOT / "docs" / "api.md").read_text("utf-8")
    assert made["page"]() == written, "run: python docs/make_api.py"


DOCS = {name_of(page) for page in PAGES if page.parent in (ROOT, ROOT / "docs")}


def navigation(found: object) -> list[str]:
    """The pages in a part of the site's navigation."""
    if isinstance(found, str):
        return [found]
    parts = found.values() if isinstance(found, dict) else found
    return [page for part in parts for page in navigation(part)]


class TestListsOfPages:
    def test_the_site_has_every_page_once_in_four_groups(self):
        site = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
        groups = {name: part for entry in site["nav"] for name, part in entry.items()}
        assert list(groups) == ["Home", "Tutorial", "How-to", "Reference", "Explanation"]
        listed = navigation(site["nav"])
        assert len(listed) == len(set(listed))
        assert set(listed) >= DOCS
        assert all((ROOT / page).exists() for page in listed)

    def test_llms_txt_has_every_page_once_with_a_line(self):
        text = (ROOT / "llms.txt").read_text("utf-8")
        assert re.match(r"# hnmine\n\n> .+\n", text)
        found = re.findall(r"^- \[.+\]\((.+)\): .+$", text, re.MULTILINE)
        assert len(found) == len(set(found)) == text.count("](")
        assert set(found) >= DOCS - {"README.md"} | {name_of(SKILL)}
        assert all((ROOT / page).exists() for page in found)

    def test_the_readme_leads_to_every_page(self):
        links = set(re.findall(r"\]\(([\w./-]+\.md)", README.read_text("utf-8")))
        assert links >= DOCS - {"README.md"}

    def test_every_link_of_the_site_leads_to_a_file_of_it(self, tmp_path):
        runpy.run_path(str(ROOT / "docs" / "make_site.py"))["copy_pages"](tmp_path)
        copied = [*tmp_path.rglob("*.md")]
        assert {str(page.relative_to(tmp_path)) for page in copied} >= DOCS
        for page in copied:
            for link in re.findall(r"\]\(([^)\s#]+)[^)\s]*\)", prose(page)):
                if not link.startswith("http"):
                    assert (page.parent / link).is_file(), (page, link)


class TestSkill:
    def test_it_begins_with_a_name_and_a_description(self):
        _, head, body = SKILL.read_text("utf-8").split("---\n", 2)
        about = yaml.safe_load(head)
        assert about.keys() == {"name", "description"} and about["name"] == "hnmine"
        assert 100 < len(about["description"]) <= 1024
        assert body.startswith("\n# ")

    def test_it_is_printed_as_it_is(self):
        assert hnmine("skill").stdout == SKILL.read_text("utf-8")

    def test_it_is_written_to_a_folder_and_replaces_an_older_one(self, tmp_path):
        for _ in range(2):
            assert api.skill(tmp_path / "skills").file == tmp_path / "skills/hnmine/SKILL.md"
            written = tmp_path / "skills" / "hnmine" / "SKILL.md"
            assert written.read_bytes() == SKILL.read_bytes()
            written.write_text("older")

    def test_there_is_one_copy(self):
        assert (ROOT / "skills" / "hnmine" / "SKILL.md").samefile(SKILL)


def test_the_picture_of_the_readme_is_small_and_made_by_a_script():
    picture = (ROOT / "docs" / "report.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) < 200_000
    assert "(docs/report.png)" in README.read_text("utf-8")


def test_the_citation_names_the_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cited["version"] == api.__version__
    assert cited["authors"] == [{"name": "hnmine contributors"}]


def test_a_release_writes_the_version_of_the_package_and_of_the_citation(tmp_path):
    prepare = runpy.run_path(str(ROOT / "release" / "prepare.py"))
    for name in prepare["VERSION_LINES"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text("utf-8"), "utf-8")
    prepare["set_version"](tmp_path, "9.8.7rc6")
    assert '__version__ = "9.8.7rc6"' in (tmp_path / "hnmine/__init__.py").read_text("utf-8")
    cited = yaml.safe_load((tmp_path / "CITATION.cff").read_text("utf-8"))
    assert (cited["cff-version"], cited["version"]) == ("1.2.0", "9.8.7rc6")


@pytest.fixture(scope="module")
def world(stdlib, tmp_path_factory) -> Path:
    """What the README's commands are about, but small."""
    folder = tmp_path_factory.mktemp("readme")
    pairs = pq.read_table(stdlib / "pairs.parquet").slice(0, 10)
    corpus = pq.read_table(stdlib / "corpus.parquet")
    known = set(pairs["positive_id"].to_pylist())
    found = [row for row in corpus.to_pylist() if row["id"] in known]
    short = [row for row in corpus.to_pylist() if len(row["text"]) < 160]
    chosen = (found + [row for row in short if row not in found])[:30]
    write(folder / "corpus.parquet", **{name: [row[name] for row in chosen] for name in chosen[0]})
    pq.write_table(pairs, folder / "pairs.parquet")
    known = {row["id"] for row in chosen}
    judged = [row for row in pairs.to_pylist() if row["positive_id"] in known]
    write(
        folder / "queries.parquet",
        _id=[row["query_id"] for row in judged],
        text=[row["query"] for row in judged],
    )
    write(
        folder / "qrels.parquet",
        **{"query-id": [row["query_id"] for row in judged]},
        **{"corpus-id": [row["positive_id"] for row in judged]},
        score=[1] * len(judged),
    )
    return folder


def run_page(page: Path, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Run the commands of a page and its blocks of Python that use hnmine, in a folder."""
    patch.chdir(folder)
    patch.setenv("HF_HOME", str(folder / "hf"))
    for block in blocks(page):
        if block.language == "python" and "hnmine" in block.text:
            exec(compile(small(block.text), str(block), "exec"), {})
        for line in commands(block):
            if line[0] == "hnmine":
                run(line)


@pytest.mark.slow
def test_the_tutorial_runs_as_it_stands(world, monkeypatch):
    run_page(ROOT / "docs" / "tutorial.md", world, monkeypatch)
    first = world / "runs" / "first"
    train = pq.read_table(first / "mined" / "train")
    assert train.column_names == ["query", "positive", "negative"] and train.num_rows > 20
    assert (first / "mined" / "report.html").exists() and (first / "mined-margin").exists()
    assert (first / "flagembedding" / "data" / "train.jsonl").stat().st_size


def keys_in_table(page: Path) -> dict[str, set[str]]:
    """The keys of `--json` that SKILL.md lists, by command."""
    text = page.read_text("utf-8").partition("| command | keys |\n")[2].partition("\n\n")[0]
    rows = [row.strip("|").split("|") for row in text.splitlines()[1:]]
    return {
        name: set(re.findall(r"`(\w+)`", keys))
        for names, keys in rows
        for name in re.findall(r"`([\w-]+)`", names)
    }


@pytest.mark.slow
def test_the_skill_runs_as_it_stands_and_prints_the_keys_that_it_lists(world, monkeypatch, capsys):
    listed = keys_in_table(SKILL)
    assert {"filter", "validate", "report", "inspect", "compare", "export"} <= set(listed)
    monkeypatch.chdir(world)
    monkeypatch.setenv("HF_HOME", str(world / "hf"))
    seen = set()
    for line in (line for block in blocks(SKILL) for line in commands(block)):
        capsys.readouterr()
        run(line)
        if "--json" not in line or line[1] == "recipes":
            continue
        found = json.loads(capsys.readouterr().out)
        if line[1] == "run":
            listed["run"], found = listed["filter"], found[-1]
        if line[1] == "inspect":
            listed["inspect"] -= {"queries"}
            found = found["queries"][0]
        assert listed[line[1]] <= found.keys(), line
        seen.add(line[1])
    assert {"validate", "report", "inspect", "compare", "export", "run"} <= seen
    assert pq.read_table(world / "runs" / "mined" / "train").num_rows > 20


def test_the_readme_runs_as_it_stands(world, monkeypatch, capsys):
    run_page(README, world, monkeypatch)
    counts = capsys.readouterr().out
    assert "negatives" in counts
    train = pq.read_table(world / "runs" / "mined" / "train")
    assert train.column_names == ["query", "positive", "negative"] and train.num_rows > 20
    assert (world / "runs" / "export" / "data" / "train.jsonl").stat().st_size
    assert (world / "runs" / "mined" / "report.html").exists()
