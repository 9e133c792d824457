"""contains_term() finds words, also disguised, and does not find them in other words."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zehrava.policy.functions import contains_term, terms
from zehrava.policy.functions.lookalikes import LOOKALIKES
from zehrava.policy.functions.terms import MAX_DIFFERENT, MAX_TERM, MAX_TERMS, MAX_TEXT

SUE = [
    "sue", "Sue!", "SUE", '"sue"', "sue's", "sue_them", "please-sue-them", "x=sue&y", "#sue", "sue.",
    "s u e", "s  u  e", "s\tu\ne", "s-u-e", "s.u.e", "s_u_e", "s*u*e", "s/u/e", "(s)(u)(e)", "su-e", "su e", "s ue",
    "I will s u e you", "I s u e you", "s\u200bu\u200be", "s\u00adu\u00ade", "s\u200b-\u200bu-e", "s\ufe0fue",
    "s\u0301u\u0308e\u0323", "śüé", "s\x00ue", "s\x08ue", "s\u2028u\u2028e",
    "$ue", "5ue", "5u3", "$ue!", "s@u@e", "$@u@e", "@$ue", "@sue", "§ue", "su€",
    "ＳＵＥ", "ｓ＿ｕ＿ｅ", "𝓼𝓾𝓮", "ⓢⓤⓔ", "🅢🅤🅔", "🇸🇺🇪", "ꜱᴜᴇ", "ѕue", "ѕυе", "ѕ u е", "Տue", "ᏚUE", "suǝ", "ꓢue",
    "s&shy;ue", "s&zwnj;u&zwj;e",
    "\\u0073ue", "\\\\u0073\\u0075\\u0065", "\\x73ue", "\\u{73}ue", "s&#117;e", "s&#x75;e", "s%75e", "please\\nsue now",
    "<p>s-u-e</p>", "<b>s.u.e</b>", "<p>s u e</p>", "x s-u-e x", "b.s-u-e", "x: s u e :x", "s-u-e.b",
    "sue2", "2sue", "sue2026", "7sue7", "s-u-e1", "&#115ue", "s&#117e", "&#x73ue",
    "s\\u200bue", "\U000e0073\U000e0075\U000e0065", "a: s\U000e0075ue",
]  # fmt: skip

OTHER_WORDS = [
    "", "issue", "pursue", "ensue", "sued", "suede", "tissues", "Sueann", "ISSUE", "ｉｓｓｕｅ", "іѕѕuе", "is\u200bsue",
    "i s s u e", "i-s-s-u-e", "t i s s u e", "<p>i-s-s-u-e</p>", "i  s s\tu e", "i.s.s.u.e", "s-u-e-d",
    "<b>s u e d</b>", "\\u0069ssue", "su", "us e", "is sued", "345", "$345", "s%", "it's uexy", "issue2",
    "2issue", "5 u", "is2sue",
]  # fmt: skip


@pytest.mark.parametrize("text", SUE)
def test_a_disguised_word_is_found(text: str) -> None:
    assert contains_term(text, ["sue"])


@pytest.mark.parametrize("text", OTHER_WORDS)
def test_a_word_is_not_found_in_another(text: str) -> None:
    assert not contains_term(text, ["sue"])


@pytest.mark.parametrize(
    ("text", "term", "found"),
    [
        ("kiII him", "kill", True),
        ("ki11", "kill", True),
        ("k1|l", "kill", True),
        ("lnvoice", "invoice", True),
        ("fail", "fall", False),
        ("FAIL", "fall", False),
        ("455", "ass", False),
        ("$455", "ass", False),
        ("a$$", "ass", True),
        ("a lien", "alien", False),
        ("what's hit", "shit", False),
        ("now here", "nowhere", False),
        ("at-tack", "attack", True),
        ("wire-transfer", "wire transfer", True),
        ("Wire  \n Transfer!", "wire transfer", True),
        ("w i r e t r a n s f e r", "wire transfer", True),
        ("wire fraud transfer", "wire transfer", False),
        ("Fr33 m0n3y", "free money", True),
        ("p@ssw0rd!", "password", True),
        ("tax!", "tax", True),
        ("taxi", "tax", False),
        ("the u.s. army", "us", True),
        ("401k plan", "401k", True),
        ("call 9 1 1", "911", True),
        ("gll", "911", False),
        ("1911", "911", False),
        ("c++ code", "c++", True),
        ("c++11", "c++", True),
        ("mail bob@evil.com now", "@evil.com", True),
        ("bob@evil.community", "@evil.com", False),
        ("bob@not-evil.com", "@evil.com", False),
        ("pay$500", "$500", True),
        ("US$500.00", "$500", True),
        ("pay $5000", "$500", False),
        ("pays500", "$500", False),
        ("password1", "password", True),
        ("Iawsuit", "lawsuit", True),
        ("an Iawyer", "lawyer", True),
        ("Ian", "Ian", True),
        ("B2B sales", "b", False),
        ("H2O", "ho", False),
        ("c code", "c++", False),
        ("Straße", "strasse", True),
        ("STRASSE", "straße", True),
        ("我要起诉你", "起诉", True),
        ("ДОГОВОР", "договор", True),
        ("переговоры", "говор", False),
        ("НЕТ!", "нет", True),
        ("frее", "free", True),
    ],
)
def test_words_are_told_from_what_looks_like_them(text: str, term: str, found: bool) -> None:
    assert contains_term(text, [term]) is found


ORDINARY = [
    "I am in Ireland; it is 3pm, room 12B, gate A7.",
    "Order 4711 of 12 March: 3x shirt size 40, 2x socks, 19.90 EUR.",
    "Version v2.0.1 of lib2to3 and base64 on x86 and arm64.",
    "Please find the invoice INV-2026-0815 for Q3 attached.",
    "The court of Illinois lies on 5th Avenue, near 42nd Street.",
    "Issue #12: is it in use? I'll ask Ilse if I can.",
    "MP3s, 4K video, 5G, H264, 2FA and B2C are words with digits.",
]
USUAL = [
    "sue",
    "lawsuit",
    "lawyer",
    "password",
    "kill",
    "fraud",
    "wire transfer",
    "ass",
    "hell",
    "$500",
    "@evil.com",
    "c++",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_raises_no_alarm(text: str) -> None:
    assert [term for term in USUAL if contains_term(text, [term])] == []


def test_every_text_and_key_of_a_payload_is_read_by_itself() -> None:
    assert contains_term({"a": [{"b": "please sue"}]}, ["sue"])
    assert contains_term({"a": [{"s-u-e": 1}]}, ["sue"])
    assert not contains_term({"s": "u", "e": ["s", "u", "e"], "n": [1, 2.5, None, True]}, ["sue"])
    assert not contains_term(["wire", "transfer"], ["wire transfer"])


@pytest.mark.parametrize("value", [None, True, 5, 1.5, b"sue"])
def test_what_is_no_text_is_an_error_and_not_a_miss(value: object) -> None:
    with pytest.raises(ValueError, match="reads a text"):
        contains_term(value, ["sue"])


@pytest.mark.parametrize(
    "terms", ["sue", [], None, {}, [""], ["sue", 5], ["!!!"], ["\u200b"], ["$$"], ["a" * (MAX_TERM + 1)],
              ["a"] * (MAX_TERMS + 1)],
)  # fmt: skip
def test_terms_that_are_none_are_refused(terms: object) -> None:
    with pytest.raises(ValueError):
        contains_term("text", terms)


WORDS = st.text("abcdefghjkmnopqrstuvwxyz", min_size=2, max_size=12)
BY_LETTER: dict[str, list[str]] = {}
for _character, _letters in LOOKALIKES.items():
    BY_LETTER.setdefault(_letters, []).append(_character)


@st.composite
def disguised(draw: st.DrawFn) -> tuple[str, str]:
    word = draw(WORDS)
    letters = [draw(st.sampled_from([letter, letter.upper(), *BY_LETTER[letter]])) for letter in word]
    between = draw(st.sampled_from(["", "\u200b", "-", ".", " ", "\u00ad", " - ", "_", "\u0336"]))
    return word, between.join(letters)


@given(disguised(), st.sampled_from(["", "well, ", "("]), st.sampled_from(["", " now", "."]))
def test_any_mix_of_look_alikes_and_separators_reads_as_the_word(
    pair: tuple[str, str], before: str, behind: str
) -> None:
    word, text = pair
    assert contains_term(before + text + behind, [word])


@given(WORDS, WORDS)
def test_a_longer_word_does_not_hold_a_shorter_one(first: str, second: str) -> None:
    assert contains_term(first + second, [first]) is (first + second == first)


@given(st.text(max_size=200), st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=5))
def test_any_text_and_terms_give_an_answer_or_a_clear_refusal(text: str, terms: list[str]) -> None:
    try:
        assert contains_term(text, terms) in (True, False)
        assert contains_term([f"well {term} well" for term in terms], terms)
    except ValueError as error:
        assert "term" in str(error)


LONG = 400_000
HOSTILE = {
    "letters": "a" * LONG,
    "letters and hyphens": "s-" * (LONG // 2),
    "letters and spaces": "s u " * (LONG // 4),
    "marks": "s" + "\u0301\u0323" * (LONG // 2 - 1),
    "signs": "@$!|+€£¥§s" * (LONG // 10),
    "characters that become eighteen": "\ufdfa" * (LONG // 2),
    "backslashes": "\\" * LONG,
    "ampersands": "&#" * (LONG // 2),
    "dashes": "-" * LONG,
    "apostrophes": "'" * LONG,
    "capital and small": "lI" * (LONG // 2),
    "many alphabets": "".join(chr(0x3400 + index % 100_000) for index in range(LONG)),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_text_made_to_be_slow_ends_in_an_answer_or_an_error(text: str) -> None:
    """Were the cost not linear, this would not end within the time that a test has."""
    for wanted in (["sue"], ["s" * 99 + "t", "a" * 100]):
        try:
            assert contains_term(text, wanted) in (True, False)
        except ValueError as error:
            assert "contains_term()" in str(error)


def test_a_text_beyond_the_bound_is_an_error() -> None:
    with pytest.raises(ValueError, match="at most"):
        contains_term(["a" * MAX_TEXT, "sue"], ["sue"])


def test_two_processes_read_alike() -> None:
    texts = {str(index): text for index, text in enumerate(SUE + OTHER_WORDS)}
    program = (
        "import json, sys; from zehrava.policy.functions import contains_term\n"
        "print([contains_term(text, ['sue']) for text in json.load(sys.stdin).values()])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program], input=json.dumps(texts), env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(said) == 1


def test_a_text_of_more_different_characters_than_any_language_has_is_not_looked_through() -> None:
    many = "".join(chr(point) for point in range(0x4E00, 0x4E00 + MAX_DIFFERENT + 1))
    with pytest.raises(ValueError, match="different characters"):
        contains_term(many, ["sue"])
    assert not contains_term(many[:MAX_DIFFERENT], ["sue"])
    with pytest.raises(ValueError, match="different characters"):
        contains_term("".join(f"&#{ord(each)};" for each in many), ["sue"])
    assert contains_term({"a": many[:5000], "b": ["I will sue"]}, ["sue"])


def test_different_terms_are_looked_for_in_readings_that_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(terms, "_read", lambda *args, _read=terms._read, **kw: made.append(1) or _read(*args, **kw))
    text = "We wi11 sue y0u for it"
    assert [contains_term(text, [term]) for term in ("sue", "you", "them")] == [True, True, False]
    assert len(made) == 1
