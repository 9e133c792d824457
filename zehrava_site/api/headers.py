"""What every answer says to the browser that shows it, and to whoever could keep it."""

from csp.middleware import CSPMiddleware
from django.http import HttpRequest, HttpResponseBase

HEADER = "Content-Security-Policy"
STRICT = "default-src 'none'; frame-ancestors 'none'"


class ContentPolicyMiddleware(CSPMiddleware):
    """Pages get the policy of the settings; answers of the API may load nothing and are kept by nobody.

    It is a middleware and not a habit of the views, so that no view and no error page can forget it. Building the
    pages' policy costs as much as a database query, which is why the API's is a constant.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not request.path_info.startswith(("/api/", "/v1/")):
            return super().process_response(request, response)
        headers = response.headers
        if "Cache-Control" not in headers:
            headers["Cache-Control"] = "no-store"
        # The documentation is a page and asks for a policy of its own; everything else is data.
        if hasattr(response, "_csp_config"):
            return super().process_response(request, response)
        if HEADER not in headers:
            headers[HEADER] = STRICT
        return response
