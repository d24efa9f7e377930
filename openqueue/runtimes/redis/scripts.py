"""The scripts: one file each below lua/, called by their hash."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from pathlib import Path
from typing import Any, Final, NamedTuple

FOLDER: Final = Path(__file__).parent / "lua"


class Script(NamedTuple):
    """A script and the hash that the server knows it by."""

    source: bytes
    sha: str


SCRIPTS: Final = {
    file.stem: Script(source, sha1(source, usedforsecurity=False).hexdigest())
    for file in sorted(FOLDER.glob("*.lua"))
    for source in [file.read_bytes()]
}


class Call(NamedTuple):
    """One call of a script on the keys of one queue; in a Cluster all of them are in one slot."""

    script: str
    keys: Sequence[str]
    arguments: Sequence[Any] = ()

    def by_hash(self) -> tuple[Any, ...]:
        return "EVALSHA", SCRIPTS[self.script].sha, len(self.keys), *self.keys, *self.arguments

    def by_source(self) -> tuple[Any, ...]:
        """Return the same call for a server that has lost its scripts; it keeps this one."""
        return "EVAL", SCRIPTS[self.script].source, len(self.keys), *self.keys, *self.arguments
