"""Starting the audit app."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "audit"
    verbose_name = "Evidence"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate

        from audit import checks, immutability, ledger, signing, verification  # noqa: F401

        ledger.register(
            {
                "export.started": "Somebody began to export events or history.",
                "export.finished": "The export was sent in full; the facts hold the digest of its bytes.",
                "export.interrupted": "The reader went away, or the export failed, before all was sent.",
                signing.CREATED: "A key was made that signs from then on.",
                signing.RETIRED: "A key was replaced by a newer one; what it signed stays valid.",
            }
        )
        verification.register(signing.unlike_their_events)
        post_migrate.connect(immutability.reinstall_after_migrate, sender=self)
