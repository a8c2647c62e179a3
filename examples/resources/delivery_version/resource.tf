terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

variable "revision" {
  description = "Commit to build."
  type        = string
}

resource "delivery_version" "strawberry" {
  service         = "strawberry"
  scheme          = "semver"
  bump            = "minor"
  source_revision = var.revision

  # The same commit always gets the same version.
  keepers = {
    revision = var.revision
  }
}

output "version" {
  value = delivery_version.strawberry.version
}
