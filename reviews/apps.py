from django.apps import AppConfig


class ReviewsConfig(AppConfig):
    name = "reviews"
    verbose_name = "Reviews"

    def ready(self) -> None:
        from audit import verification
        from intents import representation
        from reviews import decisions, events  # noqa: F401  (registers the ledger's event types)
        from reviews.representation import decisions_of

        representation.provide_decisions(decisions_of)
        verification.register(decisions.unlike_their_digests)
