"""The OpenAPI document and its pages, which work without any other server."""

import functools
from typing import Any

from csp.constants import NONE, SELF, UNSAFE_INLINE
from csp.decorators import csp
from django.utils.decorators import method_decorator
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

# The page's own style sheet and script, and the inline styles that its interface sets; nothing from elsewhere.
POLICY = {
    "default-src": [NONE],
    "script-src": [SELF],
    "style-src": [SELF, UNSAFE_INLINE],
    "img-src": [SELF, "data:"],
    "font-src": [SELF, "data:"],
    "connect-src": [SELF],
    "base-uri": [NONE],
    "form-action": [NONE],
    "frame-ancestors": [NONE],
}


@functools.cache
def document() -> Any:
    """The OpenAPI document: made once, since it says the same to everyone and takes long to make."""
    return SchemaGenerator().get_schema(request=None, public=True)


class SchemaView(SpectacularAPIView):
    """`/api/schema`, as YAML or JSON by the Accept header."""

    metadata_class = None

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(document())


@method_decorator(csp(POLICY), name="dispatch")
class DocumentationView(SpectacularSwaggerSplitView):
    """`/api/docs`"""

    url_name = "api-schema"
    metadata_class = None
