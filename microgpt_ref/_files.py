"""Write a file whole or not at all: beside its final name first, then renamed over it in one step."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Open `path` for writing bytes; it appears under its name only when the block ends without an error.

    A reader sees the old file or the new one, never half of one. On any error (a full disk, Ctrl-C) the
    temporary file beside it is removed and the old file is left as it was. A file reached through a link
    is replaced where it lies, so the link stays a link.

    Raises:
        OSError: the folder is missing, read-only or full; nothing is changed then.
    """
    path = Path(path).resolve()
    # Not tempfile: it makes files that only their owner may read, and the rename would keep that.
    part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # the bytes must be on the disk before the name points at them
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
