"""Who is on an intent is seen on its page and on the desk of everybody else."""

from django.urls import reverse

from reviews.models import Take
from tests.factories import make_intent, make_user


def test_others_see_who_is_on_it(signed_in, rita, key):
    intent = make_intent(key)
    page, door = (reverse(f"admin:intents_intent_{name}", args=[intent.pk]) for name in ("change", "take"))
    mine, other = signed_in(rita), signed_in(make_user("other", "reviewers"))
    assert "I am on it" in mine.get(page).content.decode()

    assert mine.get(door).status_code == 302
    assert not Take.objects.exists()
    before = other.get("/admin/follow/").json()["revision"]
    mine.post(door, {"do": "take"})
    assert other.get("/admin/follow/").json()["revision"] != before
    desk = other.get("/admin/").content.decode()
    assert "<bdi>rita</bdi> is on it" in desk
    theirs = other.get(page).content.decode()
    assert "is on it. You may decide all the same." in theirs and "I am on it</button>" not in theirs
    refused = other.post(door, {"do": "take"})
    assert refused.status_code == 409 and "rita is on it already" in refused.content.decode()

    assert "Let it go" in mine.get(page).content.decode()
    mine.post(door, {"do": "let-go"})
    assert "is on it" not in other.get("/admin/").content.decode()
