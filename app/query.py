"""Query parameters that a route does not know are refused: a misspelt filter must not answer with everything."""

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute

from graft.errors import InvalidFields


async def refuse_unknown(request: Request) -> None:
    """Raises InvalidFields for query parameters that the endpoint's signature, or a model in it, does not declare."""
    known = declared(request.scope["route"])
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        takes = f"the query parameters {', '.join(sorted(known))}" if known else "no query parameters"
        raise InvalidFields(f"This route takes {takes}; received {', '.join(name[:100] for name in unknown)}.")


def declared(route: APIRoute) -> set[str]:
    """The names of a route's query parameters; those of a model are its fields."""
    return {field.alias for field in get_flat_params(Dependant(query_params=route.dependant.query_params))}
