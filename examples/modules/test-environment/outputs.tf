output "url" {
  value       = "http://${var.host}/"
  description = "URL of the environment."
}

output "cluster" {
  value       = delivery_cluster.this.id
  description = "ID of the cluster: service/environment."
}

output "tags" {
  value       = data.delivery_tags.this.map
  description = "Tags for other resources of the environment."
}
