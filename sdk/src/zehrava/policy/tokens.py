"""The tokens of a condition, bounded before anything reads them: the compiler crashes on very long or deep input."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import cel

MAX_CHARACTERS = 2_000
MAX_NODES = 256
MAX_DEPTH = 32

CONSTANTS = frozenset({"true", "false", "null", "in"})

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n\f]+|//[^\n]*)
  | (?P<string>
        (?:[rR][bB]?|[bB][rR])(?:\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''|"[^"\r\n]*"|'[^'\r\n]*')
      | [bB]?(?:\"\"\"(?:[^\\]|\\[\s\S])*?\"\"\"|'''(?:[^\\]|\\[\s\S])*?'''
              |"(?:[^"\\\r\n]|\\.)*"|'(?:[^'\\\r\n]|\\.)*'))
  | (?P<number>0x[0-9A-Fa-f]+u?|[0-9]*\.[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|[0-9]+[uU]?)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])
    """,
    re.VERBOSE,
)


# A number or text that cannot be read in two ways.
_PLAIN = re.compile(r"""(-?(?:0|[1-9][0-9]{0,17}))|"[ !#-\[\]-~]*"|'[ -&(-\[\]-~]*'""")


class ConditionError(ValueError):
    """A condition was refused when it was loaded."""


class Token(NamedTuple):
    """``kind`` is string, number, name or sign; ``at`` counts characters from 0."""

    kind: str
    text: str
    at: int

    @property
    def end(self) -> int:
        return self.at + len(self.text)


def tokenise(source: str) -> list[Token]:
    """The tokens of ``source``, without space and comments.

    Raises:
        ConditionError: when it is too long, has too many names, values and operators, is nested too deeply, is empty
            or holds what belongs to no condition.
    """
    if len(source) > MAX_CHARACTERS:
        raise ConditionError(f"a condition has at most {MAX_CHARACTERS} characters; split the rule")
    tokens: list[Token] = []
    at = 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if not found:
            hint = _MEANT.get(source[at], "")
            raise ConditionError(f"not a condition: at character {at + 1}, {_stray(source[at])}{hint}")
        if found.lastgroup != "space":
            tokens.append(Token(str(found.lastgroup), found.group(), at))
        at = found.end()
    if not tokens:
        raise ConditionError("a condition cannot be empty; leave `when` out for a rule that always holds")
    _check_size(tokens)
    return tokens


_MEANT = {"=": "; write == to compare", "&": "; write && for and", "|": "; write || for or"}


def _stray(character: str) -> str:
    if character in "\"'":
        return "a text begins that never ends"
    return f"{character!r} does not belong here"


def _check_size(tokens: list[Token]) -> None:
    nodes = sum(1 for token in tokens if token.text not in "(),.]}:")
    if nodes > MAX_NODES:
        raise ConditionError(f"a condition has at most {MAX_NODES} names, values and operators; split the rule")
    depth = deepest = unary = choices = 0
    for token in tokens:
        if token.kind == "sign" and token.text in "([{":
            depth += 1
        elif token.kind == "sign" and token.text in ")]}":
            depth -= 1
        unary = unary + 1 if token.text in ("!", "-") else 0
        choices += token.text == "?"
        deepest = max(deepest, depth + unary + choices)
    if deepest > MAX_DEPTH:
        raise ConditionError(f"a condition is at most {MAX_DEPTH} deep; split the rule")


def compile_cel(source: str) -> Any:
    """A CEL program.

    Raises:
        ConditionError: in one sentence, with the character where the compiler says it.
    """
    try:
        return cel.compile(source)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic in the library is a BaseException
        detail = str(error)
        found = re.search(r"ERROR: <input>:(\d+):(\d+): (.*)", detail)
        if found:
            what = found[3].replace("Syntax error: ", "")[:200]
            raise ConditionError(f"not a condition: line {found[1]}, character {found[2]}: {what}") from None
        raise ConditionError("not a condition: the expression cannot be read") from None


def literal_value(token: Token) -> Any:
    """What a string or number written out stands for.

    Raises:
        ConditionError: for a number out of range or an escape that means nothing.
    """
    plain = _PLAIN.fullmatch(token.text)
    if plain:  # spares a compilation
        return int(plain[1]) if plain[1] else token.text[1:-1]
    program = compile_cel(token.text)
    try:
        return program.execute({})
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        raise ConditionError(f"not a condition: {token.text[:80]} at character {token.at + 1} has no value") from None
