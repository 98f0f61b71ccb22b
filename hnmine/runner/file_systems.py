"""File systems of storage services, and their errors as ones that name the place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hnmine.errors import InputError, PartialRun, first_line

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn errors of a storage service into one that names the place.

    Raises:
        PartialRun: instead of Arrow's and fsspec's exceptions, with their text.
        OSError: unchanged if it concerns a file on this machine.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and not isinstance(error, ConnectionError | TimeoutError):
            raise
        raise PartialRun(
            f"Cannot reach {url}, or access is denied.",
            why=first_line(error),
            fix="Check the address and the credentials, then rerun; finished work is kept.",
        ) from error


def file_system(scheme: str, server: str) -> tuple[FileSystem, str]:
    """Open a file system of Arrow, or else of fsspec."""
    import pyarrow as pa
    import pyarrow.fs

    try:
        system, base = pyarrow.fs.FileSystem.from_uri(f"{scheme}://{server}")
        return system, base
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as unknown:
        import fsspec

        try:
            return pyarrow.fs.PyFileSystem(
                pyarrow.fs.FSSpecHandler(fsspec.filesystem(scheme))
            ), server
        except (ImportError, ValueError) as error:
            raise InputError(
                f"No file system is known for {scheme}://.",
                why=str(error) or str(unknown),
                fix="Use s3://, gs://, abfs://, hdfs:// or file://, or install the package that "
                "fsspec names.",
            ) from error
