"""`python -m graft.cli`"""

from graft.cli import app

app()
