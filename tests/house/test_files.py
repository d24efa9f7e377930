"""The look of the house: small files, named by nouns, knowing nothing of the machine they were written on."""

from __future__ import annotations

import re

from tests.house import tree

CEILING = 400
NAMES_OF_NOTHING = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "misc", "stuff"}

# Written apart, so that this file does not find itself.
MACHINE = re.compile(r"/(?:work|root|home/[a-z]\w*|Users/\w+)" + r"/|/tmp/" + r"(?:venv|plan|bash)")
REGISTRY = re.compile(
    "|".join(
        [
            r"pypi" + r"\.org",
            r"python" + r"hosted\.org",
            r"npm" + r"js\.(?:org|com)",
            r"crates" + r"\.io",
            r"proxy\.golang" + r"\.org",
            r"maven" + r"\.(?:org|apache)",
            r"deb\.debian" + r"\.org",
            r"https?://[\w.-]*(?:mirror|artifact|nexus|registry|simple)[\w.-]*",
            r"https?://(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d",
        ]
    )
)


def offenders(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in tree.files()
        for number, line in enumerate(tree.text(path).splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_python_file_is_longer_than_400_lines():
    lengths = {str(path): len(tree.text(path).splitlines()) for path in tree.files(".py")}
    assert {path: lines for path, lines in lengths.items() if lines > CEILING} == {}


def test_a_file_is_a_noun():
    named = [str(path) for path in tree.files(".py") if NAMES_OF_NOTHING & {*path.parent.parts, path.stem}]
    assert named == []


def test_no_file_names_a_folder_of_a_machine():
    assert offenders(MACHINE) == []


def test_no_file_names_a_package_registry():
    assert offenders(REGISTRY) == []


def test_every_folder_of_tests_is_a_package_so_that_equal_file_names_do_not_clash():
    folders = {path.parent for path in tree.files(".py") if path.parts[0] == "tests"}
    assert [str(folder) for folder in folders if not (tree.ROOT / folder / "__init__.py").exists()] == []


def test_the_readme_shows_both_commands_on_its_first_screen():
    first_screen = "\n".join((tree.ROOT / "README.md").read_text().splitlines()[:24])
    assert "python3 example_project/demo.py" in first_screen
    assert "python3 tests/run.py" in first_screen


def test_the_readme_names_only_commands_that_are_there():
    named = re.findall(r"python3 ([\w/]+\.py)", (tree.ROOT / "README.md").read_text())
    assert named
    assert [name for name in named if not (tree.ROOT / name).exists()] == []
