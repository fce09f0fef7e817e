variable "name" {
  description = "Name of function, Cloud Run service and service account: small letters, digits, hyphens, 6 to 30 of them."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.name))
    error_message = "name must fit a service account id: 6 to 30 small letters, digits and hyphens."
  }
}

variable "entry_point" {
  description = "The def in main.py."
  type        = string
}

variable "description" {
  type = string
}

variable "project_id" {
  type = string
}

variable "region" {
  type = string
}

variable "runtime" {
  type = string
}

variable "archive_bucket" {
  type = string
}

variable "archive_object" {
  type = string
}

variable "build_account" {
  description = "Resource name of the service account that builds: projects/…/serviceAccounts/…"
  type        = string
}

variable "repository" {
  description = "Resource name of the Artifact Registry repository that takes the image."
  type        = string
}

variable "timeout_seconds" {
  type = number
}

variable "memory_mib" {
  type = number
}

variable "concurrency" {
  type = number
}

variable "max_instances" {
  type = number
}

variable "public_ingress" {
  description = "Reachable from outside the project (still private by IAM)."
  type        = bool
}

variable "environment" {
  type = map(string)
}
