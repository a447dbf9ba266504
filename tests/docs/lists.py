"""Compares tables of the reference with an installed extension: the functions of each duty, and the checks of doctor."""

import re
import subprocess

import claims

DATABASE = "docs_lists"
# A function by its name without overloads; a view or a schema as it is.
DUTIES = r"""
SELECT DISTINCT duty || ' ' || coalesce(substring(object FROM 'backup_codes_(\w+)\('), split_part(object, ' ', 2))
  FROM backup_codes.duty_privileges()
"""
CHECKS = "SELECT check_name FROM backup_codes_doctor()"
# Words of a cell that name nothing.
WORDS = {"EXECUTE", "USAGE", "SELECT", "on", "schema", "and"}


def installed(bindir):
    """What the server has of both, each as a list of lines."""
    def psql(database, *statements):
        command = [f"{bindir}/psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database]
        for statement in statements:
            command += ["-c", statement]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout.splitlines()

    drop = f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"
    psql("postgres", "SET client_min_messages = warning", drop, f"CREATE DATABASE {DATABASE} TEMPLATE template0")
    psql(DATABASE, "CREATE EXTENSION backup_codes")
    lists = sorted(psql(DATABASE, DUTIES)), psql(DATABASE, CHECKS)
    psql("postgres", drop)
    return lists


def documented(path):
    """The same from the tables with a heading `duty` and `check`."""
    duties, checks = [], []
    for _, row in claims.tables(path):
        if {"duty", "privileges"} <= row.keys():
            names = set(re.findall(r"[\w.]+", row["privileges"])) - WORDS
            duties += [f"{row['duty']} {name}" for name in names]
        if {"check", "fires when"} <= row.keys():
            checks.append(row["check"].strip("`"))
    return sorted(duties), checks


def check(bindir, path):
    """Prints what differs; how many of the lists agree, and how many do not."""
    failed = 0
    for name, real, written in zip(("duties", "checks of doctor"), installed(bindir), documented(path), strict=True):
        problems = [f"has no {line}" for line in real if line not in written]
        problems += [f"has {line}, which is not there" for line in written if line not in real]
        if not problems and real != written:
            problems = ["is in another order"]
        failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {path} {name}", *problems, sep="\n    ", flush=True)
    return 2 - failed, failed
