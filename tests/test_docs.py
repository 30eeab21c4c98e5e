"""The documents against the program: commands, examples, Python lines, and the tree of files."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matinee.cli import main
from matinee.cli.app import COMMANDS, Command, build_app
from matinee.settings import _KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "commands"
SHARED = {"--quiet", "--json", "--debug", "--help", "--version"}

by_words = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.words)


@by_words
def test_a_command_has_help_with_its_examples(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.words.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert command.summary in out
    assert command.examples
    for example in command.examples:
        assert f"  {example}\n" in out


@by_words
def test_every_option_is_described(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    main([*command.words.split(), "--help"])
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("  --"):
            assert re.fullmatch(r"  --[^:]+: \S.*", line), line


@by_words
def test_an_example_is_a_call_that_is_understood(command: Command) -> None:
    for example in command.examples:
        first, *words = shlex.split(example)
        assert first == "matinee"
        build_app().parse_args(words, exit_on_error=False, print_error=False)
        assert words[: len(command.words.split())] == command.words.split()


@by_words
def test_a_command_has_a_page_with_its_examples_and_options(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (PAGES / f"{command.words.replace(' ', '-')}.md").read_text()
    assert page.startswith(f"# matinee {command.words}\n")
    for example in command.examples:
        assert f"\n{example}\n" in page
    main([*command.words.split(), "--help"])
    options = set(re.findall(r"(?<![\w-])--[a-z-]+", _options_part(capsys.readouterr().out))) - SHARED
    missing = [option for option in sorted(options) if f"`{option}`" not in page]
    assert not missing


def test_every_page_belongs_to_a_command_and_is_listed() -> None:
    names = {f"{command.words.replace(' ', '-')}.md" for command in COMMANDS}
    assert {path.name for path in PAGES.glob("*.md")} == names | {"README.md"}
    index = (PAGES / "README.md").read_text()
    for command in COMMANDS:
        page = f"{command.words.replace(' ', '-')}.md"
        assert f"| [`matinee {command.words}`]({page}) | `matinee.{command.twin}` |" in index


def test_every_setting_is_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for key in _KEYS:
        assert f"| `{key}` |" in text


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    for path in folder.glob("2*.md"):
        title, _, date = path.read_text().split("\n")[:3]
        assert f"| {date} | [{title.removeprefix('# ')}]({path.name}) |" in index


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/**/*.md")) + sorted(ROOT.glob("*.md")), ids=lambda p: p.name)
def test_a_link_inside_the_documents_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
        assert "://" in target or (path.parent / target).exists(), target


def test_the_readmes_python_lines_run(small_logs: dict[str, Path]) -> None:
    (code,) = _blocks((ROOT / "README.md").read_text(), "python")
    Path("ratings.csv").write_bytes(small_logs["ratings.csv"].read_bytes())
    assert 5 <= len([line for line in code.splitlines() if line.strip()]) <= 6
    exec(compile(code, "README.md", "exec"), {})


def test_the_readmes_tree_is_the_one_that_is_there() -> None:
    (tree,) = [block for block in _blocks((ROOT / "README.md").read_text(), "") if block.startswith("matinee/\n")]
    told = dict(_told(tree))
    there = _there()
    for folder in [""] + [path for path in told if path.endswith("/") and _children(path, told)]:
        assert _children(folder, told) == _children(folder, there), folder or "the root"
    silent = [path for path, comment in told.items() if not comment and not _children(path, told)]
    assert not silent, "every line of the tree says what it is for, unless its children do"


def test_the_readme_names_the_commands_of_the_makefile() -> None:
    readme = (ROOT / "README.md").read_text()
    for target in ("rehearse", "test"):
        assert f"$ make {target}\n" in readme
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_settings_example_is_read(tmp_path: Path) -> None:
    from matinee.settings import read_settings

    (text,) = _blocks((ROOT / "docs" / "architecture.md").read_text(), "toml")
    (tmp_path / "matinee.toml").write_text(text)
    assert read_settings({}, tmp_path).store == "s3://ratings"


def _options_part(text: str) -> str:
    """Help without its summary and its examples."""
    return text.partition("\nExamples:")[0]


def _blocks(text: str, language: str) -> list[str]:
    return [
        block
        for found, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        if found == language
    ]


def _told(tree: str) -> Iterator[tuple[str, str]]:
    """Path -> comment of a tree drawn with two spaces a level; folders end with '/'."""
    stack: list[str] = []
    for line in tree.splitlines()[1:]:
        name, _, comment = line.strip().partition("  ")
        level = (len(line) - len(line.lstrip())) // 2 - 1
        del stack[level:]
        yield "".join([*stack, name]), comment.strip()
        stack.append(name)


def _there() -> dict[str, str]:
    """Every file and folder that git has or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [path for path in listed.stdout.splitlines() if (ROOT / path).exists()]
    folders = {f"{parent}/" for path in paths for parent in Path(path).parents if str(parent) != "."}
    return dict.fromkeys([*paths, *folders], "")


def _children(folder: str, paths: dict[str, str]) -> set[str]:
    return {path for path in paths if re.fullmatch(re.escape(folder) + r"[^/]+/?", path)}
