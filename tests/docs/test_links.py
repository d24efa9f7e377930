"""Links inside the documentation lead somewhere; Sphinx says the same, here it is said without Sphinx."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, name, prose

LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?P<to>[^)\s]+)\)")
LISTED = re.compile(r"^```\{toctree\}\n(?P<body>.*?)^```", re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    text = prose(page)
    headings = re.findall(r"^#{1,3} (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path):
    broken = []
    for found in LINK.finditer(prose(page)):
        target, _, anchor = found["to"].partition("#")
        if "://" in found["to"]:
            continue
        to = (page.parent / target).resolve() if target else page
        if not to.is_file() or (anchor and anchor not in anchors(to)):
            broken.append(found["to"])
    assert broken == []


def test_every_page_is_in_a_table_of_contents():
    listed = {DOCS / "index.md"}
    for page in PAGES:
        for found in LISTED.finditer(page.read_text("utf-8")):
            for line in found["body"].splitlines():
                if line and not line.startswith(":"):
                    listed |= {to.resolve() for to in page.parent.glob(f"{line}.md")}
    assert [name(page) for page in PAGES if page not in listed] == []


@pytest.mark.parametrize("page", [page for page in PAGES if "0" not in page.stem[:1]], ids=name)
def test_a_page_begins_with_what_the_reader_will_be_able_to_do(page: Path):
    _, _, rest = page.read_text("utf-8").partition("\n\n")
    paragraph = rest.partition("\n\n")[0]
    assert re.match(r"(After this page|With OpenQueue) you|After this page ", paragraph), paragraph


def test_decisions_are_numbered_without_gaps_and_have_the_shape_of_the_template():
    records = sorted((DOCS / "decisions").glob("0*.md"))
    numbers = [int(record.stem[:4]) for record in records]
    assert numbers == list(range(1, len(numbers) + 1))
    for record in records:
        text = record.read_text("utf-8")
        assert text.startswith(f"# {record.stem[:4]}: ")
        shape = ["Status: ", "## Situation", "## Decision", "## Consequences", "## Not chosen"]
        assert [part for part in shape if f"\n{part}" not in text] == [], record.name


def test_the_roadmap_alone_speaks_of_what_is_not_there():
    words = r"\b(not yet|coming soon|in a future release|planned|TODO)\b"  # what no page may say
    later = re.compile(words, re.IGNORECASE)
    found = [
        name(page) for page in PAGES if later.search(prose(page)) and page.name not in {"index.md", "why.md"}
    ]
    assert found == []
    assert (ROOT / "docs" / "index.md").read_text("utf-8").count("Not yet in this release") == 1
