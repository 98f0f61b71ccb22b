"""Mutation testing: change one operator, number or call at a time, and see whether a test fails.

Run `make mutants` for a sample of all modules, or `python tests/mutants.py choose --sample 0` for
all mutants of one. Every mutant runs in a fork that replaces its module at import, so no file
changes. Tests that start hnmine as a process of its own see the original.
"""

from __future__ import annotations

import argparse
import ast
import importlib.abc
import importlib.util
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent

FAST_TESTS = {
    "selection/rules": ("test_selection.py test_filters.py", "not ordered_or_split"),
    "selection/verdicts": (
        "test_selection.py test_steps.py test_filters.py test_lazy.py",
        "not (ordered_or_split or wider or looser or no_margin) and (not test_lazy or waves_end)",
    ),
    "selection/document_cap": (
        "test_selection.py test_deeper.py",
        "test_selection or shares_are_kept or whoever_holds",
    ),
    "choose": ("test_selection.py test_select.py", ""),
    "keyed_noise": ("test_selection.py test_select.py", ""),
    "ragged": ("test_topk.py test_layouts.py", ""),
    "relevance/depth_price": ("test_selection.py test_relevance.py", "test_selection or TestDepth"),
    "sources/fuse": ("test_fuse.py", ""),
    "sources/source": ("test_topk.py", ""),
    "index/topk": ("test_topk.py", ""),
    "runner/task_share": ("test_share.py", "begins_with or only_finish"),
    "runner/plan": (
        "test_run.py",
        "blocks or every_version or names_the_versions or nested_keys or manifest",
    ),
    "runner/safe_paths": (
        "test_hostile_names.py",
        "joined_name or a_plain_name or no_name_inside or links_in or behind_a_link",
    ),
    "runner/clearing": (
        "test_run.py test_hostile_names.py",
        "overwrite or another_plan or somebody or deletes or killed_process",
    ),
    "exports/training_rows": ("test_layouts.py test_steps.py", ""),
    "exports/tuples": ("test_layouts.py test_steps.py", ""),
    "exports/labeled": ("test_layouts.py test_steps.py", ""),
    "exports/row_files": ("test_exports.py", "not test_sentence_transformers"),
    "inputs/identity": ("test_identity.py", ""),
    "inputs/labels": ("test_rows.py", "label"),
    "inputs/values": ("test_data.py", ""),
}
"""The test files of each module, the most telling first, and which of their tests (pytest's -k)."""

HEAVY = ("numpy", "pyarrow.parquet", "duckdb", "numba", "scipy.special", "pydantic", "hypothesis")
"""Packages that the forks share."""

SWAPS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip

SQL_SWAPS = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "<>": "=", "and": "or", "-": "+", "*": "/",
    "not": "", "true": "false",
}  # fmt: skip
_SQL = re.compile(r"(?<![\w'])(<=|>=|<>|<|>|and(?= )|-(?= )|\*(?= )|not(?= )|true(?=\)))")

FUNCTIONS_OF_A_VALUE = {
    "abs", "ceil", "clip", "fill_null", "log", "logaddexp", "maximum", "minimum", "nan_to_num",
    "rint", "round", "sort", "sorted", "trunc", "utf8_lower", "utf8_trim_whitespace",
}  # fmt: skip
"""Calls of these may be replaced by their first argument: most others would only crash."""


class Mutant(NamedTuple):
    """One change of a module: what is to be set where in its syntax tree."""

    line: int
    change: str
    parent: ast.AST
    field: str
    at: int | None
    new: ast.AST | None

    def apply(self) -> None:
        """Change the tree."""
        if self.at is None:
            setattr(self.parent, self.field, self.new)
        elif self.new is None:
            del getattr(self.parent, self.field)[self.at]
        else:
            getattr(self.parent, self.field)[self.at] = self.new


def mutants_of(tree: ast.AST) -> list[Mutant]:
    """Return the mutants of a module, from top to bottom."""
    found: list[Mutant] = []

    def visit(parent: ast.AST, line: int) -> None:
        for field, value in ast.iter_fields(parent):
            if field in ("annotation", "returns", "decorator_list", "type_params"):
                continue
            for at, node in enumerate(value if isinstance(value, list) else [value]):
                if not isinstance(node, ast.AST) or _is_docstring(node):
                    continue
                here = getattr(node, "lineno", line)
                where = at if isinstance(value, list) else None
                for change, new in changes(node, field):
                    found.append(Mutant(here, change, parent, field, where, new))
                # How an error is worded is for other tests.
                if not isinstance(node, (ast.Raise, ast.Import, ast.ImportFrom)):
                    visit(node, here)

    visit(tree, 0)
    return sorted(found, key=lambda mutant: mutant.line)


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def changes(node: ast.AST, field: str) -> Iterator[tuple[str, ast.AST | None]]:
    """Yield each change of a node, in words, and the node that takes its place."""
    text = _text(node)
    if field in ("test", "ifs") and not isinstance(node, (ast.Compare, ast.UnaryOp)):
        yield f"not ({text})", ast.UnaryOp(ast.Not(), node)
    if type(node) in SWAPS:
        new = SWAPS[type(node)]
        yield f"{type(node).__name__} -> {new.__name__}", new()
    elif isinstance(node, ast.Constant):
        for value in _values(node.value):
            yield f"{node.value!r} -> {value!r}", ast.Constant(value)
    elif isinstance(node, ast.Slice):
        for side in ("lower", "upper"):
            if getattr(node, side) is not None:
                parts = {name: getattr(node, name) for name in ("lower", "upper", "step")}
                new_slice = ast.Slice(**{**parts, side: None})
                yield f"[{text}] -> [{_text(new_slice)}]", new_slice
    elif isinstance(node, ast.Continue):
        yield "continue -> break", ast.Break()
    elif isinstance(node, ast.Break):
        yield "break -> continue", ast.Continue()
    else:
        yield from _removals(node, text)


def _removals(node: ast.AST, text: str) -> Iterator[tuple[str, ast.AST | None]]:
    if isinstance(node, ast.UnaryOp):
        yield f"{text} -> {_text(node.operand)}", node.operand
    elif isinstance(node, ast.keyword) and node.arg:
        yield f"{text} -> left out", None
    elif isinstance(node, ast.Call) and node.args and _is_function_of_a_value(node.func):
        yield f"{text} -> {_text(node.args[0])}", node.args[0]
    elif isinstance(node, (ast.AugAssign, ast.Raise)) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ):
        yield f"{text} -> pass", ast.Pass()


def _text(node: ast.AST) -> str:
    try:
        return " ".join(ast.unparse(node).split())[:70]
    except AttributeError:  # An operator, or a part that does not stand alone.
        return type(node).__name__


def _values(value: object) -> Iterator[object]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, (int, float)):
        yield from (value + 1, value - 1)
    elif isinstance(value, str):
        for match in _SQL.finditer(value):
            yield value[: match.start()] + SQL_SWAPS[match[1]] + value[match.end() :]


def _is_function_of_a_value(func: ast.expr) -> bool:
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    return name in FUNCTIONS_OF_A_VALUE


class Replaced(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Gives one module its mutated code at import."""

    def __init__(self, name: str, path: Path, tree: ast.AST) -> None:
        self.name, self.path = name, path
        self.code = compile(ast.fix_missing_locations(tree), str(path), "exec")

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def get_code(self, name):
        return self.code

    def get_source(self, name):
        return self.path.read_text("utf-8")


def run_tests(module: str, mutant: Mutant | None, tree: ast.AST, log: Path) -> int:
    """Run a module's tests in this process; return pytest's exit code."""
    import hypothesis
    import numba
    import pytest

    log_file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log_file, 1)
    os.dup2(log_file, 2)
    path = ROOT / "hnmine" / f"{module}.py"
    if "@compiled" in path.read_text("utf-8"):
        numba.config.DISABLE_JIT = True  # Numba would find the code of the original in its cache.
    if mutant is not None:
        mutant.apply()
    name = f"hnmine.{module.replace('/', '.')}".removesuffix(".__init__")
    sys.meta_path.insert(0, Replaced(name, path, tree))
    # The same examples at each run; a failure need not be made small.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None, phases=phases)
    hypothesis.settings.load_profile("mutants")
    os.chdir(ROOT)
    files, chosen = FAST_TESTS[module]
    paths = [f"tests/{file}" for file in files.split()]
    code = int(pytest.main(["-x", "-q", "--durations=9", "-k", chosen, *paths]))
    return code if name in sys.modules else 99


def outcome(module: str, mutant: Mutant | None, tree: ast.AST, log: Path, seconds: float) -> int:
    """Run a module's tests in a fork; return pytest's exit code, or -1 if it took too long."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.setsid()
        code = 98
        try:
            code = run_tests(module, mutant, tree, log)
        finally:
            os._exit(code)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


def test_module(module: str, sample: int, seed: int, folder: Path) -> tuple[int, list[str]]:
    """Test mutants of a module; return how many, and those that no test noticed."""
    text = (ROOT / "hnmine" / f"{module}.py").read_text("utf-8")
    tree = ast.parse(text)
    mutants = mutants_of(tree)
    if sample and len(mutants) > sample:
        chosen = random.Random(f"{seed} {module}").sample(range(len(mutants)), sample)
        mutants = [mutants[at] for at in sorted(chosen)]
    start = time.monotonic()
    code = outcome(module, None, tree, folder / "original", 600)
    took = time.monotonic() - start
    if code:
        print((folder / "original").read_text("utf-8", "replace")[-3000:])
        sys.exit(f"{module}: the tests fail, or do not import it (exit code {code})")
    print(f"{module}: {len(mutants)} mutants, {took:.0f} s for the original", flush=True)
    survivors = []
    for number, mutant in enumerate(mutants):
        if not outcome(module, mutant, tree, folder / f"{number}", 20 + 3 * took):
            line = text.splitlines()[mutant.line - 1].strip()
            survivors.append(f"{module}.py:{mutant.line}: {mutant.change}    | {line}")
            print(f"  survived {survivors[-1]}", flush=True)
    return len(mutants), survivors


def main() -> None:
    """Test the modules that the command line names, or all; print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="such as selection/rules")
    parser.add_argument("--sample", type=int, default=40, help="mutants of each module; 0: all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    for package in HEAVY:
        importlib.import_module(package)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for module in given.modules or FAST_TESTS:
            count, survivors = test_module(module, given.sample, given.seed, Path(folder))
            rows.append((module, count, count - len(survivors)))
    rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    print(f"\n{'module':<24}{'mutants':>8}{'killed':>8}{'score':>8}")
    for module, count, killed in rows:
        print(f"{module:<24}{count:>8}{killed:>8}{killed / max(count, 1):>8.0%}")


if __name__ == "__main__":
    main()
