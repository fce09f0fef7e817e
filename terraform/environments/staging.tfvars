# The project id is a placeholder: put your own.
project_id  = "your-marketing-staging"
environment = "staging"

accounts = {
  crm = [{ id = "default", time_zone = "Europe/London" }]
}

reporting_currency  = "GBP"
reporting_time_zone = "Europe/London"

protected        = false
schedules_paused = false

# Addresses of groups and people; none are granted anything until named here.
alert_emails = []
analysts     = []
operators    = []
file_senders = []
