terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

variable "revision" {
  type        = string
  description = "Commit of the checkout."
}

variable "rehearsal" {
  type        = bool
  description = "Run from a checkout that has not been pushed."
  default     = false
}

provider "delivery" {}

# Builds and tests the checkout, once for each commit.
resource "delivery_pipe_run" "strawberry" {
  folder         = path.module
  run_to         = "unit tests"
  triggers       = { revision = var.revision }
  allow_unpushed = var.rehearsal
}

output "version" {
  value = delivery_pipe_run.strawberry.version
}
