output "url" {
  value       = "http://${var.host}/"
  description = "Where the tests send their requests."
}

output "cluster" {
  value       = delivery_cluster.this.id
  description = "The cluster, as service/environment."
}

output "tags" {
  value       = data.delivery_tags.this.map
  description = "The tags for whatever else belongs to the environment."
}
