"""Turn the docstrings of the Python standard library into a corpus and query-positive pairs.

The running interpreter's own source files are parsed, never imported, so the data set needs no
download and building it has no side effects. Its content varies with the Python version.
"""

import argparse
import ast
import hashlib
import inspect
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

EXCLUDED = {"test", "tests", "idlelib", "lib2to3", "turtledemo", "site-packages", "dist-packages"}
# A newline before a flush-left word is a wrapped line; before anything else (indentation, a
# bullet, a prompt) it is layout worth keeping.
WRAPPED = re.compile(r"(?<=\S)[ \t]*\n(?=[\w`'\"(])")
# The end of the first paragraph ends the sentence as well: many summaries have no full stop.
SENTENCE_END = re.compile(
    r"(?<!\b[ei]\.[eg])(?<!\b(?:eg|ie|vs|cf))(?<!a\.k\.a)(?<!\.)[.!?][\"')\]]*(?=\s)|(?=\n)"
)
QUERY_START = re.compile(r"[A-Za-z'\"`*]")
SIGNATURE = re.compile(r"^[\w.]+\(|->|=")
# Sentences that do not explain the object on their own, and mere credits.
UNFIT_QUERY = re.compile(
    r"(?i)(this|these|if|when|see|like|same as|similar to|override|deprecated|internal)\b"
)
UNFIT_REST = re.compile(r"(?i)\W*(written|cloned|created|based on|copyright|\(c\)|author)\b")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and the file of every public module of the standard library."""
    # Distributions put files of their own beside the library, so the interpreter's list decides.
    for top in sorted(sys.stdlib_module_names - EXCLUDED):
        for path in [root / f"{top}.py", *sorted((root / top).rglob("*.py"))]:
            parts = path.relative_to(root).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            hidden = any(part in EXCLUDED or part.startswith("_") for part in parts)
            if not hidden and path.is_file():
                yield ".".join(parts), path


def definitions(body: list[ast.stmt]) -> Iterator[ast.ClassDef | Function]:
    """Yield the public definitions of a body, conditional ones included."""
    for node in body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            yield node
        elif isinstance(node, ast.If) and "__name__" not in ast.unparse(node.test):
            yield from definitions(node.body + node.orelse)
        elif isinstance(node, ast.Try):
            handled = [statement for handler in node.handlers for statement in handler.body]
            yield from definitions(node.body + handled + node.orelse + node.finalbody)


def parameters(node: Function, is_method: bool) -> str:
    """Return a function's parameter list as its caller sees it."""
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    if is_method and any(decorator.endswith("property") for decorator in decorators):
        return ""
    if is_method and "staticmethod" not in decorators:
        del (node.args.posonlyargs or node.args.args)[:1]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"({ast.unparse(node.args)}){returns}"


def signature(node: Documented, name: str, is_method: bool) -> str:
    """Return the line that opens an object's passage."""
    if isinstance(node, ast.Module):
        return f"module {name}"
    if isinstance(node, ast.ClassDef):
        for child in node.body:
            if isinstance(child, ast.FunctionDef) and child.name == "__init__":
                return f"class {name}{parameters(child, is_method=True)}"
        return f"class {name}({', '.join(map(ast.unparse, node.bases))})".removesuffix("()")
    prefix = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    return f"{prefix}{name}{parameters(node, is_method)}"


def documented(
    node: Documented, name: str, is_method: bool = False
) -> Iterator[tuple[str, str, str]]:
    """Yield name, signature and documentation of an object and of the public ones within it."""
    text = WRAPPED.sub(" ", inspect.cleandoc(ast.get_docstring(node, clean=False) or ""))
    doc = re.sub(r"\s*\n\s*", "\n", re.sub(r"[ \t]+", " ", text)).strip()
    if doc:
        yield name, signature(node, name, is_method), doc
    if not isinstance(node, Function):
        for child in definitions(node.body):
            yield from documented(child, f"{name}.{child.name}", isinstance(node, ast.ClassDef))


def split(doc: str) -> tuple[str, str] | None:
    """Split documentation into a query and the rest, or return None if it makes no good pair."""
    # A full stop inside brackets does not end the sentence around them.
    ends = (match.end() for match in SENTENCE_END.finditer(doc))
    end = next((end for end in ends if doc.count("(", 0, end) == doc.count(")", 0, end)), 0)
    query, rest = " ".join(doc[:end].split()), doc[end:].strip()
    if not 4 <= len(query.split()) <= 40 or not QUERY_START.match(query) or query[-1] in ":;,":
        return None
    if SIGNATURE.search(query) or UNFIT_QUERY.match(query):
        return None
    # Documentation that repeats its summary further down would give the answer away.
    if len(rest.split()) < 8 or UNFIT_REST.match(rest) or query.rstrip(".") in rest:
        return None
    return query, rest


def build(root: Path, limit: int | None = None) -> tuple[pa.Table, pa.Table]:
    """Return the corpus and at most ``limit`` pairs from the sources below a folder."""
    objects: dict[str, tuple[str, str]] = {}
    for module, path in modules(root):
        with warnings.catch_warnings():
            # Newer parsers warn about escapes in some of these files, which are not ours to fix.
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
        for name, head, doc in documented(tree, module):
            objects.setdefault(name, (head, doc))
    splits = {name: pair for name, (_, doc) in objects.items() if (pair := split(doc))}
    # A hash spreads the choice over all modules and stays put when other objects come and go.
    chosen = set(sorted(splits, key=lambda name: hashlib.sha256(name.encode()).digest())[:limit])
    corpus, pairs = [], []
    for name, (head, doc) in sorted(objects.items()):
        query, rest = splits[name] if name in chosen else ("", doc)
        passage = f"{head}\n{rest}"
        corpus.append({"id": name, "text": passage})
        if query:
            # Equal queries share an id, so that they count as one query with several positives.
            query_id = hashlib.sha256(query.encode()).hexdigest()[:16]
            row = {"query_id": query_id, "query": query, "positive_id": name, "positive": passage}
            pairs.append(row)
    return pa.Table.from_pylist(corpus), pa.Table.from_pylist(pairs)


def main() -> None:
    """Write the corpus and the pairs, and print one line about them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--pairs", type=int, help="number of pairs to keep (default: all)")
    args = parser.parse_args()
    if args.pairs is not None and args.pairs < 1:
        parser.error("--pairs must be at least 1")
    root = Path(sysconfig.get_paths()["stdlib"])
    corpus, pairs = build(root, args.pairs)
    if not pairs.num_rows:
        sys.exit(f"no documented Python sources below {root}: this interpreter comes without them")
    args.output.mkdir(parents=True, exist_ok=True)
    corpus_path, pairs_path = args.output / "corpus.parquet", args.output / "pairs.parquet"
    pq.write_table(corpus, corpus_path)
    pq.write_table(pairs, pairs_path)
    print(f"{corpus.num_rows} passages in {corpus_path}, {pairs.num_rows} pairs in {pairs_path}")


if __name__ == "__main__":
    main()
