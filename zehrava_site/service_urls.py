"""Health, the keys that verify what the portal signed, schema and documentation."""

from django.urls import path

from audit import well_known
from zehrava_site import health
from zehrava_site.api.documentation import DocumentationView, SchemaView

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path(".well-known/jwks.json", well_known.jwks, name="jwks"),
    path("api/schema", SchemaView.as_view(), name="api-schema"),
    path("api/docs", DocumentationView.as_view(), name="api-docs"),
]
