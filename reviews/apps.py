from django.apps import AppConfig


class ReviewsConfig(AppConfig):
    name = "reviews"
    verbose_name = "Reviews"

    def ready(self) -> None:
        from audit import verification
        from intents import policy_warnings, representation
        from reviews import decisions, events, fillable  # noqa: F401  (registers the ledger's event types)
        from reviews.notes import questions_of
        from reviews.representation import decisions_of

        representation.provide_decisions(decisions_of)
        representation.provide_questions(questions_of)
        policy_warnings.register(fillable.warnings_of)
        verification.register(decisions.unlike_their_digests)
