"""`{% load audit_text %}`: hostile text in templates."""

from django import template

from audit import text

register = template.Library()
register.filter("visible", text.visible)
