"""What became of a line by hand that was taken off its invoice; of those before, nobody waits for any."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('invoicing', '0021_credits_that_were_proposed'),
    ]

    operations = [
        migrations.AddField(
            model_name='invoiceline',
            name='became',
            field=models.CharField(blank=True, choices=[('removed', 'Taken back'), ('carried', 'On a later draft'), ('written_off', 'Written off')], help_text='Of a line by hand that was taken off and waits no more.', max_length=12, verbose_name='what became of it'),
        ),
        migrations.RunSQL(
            "UPDATE invoicing_invoiceline SET became = 'removed' "
            'WHERE entry_id IS NULL AND is_voided AND NOT is_waiting',
            migrations.RunSQL.noop,
        ),
    ]
