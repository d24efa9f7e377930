"""What the reader is told to type exists: commands, options, files, extras, environments."""

from __future__ import annotations

import re
import tomllib
from argparse import ArgumentParser
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from tests.docs.pages import PAGES, READMES, ROOT, commands, name

TYPED = [
    pytest.param(words, id=f"{name(page)}:{line}")
    for page in [*READMES, *PAGES]
    for line, words in commands(page)
]
OTHER_PROGRAMS = {
    ("pip", "install", "-e", "."),
    ("python3", "-m", "venv"),
    (".", ".venv/bin/activate"),
    ("django-admin", "startproject"),
    ("cd",),
}
PLACES = [ROOT, ROOT / "example_project"]


@pytest.mark.parametrize("words", TYPED)
def test_what_the_reader_types_exists(words: list[str]):
    match words:
        case ["python", "manage.py", command, *arguments]:
            parser(command).parse_args(arguments)
        case ["pip", "install", *requirements] if requirements != ["-e", "."]:
            for requirement in requirements:
                assert set(extras(requirement)) <= set(pyproject()["project"]["optional-dependencies"])
        case ["python" | "python3", script, *arguments] if script.endswith(".py"):
            (path,) = [place / script for place in PLACES if (place / script).is_file()][:1]
            options = [word.partition("=")[0] for word in arguments if word.startswith("--")]
            assert [option for option in options if f'"{option}"' not in path.read_text("utf-8")] == []
        case ["tox", "-e", environment]:
            assert f"[testenv:{environment}]" in (ROOT / "tox.ini").read_text("utf-8")
        case _:
            assert any(tuple(words[: len(known)]) == known for known in OTHER_PROGRAMS), words


def parser(command: str) -> ArgumentParser:
    """Return the command's own parser, as `--help` shows it; it ends the test on what it does not know."""
    where = get_commands()[command]
    kind = load_command_class(where, command) if isinstance(where, str) else where
    made = kind.create_parser("manage.py", command)
    below = [
        sub for action in made._actions if isinstance(action.choices, dict) for sub in action.choices.values()
    ]
    for one in [made, *below]:
        one.allow_abbrev = False  # half an option is none
    return made


def extras(requirement: str) -> list[str]:
    found = re.fullmatch(r"openqueue(?:\[(.*)\])?", requirement)
    assert found, requirement
    return found[1].split(",") if found[1] else []


def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_named_in_a_sentence_exist(page: Path):
    text = page.read_text("utf-8")
    named = set(re.findall(r"\b(openqueue_(?:\w+))\b", text)) - tables() - {"openqueue_workbench"}
    assert named - set(get_commands()) == set()
    for written in re.findall(r'pip install "(openqueue[^"]*)"', text):
        assert set(extras(written)) <= set(pyproject()["project"]["optional-dependencies"])


def tables() -> set[str]:
    from django.apps import apps

    return {model._meta.db_table for model in apps.get_app_config("openqueue").get_models()}
