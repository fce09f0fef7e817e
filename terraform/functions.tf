# One source root, deployed once per function of the contract with another entry point.

data "archive_file" "functions" {
  type             = "zip"
  source_dir       = "${path.module}/../functions"
  output_path      = "${path.module}/.build/functions.zip"
  output_file_mode = "0644" # the same bytes whatever the umask of the machine
  excludes = [
    "**/__pycache__/**",
    "**/*.pyc",
    "**/.mypy_cache/**",
    "**/.pytest_cache/**",
    "**/.ruff_cache/**",
  ]
}

resource "google_storage_bucket" "source" {
  name                        = "${var.project_id}-source"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # archives are built from the repository, nothing is lost

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  depends_on = [google_project_service.required]
}

# Named by its content: the same code is the same object, and a function is rebuilt only when the code changed.
resource "google_storage_bucket_object" "functions" {
  name   = "functions-${data.archive_file.functions.output_md5}.zip"
  bucket = google_storage_bucket.source.name
  source = data.archive_file.functions.output_path
}

resource "google_artifact_registry_repository" "images" {
  repository_id = "pipeline"
  location      = var.region
  format        = "DOCKER"
  description   = "Images of the dbt job, and those that Cloud Build makes of the functions."

  depends_on = [google_project_service.required]
}

# --- who builds ------------------------------------------------------------------------------------------------------

resource "google_service_account" "build" {
  account_id   = "functions-build"
  display_name = "Builds the functions' images"

  depends_on = [google_project_service.required]
}

resource "google_project_iam_member" "build_logs" {
  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = google_service_account.build.member
}

resource "google_artifact_registry_repository_iam_member" "build" {
  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.build.member
}

resource "google_storage_bucket_iam_member" "build_source" {
  bucket = google_storage_bucket.source.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.build.member
}

# Cloud Functions copies the archive into buckets of its own (gcf-v2-…), which do not exist yet: the grant is on the
# project, and the condition keeps it off our buckets.
resource "google_project_iam_member" "build_staging" {
  project = var.project_id
  role    = "roles/storage.objectAdmin"
  member  = google_service_account.build.member

  condition {
    title      = "functions-staging-only"
    expression = "resource.name.startsWith(\"projects/_/buckets/gcf-v2-\")"
  }
}

# --- the functions ---------------------------------------------------------------------------------------------------

locals {
  # Every name that functions/pipeline reads. Addresses are the sandbox's alone and never set here.
  environment = {
    GOOGLE_CLOUD_PROJECT       = var.project_id
    PIPELINE_REGION            = var.region
    PIPELINE_BIGQUERY_LOCATION = var.bigquery_location
    PIPELINE_LANDING_BUCKET    = google_storage_bucket.landing.name
    PIPELINE_BRONZE_BUCKET     = google_storage_bucket.bronze.name
    PIPELINE_STATE_BUCKET      = google_storage_bucket.state.name
    PIPELINE_DBT_JOB           = local.dbt_job_id
    PIPELINE_CONTROL_AUDIENCE  = local.control_url
    PIPELINE_ACCOUNTS = jsonencode({
      for source, list in var.accounts : source => [for a in list : { for key, value in a : key => value if value != null }]
    })
  }
}

module "function" {
  source   = "./modules/function"
  for_each = local.functions

  name            = replace(each.key, "_", "-") # a Cloud Run service takes no underscore
  entry_point     = each.key
  description     = can(each.value.topic) ? "Messages of topic ${each.value.topic}" : "HTTP, private by IAM"
  project_id      = var.project_id
  region          = var.region
  runtime         = var.python_runtime
  archive_bucket  = google_storage_bucket.source.name
  archive_object  = google_storage_bucket_object.functions.name
  build_account   = google_service_account.build.id
  repository      = google_artifact_registry_repository.images.id
  timeout_seconds = each.value.timeout_seconds
  memory_mib      = each.value.memory_mib
  concurrency     = each.value.concurrency
  max_instances   = each.value.max_instances
  public_ingress  = !can(each.value.topic)
  environment     = merge(local.environment, { PIPELINE_TIMEOUT_SECONDS = tostring(each.value.timeout_seconds) })

  # A build before its grants fails, and the function stays half made.
  depends_on = [
    google_project_iam_member.build_logs,
    google_project_iam_member.build_staging,
    google_artifact_registry_repository_iam_member.build,
    google_storage_bucket_iam_member.build_source,
  ]
}

# --- secrets ---------------------------------------------------------------------------------------------------------

resource "google_secret_manager_secret" "source" {
  for_each = toset([for r in values(local.secret_readers) : r.secret])

  secret_id = each.key

  replication {
    auto {}
  }

  depends_on = [google_project_service.required]
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = local.secret_readers

  secret_id = google_secret_manager_secret.source[each.value.secret].id
  role      = "roles/secretmanager.secretAccessor"
  member    = module.function[local.ingest_of[each.value.source]].member
}
