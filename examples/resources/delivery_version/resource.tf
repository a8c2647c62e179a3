terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

variable "revision" {
  description = "The commit that is built."
  type        = string
}

resource "delivery_version" "strawberry" {
  service         = "strawberry"
  scheme          = "semver"
  bump            = "minor"
  source_revision = var.revision

  # The same commit gives the same version, however often this is applied.
  keepers = {
    revision = var.revision
  }
}

output "version" {
  value = delivery_version.strawberry.version
}
