# A bucket made by hand before the first init, with versioning; the placeholder is yours to replace.
bucket = "your-marketing-dev-terraform"
prefix = "pipeline"
