# The project id is a placeholder: put your own.
project_id  = "your-marketing-dev"
environment = "dev"

accounts = {
  crm = [{ id = "default", time_zone = "Europe/London" }]
}

reporting_currency  = "GBP"
reporting_time_zone = "Europe/London"

protected        = false
schedules_paused = true

# Addresses of groups and people; none are granted anything until named here.
alert_emails = []
analysts     = []
operators    = []
file_senders = []
