terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

data "delivery_version" "strawberry" {
  service = "strawberry"
  latest  = true
}

# The image that Packer baked for this version, in the provider's region.
data "delivery_image" "strawberry" {
  service      = "strawberry"
  version      = data.delivery_version.strawberry.version
  architecture = "x86_64"
}

output "image_id" {
  value = data.delivery_image.strawberry.image_id
}
