from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0001_initial"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="event",
            name="audit_event_intent",
        ),
        migrations.RemoveIndex(
            model_name="event",
            name="audit_event_agent",
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["intent_id", "id"], name="audit_event_intent"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["agent_id", "id"], name="audit_event_agent"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["agent_name", "id"], name="audit_event_agent_name"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["type", "id"], name="audit_event_type"),
        ),
    ]
