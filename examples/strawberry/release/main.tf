# Allocates a version of strawberry. The same commit and run always get the same
# version; another run gets another version.

terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

variable "source_revision" {
  type        = string
  description = "Commit to build."
}

variable "run" {
  type        = string
  description = "ID of the run that builds the version."
}

provider "delivery" {}

resource "delivery_version" "strawberry" {
  service         = "strawberry"
  source_revision = var.source_revision
  keepers         = { run = var.run }
}

output "version" {
  value       = delivery_version.strawberry.version
  description = "Version to bake."
}
