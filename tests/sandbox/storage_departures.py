"""Where fake-gcs-server departs from what Cloud Storage documents, test by test of ``test_storage.py``.

Each test named here must fail against it, and every other one pass: a new departure, of it or of ours, fails the suite, and so
does one that has gone. (Seen with fake-gcs-server 1.56.1, in memory.)
"""

from __future__ import annotations

IGNORES_CONDITION = "does not heed the precondition"

DEPARTURES = {
    "test_a_bucket_exists_once": "gives every bucket its own location, whatever was asked for",
    "test_a_bucket_with_objects_is_not_deleted": "answers 412 for a bucket that is not empty; documented is 409",
    "test_an_upload_has_identity_size_and_checksums": "shows a new object as updated after it was created",
    "test_data_that_looks_like_a_boundary_is_data": "answers 500 to data that looks like a boundary",
    "test_generations_rise_and_metadata_changes_keep_them": "shows no metageneration after a patch",
    **{
        f"test_a_stale_generation_is_refused[reference-{change}]": IGNORES_CONDITION
        for change in ("delete", "patch", "compose", "copy", "rewrite")
    },
    **{f"test_create_only[reference-{change}]": IGNORES_CONDITION for change in ("compose", "copy", "rewrite")},
    "test_metageneration_preconditions": IGNORES_CONDITION,
    "test_preconditions_on_the_source_of_a_copy": IGNORES_CONDITION,
    "test_reading_with_preconditions": IGNORES_CONDITION,
    "test_listing_by_prefix_delimiter_and_offsets": "lists everything whatever matchGlob says",
    "test_a_partial_answer_holds_the_fields_asked_for": "sends fields that were not asked for",
    "test_compose_joins_in_the_order_given": "counts no components, and gives a composed object an MD5",
    "test_a_pinned_generation_is_read_as_it_came_or_not_at_all": "shows metadata of another generation than was asked for",
    "test_a_pinned_generation_is_copied_into_another_bucket_once": IGNORES_CONDITION,
    "test_a_batch_deletes_and_reports_what_is_missing": "has no batches at the address that the client uses",
}
"""Name of a test (with its parameters, where it has others than the server) → what the server does instead."""

HANGS = {"test_a_slow_upload_holds_up_nobody": "keeps everybody waiting while one client uploads slowly"}
"""The same for tests whose failure takes long: these are not run."""


def departure(test: str, departures: dict[str, str]) -> str | None:
    """The entry for a test by its whole name (``test_x[reference-y]``)."""
    return departures.get(test.removesuffix("[reference]"))
