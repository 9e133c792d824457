from django.apps import AppConfig


class IntentsConfig(AppConfig):
    name = "intents"
    verbose_name = "Intents"

    def ready(self) -> None:
        from audit import looking, verification
        from intents import backtesting, events, integrity, limit_keeping, reading  # noqa: F401  (registers the ledger's event types)

        looking.provide(reading.events_for)
        verification.register(integrity.contents_unlike_their_digests)
        verification.register(backtesting.altered)
        verification.register(limit_keeping.unlike_the_ledger)
