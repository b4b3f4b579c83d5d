"""django-import-export over the service's own table: ``python -m benchmarks.peers.django_cards URL``.

The model is laid over the very table that the service writes (``managed = False``), in a database of its own:
same columns, indexes, checks and foreign key. The resource is set as the library's documentation advises for
speed ("Bulk imports"): ``use_bulk`` with batches of 1,000, no diffs, no look-ups of existing rows. Validation
by the model (``clean_model_instances``) stays off, its default: that is less than the service does.
"""

from __future__ import annotations

import sys
import uuid
from typing import Any

from benchmarks.peers.conversation import serve

BATCH = 1_000
FORMATS = ("json", "csv")
SETTINGS = {
    "use_bulk": True,
    "batch_size": BATCH,
    "skip_diff": True,
    "skip_html_diff": True,
    "force_init_instance": True,
    "use_transactions": True,
    "chunk_size": BATCH,
    "clean_model_instances": False,
}
IMPORTED = (
    "title", "body", "category", "privacy_level", "tags", "source_platform", "source_url", "metadata",
)  # fmt: skip
EXPORTED = (
    "id", "title", "body", "category", "privacy_level", "tags", "source_platform", "source_url",
    "external_id", "metadata", "is_published", "published_url", "published_at", "created_at", "updated_at",
)  # fmt: skip


def configure(url: str) -> None:
    """Django's settings for this process."""
    import django
    from django.conf import settings
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(url)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts["dbname"],
        "USER": parts["user"],
        "PASSWORD": parts["password"],
        "HOST": parts["host"],
        "PORT": str(parts["port"]),
        "CONN_MAX_AGE": None,
    }
    settings.configure(
        DATABASES={"default": database},
        INSTALLED_APPS=["import_export"],
        USE_TZ=True,
        TIME_ZONE="UTC",
        DEBUG=False,
    )
    django.setup()


def make_resource() -> Any:
    """The model and its resource class; after ``configure``."""
    from django.contrib.postgres.fields import ArrayField
    from django.db import models
    from django.utils import timezone
    from import_export import resources
    from uuid_utils.compat import uuid7

    class Card(models.Model):
        id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
        user_id = models.UUIDField()
        fingerprint = models.UUIDField(default=uuid.uuid4)
        created_at = models.DateTimeField(default=timezone.now)
        updated_at = models.DateTimeField(auto_now=True)
        published_at = models.DateTimeField(null=True)
        is_published = models.BooleanField(default=False)
        title = models.TextField()
        body = models.TextField()
        category = models.TextField()
        privacy_level = models.TextField()
        tags = ArrayField(models.TextField(), default=list)
        source_platform = models.TextField(null=True)
        source_url = models.TextField(null=True)
        external_id = models.TextField(null=True)
        published_url = models.TextField(null=True)
        metadata = models.JSONField(default=dict)

        class Meta:
            app_label = "peers"
            managed = False
            db_table = "cards"

    class CardResource(resources.ModelResource):
        def __init__(self, owner: str) -> None:
            super().__init__()
            self.owner = uuid.UUID(owner)

        def get_queryset(self) -> Any:
            return Card.objects.filter(user_id=self.owner).order_by("id")

        def after_init_instance(self, instance: Any, new: bool, row: Any, **kwargs: Any) -> None:
            instance.user_id = self.owner

        Meta = type("Meta", (), {"model": Card, "fields": EXPORTED, "export_order": EXPORTED, **SETTINGS})

    return CardResource


def main() -> None:
    """Answer ``import``, ``export`` and ``ready`` until the input is closed."""
    import tablib
    from django.db import connection

    configure(sys.argv[1])
    resource = make_resource()

    def import_cards(path: str, owner: str) -> int:
        with open(path, encoding="utf-8") as file:
            dataset = tablib.Dataset().load(file, format=path.rpartition(".")[2])
        result = resource(owner).import_data(dataset, raise_errors=True)
        return result.totals["new"]

    def export_cards(path: str, owner: str) -> int:
        dataset = resource(owner).export()
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(dataset.export(path.rpartition(".")[2]))
        return len(dataset)

    def ready() -> int:
        connection.ensure_connection()
        return 0

    serve({"import": import_cards, "export": export_cards, "ready": ready})


if __name__ == "__main__":
    main()
