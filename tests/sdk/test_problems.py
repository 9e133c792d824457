"""Problem documents go out and come back the same, and what others send does no harm."""

from __future__ import annotations

import json

import pytest

from zehrava.problems import KINDS, Problem

pytestmark = pytest.mark.sdk


@pytest.mark.parametrize("kind", KINDS)
def test_a_problem_comes_back_as_it_went_out(kind):
    errors = [{"path": "/a", "detail": "Wrong."}]
    sent = Problem(kind, "Do this.", path="/payload", errors=errors, digest="sha256:00").document()
    read = Problem.from_document(json.loads(json.dumps(sent)))
    assert read.document() == sent
    assert (read.kind, read.status, read.title) == (kind, *KINDS[kind])


def test_extra_members_never_replace_those_of_the_rfc():
    document = Problem("invalid", "Do this.", type="x", status_text="y").document()
    assert document["type"] == "urn:zehrava:problem:invalid"
    assert document["status_text"] == "y"


def test_a_kind_that_nobody_registered_cannot_be_raised():
    with pytest.raises(KeyError):
        Problem("no-such-kind", "Do this.")


@pytest.mark.parametrize(
    "document",
    [None, [], "x", {}, {"type": 7, "status": "x", "title": [], "detail": {}, "path": 1, "errors": {"a": 1}}],
)
def test_any_document_reads_as_a_problem(document):
    read = Problem.from_document(document, status=502)
    assert read.status == 502
    assert isinstance(read.detail, str)
    assert read.errors == []


def test_a_kind_from_a_newer_portal_keeps_its_name():
    read = Problem.from_document({"type": "urn:zehrava:problem:brand-new", "status": 418, "detail": "Tea."})
    assert (read.kind, read.status, read.detail) == ("brand-new", 418, "Tea.")
