"""Hours that a person credited because they were wrong, and when a Difference was credited."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('sync', '0018_the_mark_of_this_console'),
    ]

    operations = [
        migrations.AddField(
            model_name='difference',
            name='credited_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='credited'),
        ),
        migrations.AddField(
            model_name='difference',
            name='taken_by',
            field=models.CharField(blank=True, max_length=255, verbose_name='who said so'),
        ),
        migrations.AddField(
            model_name='difference',
            name='taken_hours',
            field=models.DecimalField(blank=True, decimal_places=2, help_text='Set where a person credited a line because its hours were wrong. Empty: Taiga said other hours.', max_digits=10, null=True, verbose_name='hours that a credit took off the billed entry'),
        ),
    ]
