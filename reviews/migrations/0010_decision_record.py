import django.db.models.deletion
import simple_history.models
from django.conf import settings
from django.db import migrations, models

from audit.immutability import AppendOnly


class Migration(migrations.Migration):
    dependencies = [
        ("intents", "0010_attention"),
        ("reviews", "0009_standing_approvals"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="BreakGlassReview",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("opened_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("closed_by_name", models.CharField(blank=True, max_length=150)),
                (
                    "finding",
                    models.CharField(
                        blank=True,
                        choices=[("justified", "Justified"), ("not_justified", "Not justified")],
                        default="",
                        max_length=15,
                    ),
                ),
                ("text", models.TextField(blank=True)),
            ],
            options={
                "verbose_name": "review of broken glass",
                "verbose_name_plural": "reviews of broken glass",
                "ordering": ["-id"],
                "permissions": [("review_break_glass", "Can review what was approved beyond the requirement")],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="HistoricalBreakGlassReview",
            fields=[
                (
                    "id",
                    models.BigIntegerField(auto_created=True, blank=True, db_index=True, null=True, verbose_name="ID"),
                ),
                ("opened_at", models.DateTimeField(null=True)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "finding",
                    models.CharField(
                        blank=True,
                        choices=[("justified", "Justified"), ("not_justified", "Not justified")],
                        max_length=15,
                        null=True,
                    ),
                ),
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
                "verbose_name": "historical review of broken glass",
                "verbose_name_plural": "historical reviews of broken glass",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.AlterModelOptions(
            name="decision",
            options={
                "ordering": ["id"],
                "permissions": [("break_glass", "Can approve beyond the requirement, in an emergency")],
            },
        ),
        migrations.RemoveConstraint(
            model_name="delivery",
            name="delivery_occasion_known",
        ),
        migrations.AddField(
            model_name="decision",
            name="address",
            field=models.CharField(blank=True, max_length=45, null=True),
        ),
        migrations.AddField(
            model_name="decision",
            name="break_glass",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="decision",
            name="door",
            field=models.CharField(
                blank=True,
                choices=[
                    ("desk", "The intent's page"),
                    ("change", "The page on which it is changed"),
                    ("group", "The page of several alike"),
                    ("glass", "The page on which the glass is broken"),
                    ("api", "API"),
                ],
                max_length=10,
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="decision",
            name="page_open_seconds",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="decision",
            name="policy",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="decision",
            name="record_version",
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="decision",
            name="rendering",
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="decision",
            name="signature",
            field=models.TextField(blank=True, default=""),
        ),
        migrations.AddField(
            model_name="decision",
            name="stage",
            field=models.CharField(blank=True, max_length=150, null=True),
        ),
        migrations.AddField(
            model_name="decision",
            name="whole_payload_seen",
            field=models.BooleanField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="historicaldecision",
            name="break_glass",
            field=models.BooleanField(null=True),
        ),
        migrations.AddField(
            model_name="historicaldecision",
            name="door",
            field=models.CharField(
                blank=True,
                choices=[
                    ("desk", "The intent's page"),
                    ("change", "The page on which it is changed"),
                    ("group", "The page of several alike"),
                    ("glass", "The page on which the glass is broken"),
                    ("api", "API"),
                ],
                max_length=10,
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="historicaldecision",
            name="page_open_seconds",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="historicaldecision",
            name="policy",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="historicaldecision",
            name="record_version",
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="historicaldecision",
            name="rendering",
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="historicaldecision",
            name="signature",
            field=models.TextField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="historicaldecision",
            name="stage",
            field=models.CharField(blank=True, max_length=150, null=True),
        ),
        migrations.AddField(
            model_name="historicaldecision",
            name="whole_payload_seen",
            field=models.BooleanField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="occasion",
            field=models.CharField(
                choices=[
                    ("ask", "An intent waits"),
                    ("outcome", "What became of an intent"),
                    ("needs_person", "An execution needs a person"),
                    ("mention", "Mentioned in a comment"),
                    ("answer", "An agent answered"),
                    ("glass", "Somebody broke the glass"),
                    ("standing", "A standing approval was suspended"),
                ],
                max_length=15,
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("record_version", None), ("signature", "")),
                    models.Q(("record_version__gte", 5), models.Q(("signature", ""), _negated=True)),
                    _connector="OR",
                ),
                name="decision_signed",
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("door", None), ("door__in", ["desk", "change", "group", "glass", "api"]), _connector="OR"
                ),
                name="decision_door_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("page_open_seconds", None), ("whole_payload_seen", None)),
                    models.Q(
                        ("page_open_seconds__isnull", False),
                        ("whole_payload_seen__isnull", False),
                        models.Q(("door", "api"), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="decision_page_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("break_glass", False),
                    models.Q(
                        ("changes__isnull", True),
                        ("factor__isnull", False),
                        ("vote", "approve"),
                        models.Q(("rationale", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="decision_glass_says_why",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("occasion__in", ["ask", "outcome", "needs_person", "mention", "answer", "glass", "standing"])
                ),
                name="delivery_occasion_known",
            ),
        ),
        migrations.AddField(
            model_name="breakglassreview",
            name="closed_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="breakglassreview",
            name="decision",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT, related_name="glass_review", to="reviews.decision"
            ),
        ),
        migrations.AddField(
            model_name="breakglassreview",
            name="intent",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="glass_reviews", to="intents.intent"
            ),
        ),
        migrations.AddField(
            model_name="historicalbreakglassreview",
            name="closed_by",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="historicalbreakglassreview",
            name="decision",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="reviews.decision",
            ),
        ),
        migrations.AddField(
            model_name="historicalbreakglassreview",
            name="intent",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="intents.intent",
            ),
        ),
        migrations.AddIndex(
            model_name="breakglassreview",
            index=models.Index(condition=models.Q(("closed_at", None)), fields=["id"], name="glass_review_open"),
        ),
        migrations.AddConstraint(
            model_name="breakglassreview",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("closed_at", None), ("closed_by", None), ("finding", ""), ("text", "")),
                    models.Q(
                        ("closed_at__isnull", False),
                        ("closed_by__isnull", False),
                        ("finding__in", ["justified", "not_justified"]),
                        models.Q(("text", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="glass_review_open_or_closed",
            ),
        ),
        AppendOnly("reviews_historicalbreakglassreview"),
    ]
