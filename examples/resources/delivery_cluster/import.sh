# service/environment
terraform import delivery_cluster.strawberry strawberry/prod
