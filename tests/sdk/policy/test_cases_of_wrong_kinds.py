"""A test whose intent could not be evaluated would pass for the wrong reason: it is refused, with its place."""

import pytest

from zehrava.policy import PolicyError, parse_policy
from zehrava.policy.functions import domain

pytestmark = pytest.mark.sdk

BLOCKS = "name: p\nmatch: {actions: [a.b]}\nrules: [{id: r, when: payload.n == 2, effect: block}]\ntests:\n"


@pytest.mark.parametrize(
    ("member", "path"),
    [
        ("tags: abc", "tests[0].tags"),
        ("tags: [1]", "tests[0].tags[0]"),
        ("records: '5'", "tests[0].records"),
        ("records: -1", "tests[0].records"),
        ("value: 5", "tests[0].value"),
        ("value: {amount: '5'}", "tests[0].value.currency"),
        ("summary: 5", "tests[0].summary"),
        ("target: [x]", "tests[0].target"),
        ("on_behalf_of: 5", "tests[0].on_behalf_of"),
        ("usage: x", "tests[0].usage"),
    ],
)
def test_a_case_of_the_wrong_kind_does_not_pass(member, path):
    with pytest.raises(PolicyError) as refused:
        parse_policy(f"{BLOCKS}  - {{payload: {{n: 2}}, {member}, expect: {{effect: require_approval}}}}\n")
    assert path in [fault.path for fault in refused.value.errors]
    assert refused.value.line == 5


def test_what_says_nothing_is_nothing():
    nothing = "tags: [], records: null, value: null, summary: '', target: null"
    assert parse_policy(f"{BLOCKS}  - {{payload: {{n: 2}}, {nothing}, expect: {{effect: block}}}}\n").tests


def test_what_many_unknown_keys_may_mean_is_looked_for_only_at_first(monkeypatch):
    looked = []
    from zehrava.policy import shape

    def look(*wanted):
        looked.append(wanted)
        return []

    monkeypatch.setattr(shape.difflib, "get_close_matches", look)
    keys = "\n".join(f"    mach{number}: 1" for number in range(5_000))
    with pytest.raises(PolicyError) as refused:
        parse_policy(f"name: p\nmatch: {{actions: [a.b]}}\nrules:\n  - id: r\n{keys}\n")
    assert len(looked) <= 20
    assert refused.value.line >= 4


@pytest.mark.parametrize(
    "address",
    [
        "=?utf-8?q?b=40evil.com?=@x.com",
        "a\uff20evil.com@x.com",
        "a\ufe6bevil.com@x.com",
        "a\u200b@x.com",
        "ä@x.com",
    ],
)
def test_an_address_that_mailers_read_otherwise_has_no_domain(address):
    with pytest.raises(ValueError, match="ASCII"):
        domain(address)
