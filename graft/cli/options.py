"""The options that several commands take."""

from typing import Annotated

import typer

from graft.client import DEFAULT_URL

Url = Annotated[str, typer.Option("--url", envvar="GRAFT_URL", help="Where the service listens.")]
Key = Annotated[
    str | None,
    typer.Option("--key", envvar="GRAFT_API_KEY", help="An API key, where the service asks for one.", metavar="KEY"),
]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON, and nothing else on stdout.")]
Curl = Annotated[bool, typer.Option("--curl", help="Print the curl that does the same, instead of doing it.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it has ended.")]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", help="Seconds for one request, from when the service has it; then it is given up."),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="List so many at most.")]

Name = Annotated[str | None, typer.Option("--name", help="The dataset's name; the folder's, unless given.")]
ValidationSplit = Annotated[
    float | None,
    typer.Option("--validation-split", help="Fraction to validate on, where the folder has no split of its own."),
]
TestSplit = Annotated[
    float | None,
    typer.Option("--test-split", help="Fraction to test on, where the folder has no split of its own."),
]
Boxes = Annotated[
    str | None,
    typer.Option("--boxes", help="Where boxes are annotated: crop (a picture for each box, the default) or whole."),
]
SplitSeed = Annotated[int | None, typer.Option("--split-seed", min=0, help="Another seed draws other splits.")]

URL = DEFAULT_URL
