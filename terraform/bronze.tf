# Bronze: the bucket of immutable dumps, the dataset that mirrors it row for row, and the function between them.

resource "google_storage_bucket" "bronze" {
  name                        = "${var.project_id}-bronze"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.protected
  deletion_policy             = var.protected ? "PREVENT" : "DELETE"

  # No retention policy: erasing a person must remain possible. A week is what an erasure has to wait or to purge.
  soft_delete_policy {
    retention_duration_seconds = 7 * 24 * 3600
  }

  # Rows and files are read again only by a reload. Manifests stay: they are small, and moving costs more than keeping.
  lifecycle_rule {
    condition {
      age                   = 90
      matches_prefix        = ["rows/", "files/"]
      matches_storage_class = ["STANDARD"]
    }
    action {
      type          = "SetStorageClass"
      storage_class = "NEARLINE"
    }
  }

  lifecycle_rule {
    condition {
      age = 7
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  depends_on = [google_project_service.required]
}

# The manifest is written last; only it may wake the loader.
resource "google_storage_notification" "manifests" {
  bucket             = google_storage_bucket.bronze.name
  topic              = google_pubsub_topic.flow["manifests"].id
  payload_format     = "JSON_API_V1"
  event_types        = ["OBJECT_FINALIZE"]
  object_name_prefix = "manifests/"

  depends_on = [google_pubsub_topic_iam_member.storage]
}

# Immutable: writers create, and nobody may replace (that needs delete) or delete.
resource "google_storage_bucket_iam_member" "bronze_create" {
  for_each = { for source, function in local.ingest_of : source => function if function != null }

  bucket = google_storage_bucket.bronze.name
  role   = "roles/storage.objectCreator"
  member = module.function[each.value].member
}

# Writers read what they wrote before (a continuation, a redelivery); the loader and BigQuery on its behalf read the
# parts; the sweeper looks for manifests that nobody loaded.
resource "google_storage_bucket_iam_member" "bronze_read" {
  for_each = toset(concat([for function in values(local.ingest_of) : function if function != null], ["load_bronze", "control"]))

  bucket = google_storage_bucket.bronze.name
  role   = "roles/storage.objectViewer"
  member = module.function[each.key].member
}

# --- tables ----------------------------------------------------------------------------------------------------------

locals {
  # Types by the names that the API gives back (INTEGER, not INT64): anything else is a difference in every plan.
  origin_columns = [
    { name = "_run_id", type = "STRING", description = "Run that extracted the row." },
    { name = "_slice_id", type = "STRING", description = "Slice that extracted the row; joins to bronze.slices." },
    { name = "_account_id", type = "STRING", description = "Whose data: an ad account, a property, a CRM." },
    { name = "_row", type = "INTEGER", description = "Position of the row in its slice, from 1." },
    { name = "_file", type = "STRING", description = "Name of the file that the row stood in; null for an API." },
    { name = "_line", type = "INTEGER", description = "Line of the file where the row starts, from 1; null for an API." },
    { name = "_date", type = "DATE", description = "UTC day of the slice's as_of; the partition." },
  ]

  row_columns = concat(local.origin_columns, [
    { name = "payload", type = "JSON", description = "The row: as the API gave it, or a file's cells as text under the contract's names." },
  ])

  set_aside_columns = concat(local.origin_columns, [
    { name = "_stream", type = "STRING", description = "Stream that the row was meant for, for example crm.orders." },
    { name = "payload", type = "JSON", description = "reason, column, value and the raw row as text." },
  ])

  slice_columns = [
    { name = "build", type = "INTEGER", description = "First build that may read the slice; the smallest where a slice stands twice." },
    { name = "run_id", type = "STRING", description = "Run that the slice belongs to." },
    { name = "slice_id", type = "STRING", description = "The slice." },
    { name = "source", type = "STRING", description = "Source of the slice." },
    { name = "stream", type = "STRING", description = "Stream of the slice, for example crm.orders." },
    { name = "account_id", type = "STRING", description = "Whose data." },
    { name = "mode", type = "STRING", description = "How it replaces older slices: dates, upsert or snapshot." },
    { name = "window_from", type = "DATE", description = "First date that the slice covers; null for files." },
    { name = "window_to", type = "DATE", description = "Last date that the slice covers; null for files." },
    { name = "file_name", type = "STRING", description = "Name of the file in landing; null for an API." },
    { name = "file_sha256", type = "STRING", description = "The file's identity: the hash of its bytes." },
    { name = "file_at", type = "TIMESTAMP", description = "When the file arrived in landing." },
    { name = "as_of", type = "TIMESTAMP", description = "When the extraction began, by Cloud Storage's clock: the order of truth between slices." },
    { name = "rows", type = "INTEGER", description = "Rows loaded." },
    { name = "aside", type = "INTEGER", description = "Rows set aside by the extraction." },
    { name = "non_rows", type = "INTEGER", description = "Declared non-rows of a file: blank lines, preamble, totals." },
    { name = "bytes", type = "INTEGER", description = "Compressed size of the slice's objects." },
    { name = "contract", type = "STRING", description = "Digest of the contract that the slice was planned with." },
    { name = "unknown_fields", type = "JSON", description = "Fields that the contract does not know, with how many rows carried them." },
    { name = "api", type = "JSON", description = "What the source said about the answer: versions, flags, format guesses." },
  ]

  failure_columns = [
    { name = "build", type = "INTEGER", description = "First build that saw the failure." },
    { name = "run_id", type = "STRING", description = "Run that the slice belongs to." },
    { name = "slice_id", type = "STRING", description = "The slice that ended without data; it may have loaded since." },
    { name = "source", type = "STRING", description = "Source of the slice." },
    { name = "stream", type = "STRING", description = "Stream of the slice." },
    { name = "account_id", type = "STRING", description = "Whose data." },
    { name = "file_name", type = "STRING", description = "Name of the file in landing; null for an API." },
    { name = "kind", type = "STRING", description = "Short word for the reason, for example file_set_aside." },
    { name = "message", type = "STRING", description = "What happened, to which file, column, account or field." },
    { name = "next_step", type = "STRING", description = "What a person should do." },
    { name = "failed_at", type = "TIMESTAMP", description = "When it was noted." },
  ]
}

resource "google_bigquery_dataset" "bronze" {
  dataset_id                 = "bronze"
  location                   = var.bigquery_location
  description                = "Rows as extracted, one table per stream, and the ledgers beside them. Holds personal data: not for analysts."
  delete_contents_on_destroy = !var.protected
  deletion_policy            = var.protected ? "PREVENT" : "DELETE"

  # The access list is written here alone and whole: no project-wide reader comes in by default. Never mix it with
  # google_bigquery_dataset_iam_*: those remove the authorised datasets.
  access {
    role          = "OWNER"
    special_group = "projectOwners"
  }
  access {
    role          = "WRITER" # = bigquery.dataEditor on this dataset
    user_by_email = module.function["load_bronze"].email
  }
  access {
    role          = "READER" # = bigquery.dataViewer
    user_by_email = google_service_account.dbt.email
  }
  # Views that dbt builds may be queried by people who cannot read bronze.
  dynamic "access" {
    for_each = [google_bigquery_dataset.silver.dataset_id, google_bigquery_dataset.audit.dataset_id]
    content {
      dataset {
        target_types = ["VIEWS"]
        dataset {
          project_id = var.project_id
          dataset_id = access.value
        }
      }
    }
  }
}

# One shape for every stream: a vendor's new or retyped field never breaks a load, one load touches one partition.
resource "google_bigquery_table" "stream" {
  for_each = local.streams

  dataset_id               = google_bigquery_dataset.bronze.dataset_id
  table_id                 = each.key
  description              = "${each.value.grain} Rows as extracted."
  deletion_protection      = var.protected
  require_partition_filter = true
  clustering               = ["_slice_id"]
  schema                   = jsonencode([for c in local.row_columns : merge(c, { mode = "NULLABLE" })])

  time_partitioning {
    type  = "DAY"
    field = "_date"
  }
}

resource "google_bigquery_table" "set_aside" {
  dataset_id               = google_bigquery_dataset.bronze.dataset_id
  table_id                 = "set_aside"
  description              = "Rows that extraction could not deliver, with reason and origin."
  deletion_protection      = var.protected
  require_partition_filter = true
  clustering               = ["_slice_id"]
  schema                   = jsonencode([for c in local.set_aside_columns : merge(c, { mode = "NULLABLE" })])

  time_partitioning {
    type  = "DAY"
    field = "_date"
  }
}

resource "google_bigquery_table" "slices" {
  dataset_id          = google_bigquery_dataset.bronze.dataset_id
  table_id            = "slices"
  description         = "One row per loaded slice and build: what the warehouse knows of."
  deletion_protection = var.protected
  schema              = jsonencode([for c in local.slice_columns : merge(c, { mode = "NULLABLE" })])

  time_partitioning {
    type  = "DAY"
    field = "as_of"
  }
}

resource "google_bigquery_table" "failures" {
  dataset_id          = google_bigquery_dataset.bronze.dataset_id
  table_id            = "failures"
  description         = "Slices and whole files that ended without data, with the next step."
  deletion_protection = var.protected
  schema              = jsonencode([for c in local.failure_columns : merge(c, { mode = "NULLABLE" })])
}

resource "google_project_iam_member" "load_jobs" {
  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = module.function["load_bronze"].member
}
