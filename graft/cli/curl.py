"""The curl that does what a call does, to be pasted into a shell."""

import json
import shlex
from typing import Any, NoReturn
from urllib.parse import urlencode

import typer

from graft.cli.terminal import line
from graft.client.bodies import Folder
from graft.client.request import Call

# Ids that are known only when the line before has run, and the beginning of each: the shell's variables JOB, DATASET.
JOB, DATASET = "__JOB__", "__DATASET__"
_PREFIXES = {JOB: "job_", DATASET: "ds_"}


def end_with(call: Call[Any], url: str, key: str | None) -> NoReturn:
    """The program prints the curl and ends, instead of doing what it does."""
    line(command(call, url, key))
    raise typer.Exit


def command(call: Call[Any], url: str, key: str | None) -> str:
    """One line. The key itself is never in it."""
    words = ["curl -sS", *_method(call), *([] if key is None else ['-H "X-API-Key: $GRAFT_API_KEY"'])]
    if call.accept == "text/event-stream":
        words.append("-N -H 'Accept: text/event-stream'")
    if call.json is not None:
        words.append(f"-H 'Content-Type: application/json' -d {_quoted(json.dumps(call.json))}")
    words += [f"-H {_quoted(f'{name}: {value}')}" for name, value in call.headers().items()]
    words += [f"-F {_quoted(_form_file(picture.path or picture.name))}" for picture in call.pictures]
    before = ""
    if call.body:
        words.append(f"-H 'Content-Type: {call.body.media_type}'")
        if isinstance(call.body, Folder):
            before = f"{_tar(call.body)} | "
            words.append("-T -")
        else:
            words.append(f"-T {_quoted(str(call.body.path))}")
    address = f"{url.rstrip('/')}/api/v1{call.path}"
    if call.query:
        address += f"?{urlencode(call.query)}"
    return f"{before}{' '.join(words)} {_quoted(address)}"


def assignment(command: str, id: str = JOB) -> str:
    """A condition that keeps the id out of a command's answer; a refusal goes to stderr and does not hold."""
    variable = id.strip("_")
    expression = f"""s/.*"id": *"\\({_PREFIXES[id]}[a-z0-9]*\\)".*/\\1/p"""
    found = f"""{variable}=$(printf %s "$ANSWER" | sed -n '{expression}')"""
    refused = f"""{{ [ "${variable}" ] || {{ printf '%s\\n' "$ANSWER" >&2; false; }}; }}"""
    return f"ANSWER=$({command}) && {found} && {refused}"


def _method(call: Call[Any]) -> list[str]:
    implied = "POST" if call.json is not None or call.pictures else "GET"
    return [] if call.method == implied else [f"-X {call.method}"]


def _tar(folder: Folder) -> str:
    """What Folder sends, by tar: no hidden files, links followed but for those that are left out."""
    excluded = "".join(f" --exclude={_quoted(f'./{name}')}" for name in folder.left_out)
    return f"tar -chf - --hard-dereference --exclude='*/.*'{excluded} -C {_quoted(str(folder.path))} ."


def _form_file(path: object) -> str:
    """curl takes what follows a semicolon or a comma as something else, unless the name is in double quotes."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'file=@"{text}"' if set(text) & set(';,"\\') else f"file=@{text}"


def _quoted(text: str) -> str:
    """One word for the shell, in which a variable is still one."""
    for each in _PREFIXES:
        if each in text:
            return f'"${each.strip("_")}"'.join(_quoted(part) for part in text.split(each))
    return shlex.quote(text) if text else ""
