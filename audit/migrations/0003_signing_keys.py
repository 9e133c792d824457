from django.db import migrations, models

from audit.immutability import AppendOnly


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0002_find_events_by_agent_and_type"),
    ]

    operations = [
        migrations.CreateModel(
            name="SigningKey",
            fields=[
                (
                    "kid",
                    models.CharField(
                        editable=False, max_length=43, primary_key=True, serialize=False, verbose_name="key"
                    ),
                ),
                ("number", models.PositiveIntegerField(unique=True)),
                ("x", models.CharField(max_length=43, verbose_name="public key")),
                ("created_at", models.DateTimeField(verbose_name="made")),
            ],
            options={
                "db_table": "audit_signingkey",
                "ordering": ["-number"],
                "default_permissions": ("view",),
            },
        ),
        AppendOnly("audit_signingkey"),
    ]
