"""Tracebacks as people read them: the frames of their own code apart from those of libraries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from openqueue.core.fingerprint import FOREIGN, FRAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """What a traceback consists of."""

    own: Sequence[str]
    """Frames of the project's code, outermost first, each with its line of code."""
    libraries: int
    """How many others there are."""


def frames(traceback: str) -> Frames:
    """Read a traceback as Python writes it; of another text nothing is found."""
    own, libraries = [], 0
    found = list(FRAME.finditer(traceback))
    ends = [*(frame.start() for frame in found[1:]), len(traceback)]
    for frame, end in zip(found, ends, strict=False):
        if FOREIGN.search(frame[1]):
            libraries += 1
            continue
        lines = [frame[0].strip()]
        # The code stands below, indented deeper than whatever follows the last frame.
        for line in traceback[frame.end() : end].lstrip("\n").split("\n"):
            if not line.startswith("    "):
                break
            if not line.strip("~^ "):
                continue
            lines.append(f"  {line.strip()}")
        own.append("\n".join(lines))
    return Frames(own=own, libraries=libraries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Some lines in a row."""

    text: str
    library_frames: int = 0
    """Of libraries alone are these so many frames; 0: of the project, or what stands between tracebacks."""


def stretches(traceback: str) -> list[Stretch]:
    """Return a traceback in pieces, in its order; frames of libraries that follow each other are one."""
    found: list[Stretch] = []
    for lines, is_foreign in _pieces(traceback):
        text = "\n".join(lines)
        last = found[-1] if found else None
        if last is not None and bool(last.library_frames) == is_foreign:
            found[-1] = Stretch(text=f"{last.text}\n{text}", library_frames=last.library_frames + is_foreign)
        else:
            found.append(Stretch(text=text, library_frames=int(is_foreign)))
    return found


def _pieces(traceback: str) -> Iterator[tuple[list[str], bool]]:
    """Return frame by frame, each with its source lines, and what stands between them."""
    lines: list[str] = []
    is_foreign = in_frame = False
    for line in traceback.splitlines():
        frame = FRAME.match(line)
        if frame or (in_frame and not line.startswith("    ")):
            if lines:
                yield lines, is_foreign
            lines, in_frame, is_foreign = [], bool(frame), bool(frame and FOREIGN.search(frame[1]))
        lines.append(line)
    if lines:
        yield lines, is_foreign
