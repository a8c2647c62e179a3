terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

data "delivery_tags" "strawberry" {
  service     = "strawberry"
  owner_team  = "fruit"
  solution    = "shop"
  environment = "qa"
}

output "tags" {
  value = data.delivery_tags.strawberry.map
}

# The same tags in the form that aws_autoscaling_group takes:
#
# resource "aws_autoscaling_group" "strawberry" {
#   ...
#   dynamic "tag" {
#     for_each = data.delivery_tags.strawberry.asg_tags
#     content {
#       key                 = tag.value.key
#       value               = tag.value.value
#       propagate_at_launch = tag.value.propagate_at_launch
#     }
#   }
# }
