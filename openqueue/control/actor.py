"""Who asks."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass
from typing import Final, Self

LONGEST: Final = 150
"""Characters, as in the columns that keep it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The person or program that an operator's act is recorded under."""

    name: str
    origin: str = ""
    """Where the request came from, for the record: an address, and the request's id where there is one."""

    def __post_init__(self) -> None:
        """Raise ValueError for a name that the record could not show."""
        if not self.name.strip() or len(self.name) > LONGEST or not self.name.isprintable():
            raise ValueError(f"actor {self.name!r} must be 1 to {LONGEST} printable characters")
        if len(self.origin) > LONGEST or not self.origin.isprintable():
            raise ValueError(f"origin {self.origin!r} must be at most {LONGEST} printable characters")

    @classmethod
    def of_system(cls) -> Self:
        """Return the operating system's user of this process."""
        try:
            name = getpass.getuser()
        except (KeyError, OSError):  # a container whose user id has no name
            name = f"uid {os.getuid()}"
        return cls(name=name[:LONGEST])
