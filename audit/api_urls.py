"""Addresses of the audit API, below `/api/v1`."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
