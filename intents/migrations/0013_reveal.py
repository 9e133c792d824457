from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("intents", "0012_reading_rules"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="intent",
            options={
                "ordering": ["-id"],
                "permissions": [
                    ("cancel_intent", "Can cancel intents"),
                    ("resolve_intent", "Can settle what an indeterminate execution did"),
                    ("reveal_intent", "Can reveal what is masked, without a say in it"),
                ],
            },
        ),
    ]
