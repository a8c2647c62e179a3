terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

data "delivery_version" "strawberry" {
  service = "strawberry"
  latest  = true
}

output "newest" {
  value = data.delivery_version.strawberry.version
}
