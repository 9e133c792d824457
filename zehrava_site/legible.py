"""A request is text that can be read in one way and stored: UTF-8, without U+0000. Any other is refused at the door."""

import codecs
from collections.abc import Callable, Iterator

from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.utils.html import escape

from zehrava.problems import Problem
from zehrava_site.api.problems import answer, is_api

NUL = "\x00"
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>{detail}</p><p>Nothing was changed.</p></body>
</html>
"""


class LegibleMiddleware:
    """Refuses U+0000 in path, query, cookies and form fields, and charsets other than UTF-8.

    PostgreSQL stores no U+0000 and fails on being asked about one; refused once, no view and no form has to think of
    it. Bodies of the API are JSON: their parser refuses it with its path. Django decodes a query by the charset that
    the Content-Type claims, so that one is refused whether or not there is a body.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        problem = illegible(request)
        if problem is None:
            return self.get_response(request)
        return answer(problem) if is_api(request) else _page(problem)


def illegible(request: HttpRequest) -> Problem | None:
    """What is wrong with the text of this request; None where nothing is."""
    charset = (request.content_params or {}).get("charset")
    if charset is not None and not _is_utf_8(charset):
        return Problem("unsupported-media-type", "Send text as UTF-8, and name no other charset in Content-Type.")
    for place, text in _texts(request):
        if NUL in text:
            return Problem("malformed-request", f"There is U+0000 (NUL) in the {place}; leave it out.")
    return None


def _texts(request: HttpRequest) -> Iterator[tuple[str, str]]:
    yield "address", request.path_info
    yield from (("query", text) for text in _words(request.GET))
    # A quoted cookie may hold any character as an octal escape.
    yield from (("cookies", name + value) for name, value in request.COOKIES.items())
    if not is_api(request):
        yield from (("form", text) for text in _words(request.POST))


def _words(fields: QueryDict) -> Iterator[str]:
    for name, values in fields.lists():
        yield name
        yield from map(str, values)


def _is_utf_8(charset: str) -> bool:
    try:
        return codecs.lookup(charset).name == "utf-8"
    except (LookupError, ValueError):
        return False


def _page(problem: Problem) -> HttpResponse:
    text = PAGE.format(title=escape(problem.title), detail=escape(problem.detail))
    return HttpResponse(text, status=problem.status)
