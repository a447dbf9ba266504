"""Compares the reference's section of every setting with what the server says of that setting."""

import json
import re
import subprocess

QUERY = r"""
SELECT json_agg(s ORDER BY name)
  FROM (SELECT name, vartype, boot_val, min_val, max_val, unit, enumvals, context
          FROM pg_settings WHERE name LIKE 'backup\_codes.%') AS s
"""
UNITS = {None: "", "kB": " in kB", "s": " in seconds"}
CONTEXTS = {"superuser": "set by superusers", "user": "set by any user", "sighup": "taken up on reload"}
# What a server that preloads the library calls postmaster is sighup elsewhere: PostgreSQL takes no other there.
AT_START = {"backup_codes.throttle_entries": "with a restart"}


def registered(bindir):
    """The settings that the library registers, by name."""
    command = [f"{bindir}/psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-c", "LOAD 'backup_codes'", "-c", QUERY]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    return {setting["name"]: setting for setting in json.loads(output)}


def documented(path):
    """The words below each heading that names a setting, without the examples."""
    with open(path, encoding="utf-8") as document:
        prose = re.sub(r"^```.*?^```$", "", document.read(), flags=re.M | re.S)
    sections = re.split(r"^#+ (.*)\n", prose, flags=re.M)
    named = dict(zip(sections[1::2], sections[2::2], strict=True))
    return {
        name: " ".join(text.split())
        for name, text in named.items()
        if re.fullmatch(r"backup_codes\.\w+", name)
    }


def missing(setting, text):
    """What the words about a setting do not say."""
    default = setting["boot_val"] or "''"
    if not text.endswith(f"The default is `{default}`."):
        yield f"does not end with the default `{default}`"
    wanted = [AT_START.get(setting["name"]) or CONTEXTS[setting["context"]]]
    if setting["vartype"] == "integer":
        wanted.append(f"an integer from {setting['min_val']} to {setting['max_val']}{UNITS[setting['unit']]}")
    if setting["vartype"] == "bool":
        wanted.append("a boolean")
    wanted += [f"`{word}`" for word in setting["enumvals"] or []]
    for words in wanted:
        if words.lower() not in text.lower():
            yield f"does not say: {words}"


def check(bindir, path):
    """Prints what is wrong; how many settings are documented as they are, and how many are not."""
    real, described = registered(bindir), documented(path)
    failed = 0
    for name in sorted(real | described):
        if name not in described:
            problems = ["has no heading"]
        elif name not in real:
            problems = ["is no setting"]
        else:
            problems = list(missing(real[name], described[name]))
        failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {path} {name}", *problems, sep="\n    ", flush=True)
    return len(real | described) - failed, failed
