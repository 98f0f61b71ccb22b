"""Build hnmine, check what was built, and use it in new environments.

python release/test_wheel.py [--pythons 3.10 3.13]

The sdist is used on this Python, the wheel on each other one that is found. They take all
dependencies but sentence-transformers, whose PyTorch is gigabytes: what is used runs without it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Iterator, Sequence
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).parent.parent
VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
HEAVY = "sentence-transformers"
USE = """
import random, subprocess, sys
import pyarrow as pa, pyarrow.parquet as pq
import hnmine

draw = random.Random(0)
words = [a + b + c for a in "bdfgk" for b in "aeiou" for c in "lmnrst"]
texts = [" ".join(draw.choices(words, k=20)) for _ in range(400)]
table = {"id": [str(n) for n in range(400)], "text": texts}
pq.write_table(pa.table(table), "corpus.parquet")
asked = [" ".join(text.split()[:6]) for text in texts[:60]]
pq.write_table(pa.table({"query": asked, "positive": texts[:60]}), "pairs.parquet")
hnmine.build_index(corpus="corpus.parquet", pairs="pairs.parquet", index="index", dense=False)
hnmine.mine(index="index", pairs="pairs.parquet", output="candidates", source=["bm25:20"])
result = hnmine.filter_negatives(candidates="candidates", output="mined")
assert result.counts["negatives"] > len(asked), result.counts
assert result.train.count_rows() == result.counts["negatives"]
assert hnmine.report("mined").facts
for line in (["recipes"], ["recipes", "show", "bge"], ["skill"], ["inspect", "mined"]):
    subprocess.run([sys.executable, "-m", "hnmine", *line], check=True, capture_output=True)
subprocess.run([sys.executable, "-m", "hnmine", "--version"], check=True, capture_output=True)
"""
CONSUMER = """
import hnmine

result = hnmine.filter_negatives(candidates="c", output="o", num_negatives=3)
reveal_type(result.path)
hnmine.filter_negatives(candidates="c", output="o", num_negatives="three")
"""


def main() -> None:
    """Build, check, and use."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pythons", nargs="*", default=VERSIONS, help="versions to try")
    wanted = parser.parse_args().pythons
    built = ROOT / "dist"
    shutil.rmtree(built, ignore_errors=True)
    python("-m", "build", "--outdir", built, ROOT)
    wheel, sdist = next(built.glob("*.whl")), next(built.glob("*.tar.gz"))
    python("-m", "twine", "check", "--strict", wheel, sdist)
    python("-m", "check_wheel_contents", wheel)
    check_types(wheel)
    light = [one for one in requirements(wheel) if not one.startswith(HEAVY)]
    for version, found in pythons(wanted):
        use(found, version, sdist if found == Path(sys.executable) else wheel, light)
    print("built and used:", wheel.name, sdist.name)


def requirements(wheel: Path) -> list[str]:
    """Return what a wheel needs without extras."""
    with zipfile.ZipFile(wheel) as held:
        name = next(name for name in held.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(held.read(name).decode("utf-8"))
    return [one for one in metadata.get_all("Requires-Dist") or () if "extra ==" not in one]


def pythons(wanted: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield this Python, then each other wanted version on PATH or in pyenv."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    yield own, Path(sys.executable)
    installed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in wanted:
        choices = [shutil.which(f"python{version}"), *installed.glob(f"{version}.*/bin/python")]
        works = [Path(one) for one in choices if one and runs(Path(one), version)]
        if version != own and works:
            yield version, works[0]
        elif version != own:
            print(f"Python {version} is not on this machine: not tried", flush=True)


def runs(found: Path, version: str) -> bool:
    """Tell whether an executable is a Python of a version."""
    line = [found, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return done.stdout.strip() == version


def use(found: Path, version: str, built: Path, light: Sequence[str]) -> None:
    """Install what was built in a new environment of a Python, and mine with it."""
    print(f"Python {version}: {built.name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([found, "-m", "venv", "env"], cwd=folder, check=True)
        inside = python_of(Path(folder, "env"))
        apart = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        pip = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *light], env=apart, check=True)
        subprocess.run([*pip, "--no-deps", built], env=apart, check=True)
        subprocess.run([inside, "-c", USE], cwd=folder, env=apart, check=True)


def check_types(wheel: Path) -> None:
    """Check that mypy sees the package's types in a consumer's code."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(Path(folder, "env"), with_pip=False)
        target = next(Path(folder, "env").glob("[lL]ib/**/site-packages"))
        python("-m", "pip", "install", "--quiet", "--no-deps", "--target", target, wheel)
        Path(folder, "consumer.py").write_text(CONSUMER)
        inside = python_of(Path(folder, "env"))
        line = ["mypy", "--strict", "--python-executable", inside, "consumer.py"]
        line = [sys.executable, "-m", *line]
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        assert 'Revealed type is "pathlib.Path"' in said, said
        assert 'Argument "num_negatives"' in said, said
        assert "Found 1 error" in said, said


def python_of(environment: Path) -> Path:
    """Return the executable of a virtual environment."""
    return environment / ("Scripts" if os.name == "nt" else "bin") / "python"


def python(*line: object) -> None:
    """Run a module of this environment."""
    subprocess.run([sys.executable, *map(str, line)], check=True)


if __name__ == "__main__":
    main()
