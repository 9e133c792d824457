"""Differences between two texts: nothing lost, nothing invented, in a time that no text can stretch."""

from hypothesis import given
from hypothesis import strategies as st

from intents import text_diff
from intents.text_diff import UNFOLDED_TO, diff

TEXTS = st.lists(
    st.sampled_from(["a", "b", "c", "  - id: x", "  - id: y", "", "\u2028", "when: x > 1"]), max_size=30
).map("\n".join)


def lines_of(text: str) -> list[str]:
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


@given(old=TEXTS, new=TEXTS)
def test_both_texts_can_be_read_back_from_the_difference(old: str, new: str) -> None:
    found = diff(old, new)
    shown = [line for stretch in found.stretches for line in stretch.lines]
    whole = [("".join(part for part, _ in line.parts), line) for line in shown]
    assert [text for text, line in whole if line.old is not None] == lines_of(old)
    assert [text for text, line in whole if line.new is not None] == lines_of(new)
    assert [line.old for line in shown if line.old] == list(range(1, len(lines_of(old)) + 1))
    assert [line.new for line in shown if line.new] == list(range(1, len(lines_of(new)) + 1))
    assert found.added == sum(line.mark == "added" for line in shown)
    assert found.removed == sum(line.mark == "removed" for line in shown)
    assert (found.added, found.removed) == text_diff.count(old, new)


@given(text=TEXTS)
def test_a_text_does_not_differ_from_itself(text: str) -> None:
    assert diff(text, text).same


@given(old=TEXTS, new=TEXTS)
def test_what_is_folded_is_unchanged_and_what_is_changed_is_never_folded(old: str, new: str) -> None:
    for stretch in diff(old, new).stretches:
        if stretch.folded:
            assert {line.mark for line in stretch.lines} == {"same"}


def test_a_changed_number_is_marked_and_the_rest_of_its_line_is_not() -> None:
    found = diff("when: x > 500\n", "when: x > 250\n")
    removed, added = found.stretches[0].lines
    assert [part for part, changed in removed.parts if changed] == ["500"]
    assert [part for part, changed in added.parts if changed] == ["250"]
    assert (removed.sign, added.sign) == ("−", "+")


def test_lines_between_far_changes_are_folded_with_three_around_each() -> None:
    old = "\n".join(str(number) for number in range(100))
    found = diff(old, old.replace("\n20\n", "\ntwenty\n").replace("\n80\n", "\neighty\n"))
    assert [(stretch.folded, stretch.count) for stretch in found.stretches] == [
        (True, 17), (False, 3), (False, 2), (False, 3), (True, 53), (False, 3), (False, 2), (False, 3), (True, 16),
    ]  # fmt: skip


def test_texts_made_to_take_for_ever_are_compared_coarsely() -> None:
    alternating = diff("a\nb\n" * 60_000, "b\na\n" * 60_000)
    assert alternating.added == alternating.removed
    blocks = diff(
        "".join(f"u{n}\n" + "a\nb\n" * 100 for n in range(600)),
        "".join(f"u{n}\n" + "b\na\nc\n" * 70 for n in range(600)),
    )
    assert blocks.added
    assert diff("x y " * 60_000, "y x " * 60_000).added == 1


def test_unchanged_lines_without_end_are_counted_and_not_repeated() -> None:
    found = diff("same\n" * 50_000, "same\n" * 50_000 + "new\n")
    assert sum(len(stretch.lines) for stretch in found.stretches) < UNFOLDED_TO + 20
    assert sum(stretch.count for stretch in found.stretches) == 50_001
