import django.db.models.deletion
import simple_history.models
from django.conf import settings
from django.db import migrations, models

from audit.immutability import AppendOnly


class Migration(migrations.Migration):
    dependencies = [
        ("intents", "0013_reveal"),
        ("reviews", "0011_reporting_lines"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="decision",
            name="masked",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="historicaldecision",
            name="masked",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name="HistoricalReveal",
            fields=[
                (
                    "id",
                    models.BigIntegerField(auto_created=True, blank=True, db_index=True, null=True, verbose_name="ID"),
                ),
                ("digest", models.CharField(max_length=71, null=True)),
                ("paths", models.JSONField(null=True)),
                ("created_at", models.DateTimeField(null=True)),
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
                (
                    "intent",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="intents.intent",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "historical reveal",
                "verbose_name_plural": "historical reveals",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name="Reveal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("person_name", models.CharField(max_length=150)),
                ("digest", models.CharField(max_length=71)),
                ("paths", models.JSONField()),
                ("created_at", models.DateTimeField()),
                (
                    "intent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="reveals", to="intents.intent"
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "default_permissions": (),
            },
        ),
        AppendOnly("reviews_historicalreveal"),
    ]
