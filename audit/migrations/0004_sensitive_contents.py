from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0003_signing_keys"),
    ]

    operations = [
        migrations.AddField(
            model_name="content",
            name="sensitive",
            field=models.BooleanField(default=False),
        ),
    ]
