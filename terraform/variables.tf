variable "project_id" {
  description = "Google Cloud project. One project per environment: names inside are the same everywhere."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be a project id (6 to 30 characters), not a project name or number."
  }
}

variable "environment" {
  description = "dev, staging or prod; also the dbt target of the transform job."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "environment must be dev, staging or prod."
  }
}

variable "region" {
  description = "Region of functions, job, topics' schedules and buckets."
  type        = string
  default     = "europe-west1"
}

variable "bigquery_location" {
  description = "Location of every BigQuery dataset. Buckets must lie inside it, or load jobs are refused."
  type        = string
  default     = "EU"
}

variable "python_runtime" {
  description = "Runtime of the functions. The code is tested on Python 3.11 and 3.13."
  type        = string
  default     = "python311"

  validation {
    condition     = contains(["python311", "python312", "python313"], var.python_runtime)
    error_message = "python_runtime must be python311, python312 or python313."
  }
}

variable "accounts" {
  description = "Whose data each source of the contract reads, e.g. {crm = [{id = \"default\", time_zone = \"Europe/London\"}]}. Without a time zone the source's own is used."
  type        = map(list(object({ id = string, time_zone = optional(string) })))

  validation {
    condition     = alltrue([for list in values(var.accounts) : length(distinct(list[*].id)) == length(list)])
    error_message = "accounts: an id stands twice under one source."
  }
}

variable "reporting_currency" {
  description = "ISO 4217 code into which gold converts every amount."
  type        = string

  validation {
    condition     = can(regex("^[A-Z]{3}$", var.reporting_currency))
    error_message = "reporting_currency must be three capital letters."
  }
}

variable "reporting_time_zone" {
  description = "IANA time zone that decides the day of an order."
  type        = string
}

variable "dbt_image" {
  description = "Container image of the dbt job, by digest: what was tested is what runs. The build hands it in."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.dbt_image))
    error_message = "dbt_image must end with @sha256:<64 hex digits>; a tag can be moved."
  }
}

variable "protected" {
  description = "Refuse to destroy buckets, datasets, tables and the job. True in prod."
  type        = bool
}

variable "schedules_paused" {
  description = "Keep the sources' schedules from firing (a project that is only asked by hand). The sweeper always runs."
  type        = bool
  default     = false
}

variable "alert_emails" {
  description = "Who gets an e-mail when an alert opens."
  type        = set(string)
  default     = []
}

variable "analysts" {
  description = "Google groups (addresses) that may query gold and audit, and nothing below."
  type        = set(string)
  default     = []
}

variable "operators" {
  description = "IAM members (group:…, user:…) that may call control: console, rerun, backfill, dead letters."
  type        = set(string)
  default     = []
}

variable "file_senders" {
  description = "IAM members (group:…, serviceAccount:…) that may drop files into the landing bucket."
  type        = set(string)
  default     = []
}
