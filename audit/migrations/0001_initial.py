import simple_history.models
from django.db import migrations, models

from audit.immutability import AppendOnly


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Content",
            fields=[
                ("event_id", models.CharField(editable=False, max_length=40, primary_key=True, serialize=False)),
                ("salt", models.CharField(max_length=32)),
                ("body", models.TextField()),
            ],
            options={
                "db_table": "audit_content",
            },
        ),
        migrations.CreateModel(
            name="HistoricalExportRun",
            fields=[
                (
                    "id",
                    models.BigIntegerField(auto_created=True, blank=True, db_index=True, null=True, verbose_name="ID"),
                ),
                ("dataset", models.CharField(max_length=100, null=True)),
                ("format", models.CharField(max_length=10, null=True)),
                (
                    "door",
                    models.CharField(
                        choices=[("api", "API"), ("admin", "Admin"), ("command", "Command line")],
                        max_length=10,
                        null=True,
                    ),
                ),
                (
                    "exported_by_kind",
                    models.CharField(
                        choices=[("agent", "agent"), ("person", "person"), ("system", "system")],
                        max_length=10,
                        null=True,
                    ),
                ),
                ("exported_by_id", models.CharField(max_length=64, null=True)),
                ("exported_by", models.CharField(max_length=255, null=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("rows", models.PositiveBigIntegerField(blank=True, null=True)),
                ("bytes", models.PositiveBigIntegerField(blank=True, null=True)),
                ("sha256", models.CharField(blank=True, max_length=71, null=True, verbose_name="SHA-256")),
                ("history_user_id", models.BigIntegerField(blank=True, null=True)),
                ("history_id", models.CharField(editable=False, max_length=40, primary_key=True, serialize=False)),
                ("history_date", models.DateTimeField(db_index=True)),
                ("history_change_reason", models.CharField(max_length=100, null=True)),
                (
                    "history_type",
                    models.CharField(choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1),
                ),
                (
                    "actor_kind",
                    models.CharField(
                        choices=[("agent", "agent"), ("person", "person"), ("system", "system")],
                        editable=False,
                        max_length=10,
                    ),
                ),
                ("actor_id", models.CharField(editable=False, max_length=64)),
                ("actor_name", models.CharField(editable=False, max_length=255)),
            ],
            options={
                "verbose_name": "historical export run",
                "verbose_name_plural": "historical export runs",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                ("id", models.CharField(editable=False, max_length=40, primary_key=True, serialize=False)),
                ("at", models.DateTimeField(verbose_name="time")),
                ("type", models.CharField(max_length=64)),
                (
                    "actor_kind",
                    models.CharField(
                        choices=[("agent", "agent"), ("person", "person"), ("system", "system")], max_length=10
                    ),
                ),
                ("actor_id", models.CharField(max_length=64)),
                ("actor_name", models.CharField(max_length=255, verbose_name="actor")),
                ("subject_type", models.CharField(max_length=100)),
                ("subject_id", models.CharField(max_length=64, verbose_name="subject")),
                ("agent_id", models.CharField(blank=True, max_length=64)),
                ("agent_name", models.CharField(blank=True, max_length=255, verbose_name="agent")),
                ("action", models.CharField(blank=True, max_length=200)),
                ("intent_id", models.CharField(blank=True, max_length=64, verbose_name="intent")),
                ("request_id", models.CharField(blank=True, max_length=64, verbose_name="request")),
                ("line", models.TextField()),
            ],
            options={
                "db_table": "audit_event",
                "ordering": ["-id"],
                "permissions": [("export_event", "Can export events and history")],
                "indexes": [
                    models.Index(
                        condition=models.Q(("intent_id", ""), _negated=True),
                        fields=["intent_id", "id"],
                        name="audit_event_intent",
                    ),
                    models.Index(
                        condition=models.Q(("agent_id", ""), _negated=True),
                        fields=["agent_id", "id"],
                        name="audit_event_agent",
                    ),
                    models.Index(fields=["actor_id", "id"], name="audit_event_actor"),
                    models.Index(fields=["subject_id", "id"], name="audit_event_subject"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("actor_kind__in", ("agent", "person", "system"))),
                        name="audit_event_actor_known",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ExportRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("dataset", models.CharField(max_length=100)),
                ("format", models.CharField(max_length=10)),
                ("filters", models.JSONField(default=dict)),
                (
                    "door",
                    models.CharField(
                        choices=[("api", "API"), ("admin", "Admin"), ("command", "Command line")], max_length=10
                    ),
                ),
                (
                    "exported_by_kind",
                    models.CharField(
                        choices=[("agent", "agent"), ("person", "person"), ("system", "system")], max_length=10
                    ),
                ),
                ("exported_by_id", models.CharField(max_length=64)),
                ("exported_by", models.CharField(max_length=255)),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("rows", models.PositiveBigIntegerField(blank=True, null=True)),
                ("bytes", models.PositiveBigIntegerField(blank=True, null=True)),
                ("sha256", models.CharField(blank=True, max_length=71, verbose_name="SHA-256")),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("door__in", ["api", "admin", "command"])), name="audit_exportrun_door_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("exported_by_kind__in", ("agent", "person", "system"))),
                        name="audit_exportrun_exported_by_kind_known",
                    ),
                ],
            },
        ),
        AppendOnly("audit_event"),
        AppendOnly("audit_historicalexportrun"),
    ]
