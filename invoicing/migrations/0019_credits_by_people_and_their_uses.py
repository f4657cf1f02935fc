"""Credits that a person gives on an invoice, what each takes off which lines, and the invoices it is set against."""

from decimal import Decimal

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


def keep_uses(apps, schema_editor):
    """The one use that a credit had is the first of its uses, also where it is still to be made."""
    credits = apps.get_model("invoicing", "Credit").objects.exclude(use=None, is_to_use=False)
    uses = apps.get_model("invoicing", "CreditUse")
    for credit in credits.exclude(is_given_up=True).iterator():
        uses.objects.create(
            credit=credit,
            number=credit.number,
            invoice_id=credit.invoice_id,
            amount=credit.gross,
            used=credit.used,
            remote_id=credit.use_id,
            chosen_by_id=credit.made_by_id,
        )


def keep_parts(apps, schema_editor):
    """What each credit took off its lines, which their texts begin with; what is not found counts for the invoice."""
    lines = apps.get_model("invoicing", "InvoiceLine").objects
    parts = apps.get_model("invoicing", "CreditedPart").objects
    for credit in apps.get_model("invoicing", "Credit").objects.exclude(difference=None).iterator():
        own = list(lines.filter(entry__item=credit.difference.item_id, is_voided=False).order_by("-entry__cycle"))
        for row in credit.lines:
            line = next((one for one in own if row["notes"].startswith(one.notes)), None)
            hours = row["hours"] if " h less)" in row["notes"] else "0"
            parts.create(credit=credit, line=line, hours=Decimal(hours), amount=Decimal(row["amount"]))


class Migration(migrations.Migration):

    dependencies = [
        ('invoicing', '0018_rests_that_are_written_off'),
        ('mappings', '0008_terms_with_the_end_of_the_month'),
        ('sync', '0019_hours_that_a_credit_took_back'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='CreditedPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('hours', models.DecimalField(decimal_places=2, default=0, max_digits=10, verbose_name='hours')),
                ('amount', models.DecimalField(decimal_places=3, max_digits=14, verbose_name='amount')),
            ],
            options={
                'verbose_name': 'part of a credit',
                'verbose_name_plural': 'parts of credits',
                'ordering': ['credit', 'id'],
            },
        ),
        migrations.CreateModel(
            name='CreditUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uuid', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('ninja_id', models.CharField(blank=True, help_text='Of a credit made by hand in Invoice Ninja.', max_length=64, verbose_name='credit there')),
                ('number', models.CharField(blank=True, max_length=191, verbose_name='its number there')),
                ('amount', models.DecimalField(decimal_places=3, max_digits=14, verbose_name='at most')),
                ('used', models.DecimalField(decimal_places=3, default=0, max_digits=14, verbose_name='set against the invoice')),
                ('chosen_at', models.DateTimeField(auto_now_add=True, verbose_name='chosen')),
                ('is_dropped', models.BooleanField(default=False, verbose_name='taken back')),
            ],
            options={
                'verbose_name': 'use of a credit',
                'verbose_name_plural': 'uses of credits',
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='OpenCredit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ninja_id', models.CharField(max_length=64, unique=True, verbose_name='id there')),
                ('number', models.CharField(blank=True, max_length=191, verbose_name='number')),
                ('date', models.DateField(blank=True, null=True, verbose_name='credit date')),
                ('amount', models.DecimalField(decimal_places=6, max_digits=18, verbose_name='total with tax')),
                ('balance', models.DecimalField(decimal_places=6, max_digits=18, verbose_name='left')),
                ('is_ours', models.BooleanField(default=False, verbose_name='bears a key of ours')),
                ('seen_at', models.DateTimeField(verbose_name='read')),
            ],
            options={
                'verbose_name': 'open credit',
                'verbose_name_plural': 'open credits',
                'ordering': ['client', 'id'],
            },
        ),
        migrations.RemoveConstraint(
            model_name='credit',
            name='credit_of_a_difference_or_a_rest',
        ),
        migrations.AddField(
            model_name='credit',
            name='meaning',
            field=models.CharField(blank=True, choices=[('hours', 'The hours were wrong: they are given back, and may be billed otherwise'), ('price', 'A price, a text or a line by hand was wrong: the hours stay billed'), ('goodwill', 'Goodwill: nothing of the work was wrong, and the hours stay billed')], max_length=8, verbose_name='what it means for the work'),
        ),
        migrations.AlterField(
            model_name='credit',
            name='difference',
            field=models.ForeignKey(blank=True, help_text='None of a rest that is written off, or where a person credits an invoice.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='credits', to='sync.difference', verbose_name='difference'),
        ),
        migrations.AlterField(
            model_name='credit',
            name='used',
            field=models.DecimalField(decimal_places=3, default=0, max_digits=14, verbose_name='set against invoices'),
        ),
        migrations.AddConstraint(
            model_name='credit',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('cause', ''), ('difference__isnull', False), ('meaning', '')), models.Q(('difference__isnull', True), ('meaning', ''), models.Q(('cause', ''), _negated=True)), models.Q(('cause', ''), ('difference__isnull', True), models.Q(('meaning', ''), _negated=True)), _connector='OR'), name='credit_of_a_difference_a_rest_or_a_person'),
        ),
        migrations.AddField(
            model_name='creditedpart',
            name='credit',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='parts', to='invoicing.credit', verbose_name='credit'),
        ),
        migrations.AddField(
            model_name='creditedpart',
            name='difference',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='credited_parts', to='sync.difference', verbose_name='difference'),
        ),
        migrations.AddField(
            model_name='creditedpart',
            name='line',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='credited_parts', to='invoicing.invoiceline', verbose_name='line'),
        ),
        migrations.AddField(
            model_name='credituse',
            name='chosen_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='chosen by'),
        ),
        migrations.AddField(
            model_name='credituse',
            name='credit',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='uses', to='invoicing.credit', verbose_name='credit'),
        ),
        migrations.AddField(
            model_name='credituse',
            name='invoice',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='credit_uses', to='invoicing.invoice', verbose_name='invoice'),
        ),
        migrations.AddField(
            model_name='credituse',
            name='remote',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='credit_use', to='sync.remoterecord', verbose_name='in Invoice Ninja'),
        ),
        migrations.AddField(
            model_name='opencredit',
            name='client',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='mappings.client', verbose_name='client'),
        ),
        migrations.AddIndex(
            model_name='credituse',
            index=models.Index(condition=models.Q(('is_dropped', False), ('remote__isnull', True)), fields=['id'], name='credit_use_planned'),
        ),
        migrations.AddConstraint(
            model_name='credituse',
            constraint=models.UniqueConstraint(condition=models.Q(('is_dropped', False)), fields=('credit', 'invoice'), name='credit_use_once_per_invoice'),
        ),
        migrations.AddConstraint(
            model_name='credituse',
            constraint=models.UniqueConstraint(condition=models.Q(('credit__isnull', True), ('is_dropped', False)), fields=('ninja_id', 'invoice'), name='credit_use_of_theirs_once_per_invoice'),
        ),
        migrations.AddConstraint(
            model_name='credituse',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('credit__isnull', False), ('ninja_id', '')), models.Q(('credit__isnull', True), models.Q(('ninja_id', ''), _negated=True)), _connector='OR'), name='credit_use_of_ours_or_theirs'),
        ),
        migrations.RunPython(keep_uses, migrations.RunPython.noop),
        migrations.RunPython(keep_parts, migrations.RunPython.noop),
        migrations.RemoveField(
            model_name='credit',
            name='is_to_use',
        ),
        migrations.RemoveField(
            model_name='credit',
            name='use',
        ),
    ]
