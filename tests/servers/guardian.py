"""What ends a server that a test session started, even when that session is killed."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import subprocess
from collections.abc import Iterable
from pathlib import Path


def guard(folder: Path, *, stop: str, as_user: list[str]) -> subprocess.Popen[bytes]:
    """Return a shell that waits for its pipe to close, which it also does when we are killed; then it cleans up.

    stop: the shell command that ends the server.
    """
    script = f"read -r _; {{ {stop}; }} >/dev/null 2>&1; rm -rf {shlex.quote(str(folder))}"
    return subprocess.Popen(
        [*as_user, "sh", "-c", script], cwd="/", stdin=subprocess.PIPE, start_new_session=True
    )


def unprivileged(*names: str, folder: Path, files: Iterable[Path] = ()) -> list[str]:
    """Return the words before a command with which root runs a server that refuses root.

    The folder and these files in it become that user's.

    Raises:
        LookupError: none of these users exists.
    """
    if os.geteuid() != 0:
        return []
    for name in names:
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            for path in (folder, *files):
                os.chown(path, user.pw_uid, user.pw_gid)
            return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    raise LookupError(f"a database server refuses to run as root, and there is no user {' or '.join(names)}")
