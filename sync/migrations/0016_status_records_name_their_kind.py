from django.db import migrations, models


class Migration(migrations.Migration):
    """The id of a written status says of which kind its item is: task 20 and story 20 are two things in Taiga.

    A record that stayed in doubt because the other one had the number is looked up, and settles, by itself.
    """

    dependencies = [
        ('sync', '0015_the_client_a_difference_is_about'),
    ]

    operations = [
        migrations.RunSQL(
            "UPDATE sync_remoterecord SET remote_id = our_key WHERE kind = 'status' AND remote_id IS NOT NULL",
            migrations.RunSQL.noop,
        ),
        migrations.AddConstraint(
            model_name='remoterecord',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'status'), _negated=True), ('remote_id__isnull', True), ('remote_id', models.F('our_key')), _connector='OR'), name='record_status_names_its_kind'),
        ),
    ]
