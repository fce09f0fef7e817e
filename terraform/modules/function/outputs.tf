output "name" {
  description = "Name of function and Cloud Run service; it may be invoked only by whom the caller grants."
  value       = google_cloudfunctions2_function.this.name
}

output "uri" {
  description = "Address of the Cloud Run service."
  value       = google_cloudfunctions2_function.this.service_config[0].uri
}

output "email" {
  description = "Service account that the function runs as."
  value       = google_service_account.this.email
}

output "member" {
  description = "The same, in IAM's form."
  value       = google_service_account.this.member
}
