terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

data "delivery_versions" "strawberry" {
  service = "strawberry"
  limit   = 10
}

output "ten_newest" {
  value = data.delivery_versions.strawberry.versions[*].version
}
