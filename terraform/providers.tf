terraform {
  required_version = ">= 1.8, < 2.0"

  # Below 7.45 an update of a dataset could overwrite fine-grained permissions.
  required_providers {
    google      = { source = "hashicorp/google", version = ">= 7.45, < 8.0" }
    google-beta = { source = "hashicorp/google-beta", version = ">= 7.45, < 8.0" }
    archive     = { source = "hashicorp/archive", version = "~> 2.7" }
  }

  # Bucket and prefix come from environments/<environment>.backend.hcl: terraform init -backend-config=…
  backend "gcs" {}
}

provider "google" {
  project        = var.project_id
  region         = var.region
  default_labels = local.labels
}

# Only for google_project_service_identity, which the main provider does not have.
provider "google-beta" {
  project = var.project_id
  region  = var.region
}

locals {
  labels = {
    application = "marketing-pipeline"
    environment = var.environment
  }

  services = [
    "artifactregistry.googleapis.com",
    "bigquery.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "cloudscheduler.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "storage.googleapis.com",
  ]
}

# Nothing else may be created before its API is on; every root resource hangs on this one, directly or through another.
resource "google_project_service" "required" {
  for_each = toset(local.services)

  service            = each.key
  disable_on_destroy = false # other users of the project may need it
}

data "google_project" "this" {
  depends_on = [google_project_service.required]
}
