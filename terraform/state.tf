# Plans, slices, outcomes, dead letters, builds: what has been asked and how far it is. Small objects, changed by
# compare-and-set, so every function may create, replace and delete here.

resource "google_storage_bucket" "state" {
  name                        = "${var.project_id}-state"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.protected
  deletion_policy             = var.protected ? "PREVENT" : "DELETE"

  # A replaced object stays recoverable for a week; versioning would keep every one of a slice's states for ever.
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

resource "google_storage_bucket_iam_member" "state" {
  for_each = merge({ for name, f in module.function : name => f.member }, { dbt_job = google_service_account.dbt.member })

  bucket = google_storage_bucket.state.name
  role   = "roles/storage.objectUser"
  member = each.value
}
