# Where people and exports drop files. It is theirs: the pipeline only reads, and nothing here expires.

resource "google_storage_bucket" "landing" {
  name                        = "${var.project_id}-landing"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.protected
  deletion_policy             = var.protected ? "PREVENT" : "DELETE"

  soft_delete_policy {
    retention_duration_seconds = 7 * 24 * 3600
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

# No prefix: whatever is dropped is a file of the source that takes files.
resource "google_storage_notification" "landing" {
  for_each = local.file_sources

  bucket         = google_storage_bucket.landing.name
  topic          = google_pubsub_topic.flow[each.key].id
  payload_format = "JSON_API_V1"
  event_types    = ["OBJECT_FINALIZE"]

  depends_on = [google_pubsub_topic_iam_member.storage]
}

resource "google_storage_bucket_iam_member" "landing_read" {
  for_each = local.file_sources

  bucket = google_storage_bucket.landing.name
  role   = "roles/storage.objectViewer"
  member = module.function[local.ingest_of[each.key]].member
}

# Create, not read or replace: one sender cannot see or overwrite what another sent.
resource "google_storage_bucket_iam_member" "landing_send" {
  for_each = var.file_senders

  bucket = google_storage_bucket.landing.name
  role   = "roles/storage.objectCreator"
  member = each.key
}
