"""`{% if request.user|sees_all_intents %}`: for links to what counts over every intent; `reads_narrowly` for pages that
say why they count fewer."""

from typing import Any

from django import template

from intents import reading

register = template.Library()


@register.filter
def sees_all_intents(person: Any) -> bool:
    return reading.sees_all(person)


@register.filter
def reads_narrowly(person: Any) -> bool:
    return reading.reads_narrowly(person)
