"""The house style, where a machine can see it."""

import ast
import statistics
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "tenfold"
FILES = sorted(SOURCE.rglob("*.py"))


def _lengths() -> list[tuple[int, str]]:
    found = []
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                documented = ast.get_docstring(node) is not None
                first = node.body[1 if documented and len(node.body) > 1 else 0]
                found.append((node.end_lineno - first.lineno + 1, f"{file.relative_to(SOURCE)}:{node.name}"))
    return found


def test_functions_are_short() -> None:
    lengths = _lengths()
    sizes = [size for size, _ in lengths]
    assert max(lengths)[0] <= 50, max(lengths)
    assert statistics.median(sizes) <= 7
    assert statistics.quantiles(sizes, n=10)[8] <= 22


def test_files_have_one_subject() -> None:
    sizes = sorted((len(file.read_text().splitlines()), str(file.relative_to(SOURCE))) for file in FILES)
    assert sizes[-1][0] <= 400, sizes[-1]


def test_sql_lives_in_stores_and_the_context_in_the_door() -> None:
    verbs = ("SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "SET LOCAL")
    allowed = {
        "storage/migrate.py",
        "storage/postgres.py",
        "storage/clickhouse.py",
        "storage/probe.py",
        "engagement/events/archive_store.py",
    }
    for file in FILES:
        name = str(file.relative_to(SOURCE))
        if name.endswith("store.py") or name in allowed:
            continue
        strings = [node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)]
        sql = [text for text in strings if isinstance(text, str) and text.strip().startswith(verbs)]
        assert sql == [], name


def test_the_archive_is_asked_through_the_one_place_that_binds_the_workspace() -> None:
    asking = [file.relative_to(SOURCE) for file in FILES if ".clickhouse.query(" in file.read_text()]
    assert [str(file) for file in asking] == ["tenancy/analytics.py"]


def test_every_module_says_what_it_is_for() -> None:
    for file in FILES:
        assert ast.get_docstring(ast.parse(file.read_text())), file
