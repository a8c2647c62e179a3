terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

provider "delivery" {}

data "delivery_pipe" "strawberry" {
  folder = path.module
}

# What "delivery run" would do here, step by step.
output "steps" {
  value = [for s in data.delivery_pipe.strawberry.steps : "${s.section}: ${s.name}"]
}
