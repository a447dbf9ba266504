"""Looks for what documents say about this tree: a name that has gone makes the page that says it fail.

  Links         A link to a place in this tree: the file exists, and has a heading of that name.
  Files         A path between backticks that begins with a directory of this tree exists. A part in capitals, as in
                `tests/SUITE/run`, stands for any name. A bare `name.rs` is somewhere below them.
  Names         A path followed by names in brackets, as in `src/lib.rs` (`_PG_init`): each stands in that file.
  Tests         A table column with the heading `test` says which tests prove a line: files, and names of tests in them.
  Lines         A table column with the heading `tried` names the test that runs the statement of the column `line`.
  Verdicts      A table with a target: the median, as it is printed, is on the side of it that the last column says.
"""

import glob
import os
import re

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$")
FENCE = re.compile(r"^```")
TREE = (".ci", "bench", "core", "docs", "examples", "formal", "fuzz", "mailer", "packaging", "pgrx-tests", "scripts", "sql",
        "src", "tests")
PATH = re.compile(rf"`((?:{'|'.join(map(re.escape, TREE))})/[^`\s]*)`(?: \(((?:`[^`]+`(?:, )?)+)\))?")
BARE = re.compile(r"`(\w+\.rs)`")
CAPITALS = re.compile(r"\b[A-Z]+\b")

# Where the tests of a suite are, as docs/security.md names them.
SUITES = {
    "pg_regress/": "tests/pg_regress/sql/{}.sql",
    "isolation/": "tests/isolation/specs/{}.spec",
    "host/": "tests/host/tests/{}.rs",
    "pgrx/": "pgrx-tests/{}.rs",
    "code": "core/src/code_tests.rs",
    "fold": "core/src/fold_tests.rs",
    "hash": "core/src/hash_tests.rs",
    "keyring": "core/src/keyring_tests.rs",
    "seal": "core/src/seal_tests.rs",
    "error": "src/pg/error_tests.rs",
}
SQL = re.compile(r"\"(SELECT [^\"]*)\"")
PROOF = re.compile(r"([a-z_]+/?)([a-z0-9_-]*)(?:: (`\w+`(?:, `\w+`)*))?")
# The attribute, maybe other attributes and comments, and the name.
TEST = re.compile(r"#\[(?:test|pg_test)\b[^]]*\]\s*(?:(?:#\[[^]]*\]|//[^\n]*)\s*)*fn (\w+)")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def prose(path):
    """The lines outside of code blocks, with their numbers."""
    inside = False
    for number, line in enumerate(read(path).splitlines(), 1):
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            yield number, line


def anchors(path):
    """What a link can say behind `#`, as GitHub makes it of a heading."""
    found = []
    for _, line in prose(path):
        heading = HEADING.match(line)
        if heading:
            text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading[1])
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return found


def broken(path, link):
    """What is wrong with a link of a document; None for a good one."""
    if re.match(r"[a-z]+:", link):
        return None
    file, _, anchor = link.partition("#")
    target = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
    if not os.path.exists(target):
        return f"{target} does not exist"
    if anchor and anchor not in anchors(target):
        return f"{target} has no heading for #{anchor}"
    return None


def missing(path, names):
    """What is not there of a path and the names that it is said to hold; None when all is."""
    found = glob.glob(CAPITALS.sub("*", path))
    if not found:
        return f"{path} does not exist"
    for name in re.findall(r"`([^`]+)`", names or ""):
        if not any(os.path.isfile(file) and re.search(rf"\b{re.escape(name)}\b", read(file)) for file in found):
            return f"{path} has no {name}"
    return None


def tables(path):
    """The rows below each heading row of a document: line number and cells by heading."""
    headings = None
    for number, line in prose(path):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else None
        if cells is None:
            headings = None
        elif headings is None:
            headings = cells
        elif not set(line.strip()) <= set("|-: "):
            yield number, dict(zip(headings, cells, strict=False))


def unproved(proof):
    """What does not exist of the tests that a cell names; None when all do."""
    if proof in ("", "the same"):
        return None
    for part in proof.split("; "):
        match = PROOF.fullmatch(part)
        place = SUITES.get(match[1]) if match else None
        if place is None:
            return f"no suite is called {part}"
        path = place.format(match[2])
        if not os.path.isfile(path):
            return f"{path} does not exist"
        names = TEST.findall(read(path))
        for name in re.findall(r"\w+", match[3] or ""):
            if name not in names:
                return f"{path} has no test {name}"
    return None


def untried(row):
    """What is wrong with a line that a test is said to run; None when the test has its statement, and where none is said to."""
    for file, _ in PATH.findall(row["tried"]):
        for statement in SQL.findall(row["line"]):
            if not os.path.isfile(file) or statement not in read(file):
                return f"{file} does not run {statement}"
    return None


def misjudged(row):
    """What is wrong with the verdict of a row about a target; None when the figure that it shows says the same."""
    median, target = (re.search(r"[\d,.]*\d", row[name]) for name in ("median (range)", "target"))
    if median is None or target is None:
        return None
    median, bound = (float(figure[0].replace(",", "")) for figure in (median, target))
    reached = median >= bound if row["target"].startswith("≥") else median <= bound
    return None if reached == (row["reached"] == "yes") else f"{row['median (range)']} is called {row['reached']}"


def claims(path):
    """Each claim of a document: the line, what is claimed, and what is wrong with it."""
    for number, line in prose(path):
        for link in LINK.findall(line):
            yield number, f"link to {link}", broken(path, link)
        for file in BARE.findall(line):
            found = any(glob.glob(f"{folder}/**/{file}", recursive=True) for folder in TREE)
            yield number, file, None if found else f"no {file} is in the tree"
        for file, names in PATH.findall(line):
            yield number, f"{file} {names}".strip(), missing(file, names)
    for number, row in tables(path):
        if "test" in row:
            yield number, "names of tests", unproved(row["test"])
        if {"line", "tried"} <= row.keys():
            yield number, "line of a driver", untried(row)
        if {"median (range)", "target", "reached"} <= row.keys():
            yield number, "verdict on a target", misjudged(row)


def check(path):
    """Looks for everything that a document claims; how many claims hold and fail."""
    found = list(claims(path))
    failed = [(number, claim, problem) for number, claim, problem in found if problem]
    for number, claim, problem in failed:
        print(f"not ok {path}:{number} {claim}\n    {problem}", flush=True)
    return len(found) - len(failed), len(failed)
