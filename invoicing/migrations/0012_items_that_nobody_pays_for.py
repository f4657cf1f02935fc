"""A reading lists what nobody pays for too; its rows of before have a mapping, and are replaced by the next reading."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("invoicing", "0011_fees_and_po_number"),
        ("mappings", "0007_decimals_of_a_currency"),
    ]

    operations = [
        migrations.AddField(
            "counteditem",
            "taiga_project_id",
            models.PositiveBigIntegerField(default=0, verbose_name="Taiga project id"),
            preserve_default=False,
        ),
        migrations.AlterField(
            "counteditem",
            "project",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="mappings.projectmapping",
            ),
        ),
        migrations.AddField(
            "reading",
            "hidden_projects",
            models.JSONField(
                blank=True,
                default=list,
                help_text="Taiga ids of projects that nobody pays for and that our Taiga user may not see.",
                verbose_name="projects not seen",
            ),
        ),
    ]
