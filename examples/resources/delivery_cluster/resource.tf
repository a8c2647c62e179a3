terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

variable "release" {
  description = "Version to run."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the servers."
  type        = set(string)
}

variable "security_group_ids" {
  description = "Security groups of the servers."
  type        = set(string)
}

variable "listener_arn" {
  description = "ARN of the load balancer's listener."
  type        = string
}

variable "origin_secret" {
  description = "Value of the header by which requests prove where they come from."
  type        = string
  sensitive   = true
}

resource "delivery_cluster" "strawberry" {
  service     = "strawberry"
  environment = "prod"
  version     = var.release

  instance_type      = "t3.micro"
  subnet_ids         = var.subnet_ids
  security_group_ids = var.security_group_ids
  min_size           = 2
  max_size           = 6

  listener = var.listener_arn
  listener_rule {
    priority = 100
    hosts    = ["strawberry.example.com"]

    # Only the content delivery network in front of the load balancer knows it.
    http_header {
      name   = "X-Origin-Verify"
      values = [var.origin_secret]
    }
  }

  target {
    port = 8080
    health_check { path = "/health" }
  }

  tags = {
    owner_team = "fruit"
    solution   = "shop"
  }

  # A new version gets a tenth of the requests, then all. After each step, the
  # rollout is observed, and rolled back if something goes wrong.
  rollout {
    steps       = [10, 100]
    observe_for = "5m"
  }
}
