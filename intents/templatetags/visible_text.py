"""`{{ text|visible }}`: text that an agent or a person wrote, with nothing in it hidden."""

from typing import Any

from django import template
from django.utils.safestring import SafeString

from audit.text import visible as make_visible

register = template.Library()


@register.filter
def visible(text: Any) -> SafeString:
    return make_visible(str(text))
