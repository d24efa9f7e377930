"""Write what a wheel brings along, as CycloneDX JSON.

    python tests/sbom.py dist/openqueue-0.1.0-py3-none-any.whl dist/openqueue.cdx.json

It installs the wheel with all its extras into an environment that holds nothing else, and lists that. It needs the
dependency group `package`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # pip has an environment of its own: it would be listed, and this one may have none.
        tools, here = Path(folder, "tools"), Path(folder, "here")
        pip, python = (str(place / "bin" / "python") for place in (tools, here))
        run(sys.executable, "-m", "venv", str(tools))
        run(sys.executable, "-m", "venv", "--without-pip", str(here))
        run(pip, "-m", "pip", "--python", python, "install", "-q", f"{given.wheel.resolve()}[all]")
        run(
            *(sys.executable, "-m", "cyclonedx_py", "environment", python),
            *("--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "library"),
            *(
                "--output-reproducible",
                "--output-format",
                "JSON",
                "--output-file",
                str(given.output.resolve()),
            ),
        )
    return 0


def run(*command: str) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"sbom: {error}")
