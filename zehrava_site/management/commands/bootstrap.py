import os
from typing import Any

from intents.management.answering import Answer, AnsweringCommand, as_typed
from zehrava_site.bootstrapping import bootstrap


class Command(AnsweringCommand):
    help = (
        "Make what every portal needs: the roles with their permissions, and an administrator. The administrator is "
        "DJANGO_SUPERUSER_USERNAME with DJANGO_SUPERUSER_PASSWORD and DJANGO_SUPERUSER_EMAIL, or `admin` with a "
        "password that is made and printed once. Run it as often as you like."
    )

    def answer(self, **options: Any) -> Answer:
        # Django's own names for these, read where they are used: they are for this command, not for the portal.
        done = bootstrap(
            username=os.environ.get("DJANGO_SUPERUSER_USERNAME") or None,
            password=os.environ.get("DJANGO_SUPERUSER_PASSWORD") or None,
            email=os.environ.get("DJANGO_SUPERUSER_EMAIL", ""),
        )
        if done.password:
            text = f"Administrator: {done.admin}\nPassword, shown this once: {done.password}"
        elif done.created:
            text = f"Administrator: {done.admin}, with the password of DJANGO_SUPERUSER_PASSWORD"
        else:
            change = as_typed(f"changepassword {done.admin}")
            text = f"Administrator: {done.admin} (exists; to set a new password: {change})"
        return Answer({"admin": done.admin, "created": done.created, "password": done.password}, text)
