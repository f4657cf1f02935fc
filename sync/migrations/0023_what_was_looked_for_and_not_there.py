from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sync", "0022_processes_that_tell_how_they_are"),
    ]

    operations = [
        migrations.AddField(
            model_name="remoterecord",
            name="missed_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="workitem",
            name="missed_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="workitem",
            name="told_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
    ]
