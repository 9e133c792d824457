"""Every address of the portal."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index", permanent=False)),
    path("admin/", admin.site.urls),
    path("api/v1/", include("intents.api.urls")),
    path("api/v1/", include("reviews.api_urls")),
    path("api/v1/", include("audit.api_urls")),
    path("", include("zehrava_site.service_urls")),
]

handler400 = "zehrava_site.api.problems.bad_request"
handler403 = "zehrava_site.api.problems.permission_denied"
handler404 = "zehrava_site.api.problems.page_not_found"
handler500 = "zehrava_site.api.problems.server_error"
