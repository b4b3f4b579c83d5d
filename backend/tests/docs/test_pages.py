"""The pages themselves: links lead somewhere, the linked documents exist, blocks have a known language."""

from __future__ import annotations

import re

import pytest

from backend.tests.docs.pages import DATA, DOCS, ROOT, RUN, SHOWN, Page, page, pages

NAMES = [one.name for one in pages()]


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name):
    here = page(name)
    for link in here.links():
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = Page((here.path.parent / path).resolve()) if path else here
        assert target.path.is_file(), f"{name}: {link}"
        if anchor:
            assert anchor in target.anchors(), f"{name}: {link}"


@pytest.mark.parametrize("name", NAMES)
def test_every_block_has_a_language_that_is_run_or_known(name):
    for block in page(name).blocks():
        assert block.language in (*RUN, *SHOWN, *DATA), f"{name}:{block.line}: {block.language}"
        assert block.language, f"{name}:{block.line}: a block without a language"


@pytest.mark.parametrize(
    "name", ["authentication", "database-schema", "extropy-tokens", "card-publishing", "celery-setup"]
)
def test_the_documents_that_the_specification_links_to_exist_under_those_names(name):
    assert page(f"docs/{name}.md").text.startswith("# ")


def test_every_page_is_reached_from_the_index():
    reached: set[str] = set()
    waiting = [page("README.md"), page("docs/README.md")]
    while waiting:
        here = waiting.pop()
        if here.name in reached:
            continue
        reached.add(here.name)
        for link in here.links():
            target = (here.path.parent / link.partition("#")[0]).resolve()
            if not re.match(r"[a-z]+:", link) and target.suffix == ".md" and target.is_file():
                waiting.append(Page(target))
    assert sorted(set(NAMES) - reached - {"CHANGELOG.md"}) == []


def test_decisions_are_numbered_without_gaps_and_listed():
    files = sorted(path.name for path in (DOCS / "decisions").glob("0*.md"))
    assert [name[:4] for name in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    listed = re.findall(r"\((0\d{3}-[a-z0-9-]+\.md)\)", page("docs/decisions/README.md").text)
    assert listed == files
    for name in files:
        assert page(f"docs/decisions/{name}").text.startswith(f"# {name[:4]}: ")


def test_the_readme_begins_with_the_two_commands():
    first = page("README.md").blocks()[0]
    commands = [line.split("#")[0].strip("$ ") for line in first.text.splitlines()]
    assert (first.language, commands) == ("console", ["make demo", "make up"])
    assert ROOT.joinpath("Makefile").is_file()
