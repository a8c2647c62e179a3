# Allocates a version of strawberry. The same commit built in the same run has
# the same version, however often this is applied; another run gets another.

terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

variable "source_revision" {
  type        = string
  description = "The commit to build."
}

variable "run" {
  type        = string
  description = "The pipe run that builds it."
}

provider "delivery" {}

resource "delivery_version" "strawberry" {
  service         = "strawberry"
  source_revision = var.source_revision
  keepers         = { run = var.run }
}

output "version" {
  value       = delivery_version.strawberry.version
  description = "The version to bake."
}
