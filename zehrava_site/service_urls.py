"""Health, schema and documentation."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
