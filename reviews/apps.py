from django.apps import AppConfig


class ReviewsConfig(AppConfig):
    name = "reviews"
    verbose_name = "Reviews"

    def ready(self) -> None:
        from audit import verification
        from intents import marks, policy_warnings, preapproval, reading, representation, sweeping
        from reviews import break_glass, decision_record, entitlement, events, fillable, notes  # noqa: F401  (registers the ledger's event types)
        from reviews.representation import decisions_of, people_for, untouched
        from reviews.standing import steps, using

        representation.provide_decisions(decisions_of, untouched)
        representation.provide_people(people_for)
        representation.provide_questions(notes.questions_of)
        marks.register(break_glass.marks_of)
        reading.provide_say(entitlement.has_a_say)
        preapproval.provide(using)
        sweeping.register("standing_approvals_ended", steps.overdue, steps.end)
        policy_warnings.register(fillable.warnings_of)
        verification.register(decision_record.unlike_their_digests)
        verification.register(notes.unlike_their_digests)
        verification.register(using.unlike_the_ledger)
