# A test environment: new servers with the image of one version, at their own host
# name on a shared listener.

terraform {
  required_version = ">= 1.11"
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

resource "delivery_cluster" "this" {
  service     = var.service
  environment = var.name
  version     = var.service_version

  instance_type      = var.instance_type
  subnet_ids         = var.subnet_ids
  security_group_ids = var.security_group_ids
  min_size           = var.servers
  max_size           = var.servers

  listener = var.listener
  listener_rule {
    priority = var.priority
    hosts    = [var.host]
  }
  target {
    port                 = var.port
    deregistration_delay = var.drain
    health_check { path = var.health_path }
  }

  tags = var.tags
}

# The same tags, for other resources of the environment.
data "delivery_tags" "this" {
  service     = var.service
  environment = var.name
  version     = var.service_version
  tags        = var.tags
}
