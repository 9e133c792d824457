"""Hostile text is escaped, isolated, and hides nothing (promise 8)."""

import re
import unicodedata

import pytest

from audit.text import plainly, visible, visible_lines


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("\u202e", "RIGHT-TO-LEFT OVERRIDE"),
        ("\u2066", "LEFT-TO-RIGHT ISOLATE"),
        ("\u200b", "ZERO WIDTH SPACE"),
        ("\u200d", "ZERO WIDTH JOINER"),
        ("\ufeff", "ZERO WIDTH NO-BREAK SPACE"),
        ("\u00ad", "SOFT HYPHEN"),
        ("\u00a0", "NO-BREAK SPACE"),
        ("\u3000", "IDEOGRAPHIC SPACE"),
        ("\u2028", "LINE SEPARATOR"),
        ("\u2029", "PARAGRAPH SEPARATOR"),
        ("\u034f", "COMBINING GRAPHEME JOINER"),
        ("\u3164", "HANGUL FILLER"),
        ("\u2800", "BRAILLE PATTERN BLANK"),
        ("\ufe0f", "VARIATION SELECTOR-16"),
        ("\U000e0100", "VARIATION SELECTOR-17"),
        ("\U000e0041", "TAG LATIN CAPITAL LETTER A"),
        ("\ue000", "PRIVATE-USE CHARACTER"),
        ("\U0010fffd", "PRIVATE-USE CHARACTER"),
        ("\u0378", "UNASSIGNED CHARACTER"),
        ("\ud800", "LONE SURROGATE"),
        ("\x00", "NULL"),
        ("\x1b", "ESCAPE"),
        ("\r", "CARRIAGE RETURN"),
        ("\x9f", "CONTROL CHARACTER"),
    ],
)
def test_a_hidden_character_becomes_a_chip_that_names_it(character, name):
    shown = visible(f"a{character}b")
    assert shown == f'<bdi>a<span class="zhv-chip" title="{name}">U+{ord(character):04X}</span>b</bdi>'


def test_no_hidden_character_of_unicode_survives():
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
    every = "".join(
        chr(point) for point in range(0x110000) if unicodedata.category(chr(point)) in hidden and chr(point) != " "
    )
    left = {character for character in visible(every) if unicodedata.category(character) in hidden}
    assert left == {" ", "\n", "\t"}


def test_ordinary_text_of_every_script_is_left_alone():
    text = "Überweisung 送金 перевод تحويل עברה 𝔸 😀 e\u0301"
    assert visible(text) == f"<bdi>{text}</bdi>"


def test_markup_is_escaped():
    assert visible("<img src=x onerror='alert(1)'>\"&") == (
        "<bdi>&lt;img src=x onerror=&#x27;alert(1)&#x27;&gt;&quot;&amp;</bdi>"
    )


def test_markup_that_was_already_marked_safe_is_escaped_too():
    from django.utils.safestring import mark_safe

    assert "<script>" not in visible(mark_safe("<script>"))


def test_isolation_cannot_be_closed_from_inside():
    assert visible("</bdi>\u202e").count("</bdi>") == 1


def test_line_feeds_and_tabs_are_marked_and_kept():
    shown = visible("a\n\tb")
    assert re.sub("<[^>]*>", "", shown) == "a↵\n⇥\tb"


def test_a_run_of_one_hidden_character_is_one_chip_with_its_length():
    assert visible("\u200b" * 1000) == (
        '<bdi><span class="zhv-chip" title="ZERO WIDTH SPACE">U+200B × 1000</span></bdi>'
    )


def test_nothing_is_cut_off():
    text = "x" * 1_000_000
    assert len(visible(text)) == len(text) + len("<bdi></bdi>")


def test_lines_laid_out_by_the_server_are_isolated_one_by_one():
    assert visible_lines("{\n  \u202e\n}").split("\n")[0] == "<bdi>{</bdi>"
    assert "↵" not in visible_lines("{\n}")


def test_other_values_are_shown_as_text():
    assert visible(12) == "<bdi>12</bdi>"


def test_marks_piled_upon_a_letter_become_one_chip():
    drawn = visible("x" + "\u0489\u20dd\u0336" * 20 + "y")
    assert drawn == '<bdi>x<span class="zhv-chip" title="U+0489 U+20DD U+0336">60 marks</span>y</bdi>'
    assert plainly("x" + "\u0338" * 200) == "x[200 marks]"
    # What languages write stays as it is: Vietnamese, Thai, Hebrew with points.
    for text in ("Vi\u00ea\u0323t", "\u0e17\u0e35\u0e48", "\u05d1\u05bc\u05b0\u05e8\u05b5\u05d0"):
        assert visible(text) == f"<bdi>{text}</bdi>"
