output "control_url" {
  description = "Console and API. Private: call it with an identity token of an operator, its audience this address."
  value       = local.control_url
}

output "buckets" {
  description = "Where files are dropped, dumps lie and state is kept."
  value = {
    landing = google_storage_bucket.landing.name
    bronze  = google_storage_bucket.bronze.name
    state   = google_storage_bucket.state.name
  }
}

output "datasets" {
  description = "Warehouse layers, project.dataset."
  value = {
    for dataset in ["bronze", "silver", "silver_pii", "gold", "audit"] : dataset => "${var.project_id}.${dataset}"
  }
}

output "functions" {
  description = "Function of the contract => name and service account in the cloud."
  value       = { for name, f in module.function : name => { name = f.name, service_account = f.email } }
}

output "environment" {
  description = "Every variable that a function gets beside its own timeout; the same names the code reads."
  value       = local.environment
}

output "image_repository" {
  description = "Where the build pushes the dbt job's image."
  value       = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images.repository_id}"
}

output "secrets" {
  description = "Secrets that wait for a value (gcloud secrets versions add)."
  value       = keys(google_secret_manager_secret.source)
}
