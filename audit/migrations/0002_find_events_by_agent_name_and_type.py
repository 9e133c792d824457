from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0001_initial"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("agent_name", ""), _negated=True),
                fields=["agent_name", "id"],
                name="audit_event_agent_name",
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["type", "id"], name="audit_event_type"),
        ),
    ]
