"""What every answer of the API says to whoever keeps or shows it."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

STRICT = "default-src 'none'; frame-ancestors 'none'"


class ApiHeadersMiddleware:
    """Answers of the API are kept by nobody and, opened in a browser, may load nothing.

    It is a middleware and not a habit of the views, so that no view and no error page can forget it. It stands inside
    of the middleware for Content-Security-Policy, which leaves a policy alone that is already there.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.path_info.startswith(("/api/", "/v1/")):
            response.headers.setdefault("Cache-Control", "no-store")
            # A page of ours asks for its own policy; everything else is data.
            if not hasattr(response, "_csp_config"):
                response.headers.setdefault("Content-Security-Policy", STRICT)
        return response
