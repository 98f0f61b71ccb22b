"""What nearly every command does before its work, done once for all processes that are forked.

Only what needs no threads: they do not survive a fork.
"""

import gc
import sys
from contextlib import suppress

from numba.core.dispatcher import Dispatcher

from hnmine.index.tokenise import Tokeniser


def load_compiled() -> None:
    """Load the functions that Numba has compiled before, for the types that they had then."""
    modules = [module for name, module in sys.modules.items() if name.startswith("hnmine.")]
    found = {value for module in modules for value in vars(module).values() if is_compiled(value)}
    for function in found:
        with suppress(OSError, AttributeError):  # Nothing is kept.
            for signature, *_ in function._cache._cache_file._load_index():
                function.compile(signature)


def is_compiled(value: object) -> bool:
    return isinstance(value, Dispatcher)


load_compiled()
Tokeniser().number(["a text"])
if "sentence_transformers" in sys.modules:
    import transformers.models.bert.modeling_bert  # noqa: F401

gc.collect()
gc.freeze()  # Or each process copies the memory of all that is imported, when it collects.
