"""The threads of NumPy's and SciPy's linear algebra, which take all cores unless they are bound."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

VARIABLE = "OPENBLAS_NUM_THREADS"
"""Each OpenBLAS reads it when it is loaded. SciPy, loaded late, has one of its own."""


@contextmanager
def blas_threads(threads: int | None) -> Iterator[None]:
    """Bind every BLAS to so many threads, and restore them afterwards.

    Args:
        threads: for each; None leaves them as they are.
    """
    if threads is None:
        yield
        return
    from threadpoolctl import ThreadpoolController

    import_module("numpy")  # Its BLAS is loaded with it.
    loaded = ThreadpoolController().select(user_api="blas")
    before = {library.filepath: library.num_threads for library in loaded.lib_controllers}
    given = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(threads)
    try:
        with loaded.limit(limits=threads):
            yield
    finally:
        if given is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = given
        for library in ThreadpoolController().select(user_api="blas").lib_controllers:
            if library.filepath not in before:  # Loaded meanwhile.
                library.set_num_threads(max(before.values(), default=os.cpu_count() or 1))
