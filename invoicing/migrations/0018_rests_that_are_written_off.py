"""Rests that are written off: their credits, what they take off an invoice, and what was cancelled there."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('invoicing', '0017_who_proposed_to_take_theirs_over'),
        ('sync', '0018_the_mark_of_this_console'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='countedinvoice',
            name='written_off',
            field=models.DecimalField(decimal_places=6, default=0, max_digits=18, verbose_name='of it written off'),
        ),
        migrations.AddField(
            model_name='credit',
            name='cause',
            field=models.CharField(blank=True, choices=[('bank_costs', 'bank costs'), ('goodwill', 'goodwill'), ('bad_debt', 'bad debt')], max_length=20, verbose_name='why written off'),
        ),
        migrations.AddField(
            model_name='invoice',
            name='cancelled_rest',
            field=models.DecimalField(decimal_places=3, default=0, help_text='Cancelled in Invoice Ninja after money came in: owed no more, and on no credit.', max_digits=14, verbose_name='rest cancelled there'),
        ),
        migrations.AddField(
            model_name='invoice',
            name='rest_cause',
            field=models.CharField(blank=True, choices=[('bank_costs', 'bank costs'), ('goodwill', 'goodwill'), ('bad_debt', 'bad debt')], max_length=20, verbose_name='why its rest is lost'),
        ),
        migrations.AddField(
            model_name='invoice',
            name='written_off',
            field=models.DecimalField(decimal_places=3, default=0, help_text='A part of what credits settled.', max_digits=14, verbose_name='written off'),
        ),
        migrations.AddField(
            model_name='payment',
            name='by_write_off',
            field=models.DecimalField(decimal_places=3, default=0, help_text='A part of what credits settled.', max_digits=14, verbose_name='written off'),
        ),
        migrations.AlterField(
            model_name='credit',
            name='difference',
            field=models.ForeignKey(blank=True, help_text='None of a rest that is written off.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='credits', to='sync.difference', verbose_name='difference'),
        ),
        migrations.AddConstraint(
            model_name='credit',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('cause', ''), ('difference__isnull', False)), models.Q(('difference__isnull', True), models.Q(('cause', ''), _negated=True)), _connector='OR'), name='credit_of_a_difference_or_a_rest'),
        ),
    ]
