"""Executes the SQL blocks of documents and compares their output with what stands there.

A document runs in a fresh database, in one psql session, from top to bottom. A block is a test:

  ```sql   Statements. A ```text block right below it is the output that psql prints for them. Without one the statements
           may print what they like, but must not raise an error.
  ```psql  A transcript: statements after `=> ` (continued after `-> `), each followed by its output as `psql -t` prints
           it. Blank lines do not count.

What is random in the output (codes, uuids, times) is masked on both sides, and runs of blanks and dashes are folded, since
the width of a column follows from them. A code that a document shows stands for the one that was really issued: when a
later statement spells it, the real one is sent, in the same spelling (case, blanks, hyphens).

What the reference says of a setting is compared with the server (settings.py), and so are its duties and the checks of doctor
(lists.py).

What documents say about this tree besides is looked for by claims.py.
"""

import difflib
import os
import re
import subprocess
import sys

import claims
import lists
import settings

# The page with a heading for every setting, the duties and the checks of doctor.
REFERENCE = "docs/reference.md"

# Five symbols in a group, the last group maybe shorter; or at least 25 symbols without groups.
CODE = re.compile(
    r"\b[0-9A-HJKMNP-TV-Z]{5}(?:-[0-9A-HJKMNP-TV-Z]{5})*-[0-9A-HJKMNP-TV-Z]{1,5}\b"
    r"|\b[0-9a-f]{5}(?:-[0-9a-f]{5})*-[0-9a-f]{1,5}\b"
    r"|\b[0-9]{25,64}\b"
)
# The same in a statement, where a user may have typed it.
TYPED = re.compile(r"(?<=')[0-9A-Za-z]+(?:[- ]+[0-9A-Za-z]+)*(?=')")
MASKS = [
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d(?::?\d\d)?)?(?!\d)"), "<time>"),
    (re.compile(r"\bPID \d+"), "PID <pid>"),
    (CODE, "<code>"),
    (re.compile(r"^[-+]*--[-+]*$", re.M), "--"),
    (re.compile(r"[ \t]+"), " "),
]
ERROR = re.compile(r"^(?:ERROR|FATAL|PANIC|error):|^invalid command|^\\\w+: ", re.M)
FENCE = re.compile(r"^```(\w*)\s*$")
SPACED = {"-": "-", " ": " "}


class Block:
    """A fenced block: its language, the line it begins at, its text, and the output that stands below it."""

    def __init__(self, language, line):
        self.language, self.line, self.text, self.expected = language, line, "", None


def blocks(path):
    """The sql and psql blocks of a document."""
    found, block, near = [], None, None
    with open(path, encoding="utf-8") as document:
        for number, line in enumerate(document, 1):
            fence = FENCE.match(line)
            if block is not None and fence:
                if block.language == "text" and near is not None:
                    near.expected = block.text
                near = block if block.language == "sql" else None
                if block.language in ("sql", "psql"):
                    found.append(block)
                block = None
            elif block is not None:
                block.text += line
            elif fence:
                block = Block(fence[1], number)
            elif line.strip():
                near = None
    if block is not None:
        raise SystemExit(f"{path}:{block.line}: the block is not closed")
    return found


def steps(block):
    """Pairs of statements and their output, None where none is expected."""
    if block.language == "sql":
        return [(block.text, block.expected)]
    pairs = []
    for line in block.text.splitlines(keepends=True):
        if line.startswith("=> "):
            pairs.append([line[3:], ""])
        elif line.startswith("-> "):
            pairs[-1][0] += line[3:]
        else:
            pairs[-1][1] += line
    return pairs


def complete(statements):
    """Whether psql has nothing left to wait for: the last statement is ended, or sent by a backslash command."""
    lines = [line.split("--")[0].rstrip() for line in statements.splitlines()]
    last = next((line for line in reversed(lines) if line), ";")
    return last.endswith(";") or "\\" in last


def masked(output):
    """The output as it is compared."""
    for pattern, mask in MASKS:
        output = pattern.sub(mask, output)
    return "\n".join(line.strip() for line in output.splitlines() if line.strip())


def folded(code):
    """The symbols of a code, in one spelling."""
    return re.sub(r"[- ]", "", code).upper()


class Codes:
    """Which issued code stands behind a code of the document."""

    def __init__(self):
        self.issued = {}

    def learn(self, expected, output):
        """Pairs the codes of two equal outputs; False when the document gives one code two meanings."""
        for shown, issued in zip(CODE.findall(expected), CODE.findall(output), strict=False):
            if folded(self.issued.setdefault(folded(shown), issued)) != folded(issued):
                return False
        return True

    def apply(self, statements):
        """The statements with issued codes in place of those the document shows."""
        return TYPED.sub(lambda typed: self.respell(typed[0]), statements)

    def respell(self, typed):
        issued = self.issued.get(folded(typed))
        if issued is None:
            return typed
        symbols = iter(re.sub(r"-", "", issued))
        spelled = "".join(SPACED.get(c) or next(symbols) for c in typed)
        return spelled.lower() if typed == typed.lower() else spelled


class Psql:
    """A psql session that is fed statements and asked for what they print."""

    MARK = "--- end of block ---"

    def __init__(self, bindir, database):
        self.process = subprocess.Popen(
            [f"{bindir}/psql", "-X", "-q", "-d", database],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            env=os.environ | {"PGCLIENTENCODING": "UTF8", "PGOPTIONS": "-c lc_messages=C", "PGTZ": "UTC"},
        )

    def run(self, statements):
        """Everything that psql prints for the statements."""
        try:
            self.process.stdin.write(f"{statements}\n\\echo {self.MARK}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return "error: psql has ended\n"
        output = ""
        for line in self.process.stdout:
            if line == f"{self.MARK}\n":
                return output
            output += line
        return f"{output}error: psql has ended\n"

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def failure(psql, codes, block):
    """Runs a block; None, or what is wrong with it."""
    transcript = block.language == "psql"
    psql.run("\\set QUIET off\n\\t on" if transcript else "\\set QUIET on\n\\t off")
    problem = None
    for statements, expected in steps(block):
        if not complete(statements):
            return "the last statement is not ended"
        output = psql.run(codes.apply(statements))
        if expected is None:
            if ERROR.search(output):
                problem = problem or output
            continue
        wanted, got = masked(expected), masked(output)
        if wanted != got:
            diff = difflib.unified_diff(wanted.splitlines(), got.splitlines(), "document", "psql", lineterm="")
            problem = problem or "\n".join([*diff, "psql printed:", output])
        elif not codes.learn(expected, output):
            problem = problem or f"a code stands for two issued ones:\n{output}"
    if transcript:
        psql.run("\\set QUIET on\n\\t off")
    return problem


def check(bindir, path):
    """Runs a document; how many blocks passed and failed."""
    def admin(*statements):
        command = [f"{bindir}/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres"]
        for statement in statements:
            command += ["-c", statement]
        quiet = os.environ | {"PGOPTIONS": "-c client_min_messages=warning"}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=quiet)

    database = "docs_" + re.sub(r"\W", "_", os.path.basename(path)).lower()
    found = blocks(path)
    if not found:
        return 0, 0
    # Roles outlive their database, and a run that was broken off leaves them.
    roles = sorted({role for block in found for role in re.findall(r"CREATE ROLE (\w+)", block.text)})
    clean = [f"DROP DATABASE IF EXISTS {database} WITH (FORCE)", *(f"DROP ROLE IF EXISTS {role}" for role in roles)]
    admin(*clean)
    admin(f"CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8'")
    psql, codes, failed = Psql(bindir, database), Codes(), 0
    for block in found:
        problem = failure(psql, codes, block)
        print(f"{'not ok' if problem else 'ok'} {path}:{block.line} {block.text.splitlines()[0][:70]}", flush=True)
        if problem:
            failed += 1
            print("    " + problem.rstrip().replace("\n", "\n    "), flush=True)
    psql.close()
    admin(*clean)
    return len(found) - failed, failed


def main(bindir, *paths):
    results = [claims.check(path) for path in paths] + [check(bindir, path) for path in paths]
    results += [part.check(bindir, path) for part in (settings, lists) for path in paths if path == REFERENCE]
    passed, failed = (sum(column) for column in zip(*results, strict=True))
    print(f"docs: {passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
