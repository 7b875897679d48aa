"""The journal's first epoch: one row, from the beginning."""

from django.db import migrations

from orders.models import new_epoch


def begin(apps, schema_editor):
    apps.get_model("orders", "JournalEpoch").objects.create(word=new_epoch())


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial")]
    operations = [migrations.RunPython(begin, migrations.RunPython.noop)]
