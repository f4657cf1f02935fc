"""Money on no invoice, and all payments as they were counted; payments are read once more from the beginning."""

import django.db.models.deletion
from django.db import migrations, models


def read_payments_again(apps, schema_editor):
    """What came in before stands behind the cursor: the next poll reads all payments once more."""
    apps.get_model("invoicing", "PollCursor").objects.filter(name="payments").delete()


class Migration(migrations.Migration):

    dependencies = [
        ('invoicing', '0013_amounts_and_po_numbers_are_searched'),
        ('mappings', '0007_decimals_of_a_currency'),
    ]

    operations = [
        migrations.CreateModel(
            name='CountedPayment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ninja_id', models.CharField(max_length=64, verbose_name='id there')),
                ('client_ninja_id', models.CharField(db_index=True, max_length=64, verbose_name='client there')),
                ('number', models.CharField(blank=True, max_length=191, verbose_name='number')),
                ('currency', models.CharField(max_length=3, verbose_name='currency')),
                ('received', models.DecimalField(decimal_places=6, max_digits=18, verbose_name='received')),
                ('applied', models.DecimalField(decimal_places=6, max_digits=18, verbose_name='on invoices')),
                ('unapplied', models.DecimalField(decimal_places=6, max_digits=18, verbose_name='on no invoice')),
                ('reading', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='counted_payments', to='invoicing.reading')),
            ],
            options={
                'verbose_name': 'payment as counted',
                'verbose_name_plural': 'payments as counted',
                'constraints': [models.UniqueConstraint(fields=('reading', 'ninja_id'), name='counted_payment_once')],
            },
        ),
        migrations.CreateModel(
            name='UnappliedPayment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ninja_id', models.CharField(max_length=64, unique=True, verbose_name='Invoice Ninja id')),
                ('client_ninja_id', models.CharField(db_index=True, max_length=64, verbose_name='client there')),
                ('number', models.CharField(blank=True, max_length=191, verbose_name='number')),
                ('reference', models.CharField(blank=True, max_length=255, verbose_name='reference')),
                ('currency', models.CharField(max_length=3, verbose_name='currency')),
                ('received', models.DecimalField(decimal_places=3, max_digits=14, verbose_name='received')),
                ('amount', models.DecimalField(decimal_places=3, max_digits=14, verbose_name='on no invoice')),
                ('paid_on', models.DateField(blank=True, null=True, verbose_name='paid on')),
                ('noticed_at', models.DateTimeField(auto_now_add=True, verbose_name='noticed')),
                ('changed_at', models.DateTimeField(help_text='When the amount changed here last; real time.', verbose_name='changed')),
                ('remote_updated_at', models.DateTimeField(blank=True, null=True, verbose_name='changed there')),
                ('client', models.ForeignKey(blank=True, help_text="None until Invoice Ninja's list of clients has it.", null=True, on_delete=django.db.models.deletion.PROTECT, related_name='unapplied_payments', to='mappings.client', verbose_name='client')),
            ],
            options={
                'verbose_name': 'unapplied payment',
                'verbose_name_plural': 'unapplied payments',
                'ordering': ['paid_on', 'id'],
                'indexes': [models.Index(condition=models.Q(('amount', 0), _negated=True), fields=['client', 'currency'], name='unapplied_of_a_client')],
            },
        ),
        migrations.RunPython(read_payments_again, migrations.RunPython.noop),
    ]
